import { Failure } from '../outcome.ts';
import { type AgentProgram, setsUp, UP } from './program.ts';
import { addScriptLine, parseToml, removeScriptLine, tomlString } from './toml-edit.ts';

/** Codex calls it in the project, which may be another folder than the worktree that it names. */
const LINE = `(cd "\${CODEX_WORKTREE_PATH:-.}" && ${UP}) || exit 1`;

/**
 * The Codex app runs `setup.script` in each worktree that it makes (developers.openai.com/codex/app/local-environments; what the
 * file holds is not documented there: it is what the app writes into public repositories). Its `[cleanup]` also runs when Codex
 * tidies up by itself, so nothing is destroyed there.
 */
export const codex: AgentProgram = {
  name: 'codex',
  title: 'Codex',
  evidence: ['.codex'],
  file: '.codex/environments/environment.toml',
  has: (text) => setsUp(tomlString(text, 'setup', 'script') ?? ''),
  add(text, project) {
    if (text === null) return skeleton(project);
    const { setup } = parseToml(text) as { setup?: Record<string, unknown> };
    const platform = Object.keys(setup ?? {}).find((name) => typeof setup?.[name] === 'object');
    if (platform !== undefined) throw new Failure(`has scripts of its own for \`${platform}\`: add \`git coppice up --quiet\` to them`);
    return addScriptLine(text, 'setup', 'script', LINE, 'first');
  },
  remove: (text, project) => (text === skeleton(project) ? null : removeScriptLine(text, LINE)),
};

function skeleton(project: string): string {
  return `version = 1\nname = ${JSON.stringify(project)}\n\n[setup]\nscript = '''\n${LINE}\n'''\n`;
}
