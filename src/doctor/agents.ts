import { agentFiles } from '../agents/table.ts';
import { type Finding, fine, note } from './finding.ts';

/** Programs that add worktrees without the hook: whether the files by which they set up name coppice. */
export function examineAgents(main: string): Finding[] {
  return agentFiles(main)
    .filter(({ state }) => state !== 'not used')
    .map(({ program, file, state }) =>
      state === 'there'
        ? fine(program, `sets worktrees up by ${file}`)
        : note(program, `may add worktrees without the hook, and ${file} does not set them up`, 'npx coppice install --agents'),
    );
}
