import { withoutLocalGitVars } from '../git/git.ts';
import { learn } from '../report/secrets.ts';

/** What every command of a worktree is told, beside its variables. */
export interface CommandFacts {
  project: string;
  slug: string;
  slot: number;
  branch: string | null;
  path: string;
  main: string | null;
}

/**
 * The environment of a step, a teardown command or `run`. Nothing of it is ever put into the text of a command, so a branch
 * named `$(rm -rf ~)` is only ever a value. What ties a process to one repository is taken out.
 * @param own a step's own variables; null takes one away
 */
export function commandEnvironment(
  facts: CommandFacts,
  variables: Record<string, string>,
  own: Record<string, string | null> = {},
): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    ...withoutLocalGitVars(process.env),
    ...learn(variables),
    COPPICE_PROJECT: facts.project,
    COPPICE_SLUG: facts.slug,
    COPPICE_SLOT: String(facts.slot),
    COPPICE_BRANCH: facts.branch ?? '',
    COPPICE_PATH: facts.path,
    COPPICE_MAIN: facts.main ?? '',
  };
  for (const [name, value] of Object.entries(learn(own))) {
    if (value === null) delete env[name];
    else env[name] = value;
  }
  return env;
}
