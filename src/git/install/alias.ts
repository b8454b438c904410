import { Failure } from '../../outcome.ts';
import { readConfig, writeConfig } from '../config.ts';

/** Works in every worktree, wherever the repository is moved to; `exec`, so that a signal to it reaches what it runs. */
const ALIAS = '!exec "$(git rev-parse --git-common-dir)/coppice/launch" git';
/** Any that we ever wrote: an upgrade replaces it. */
const OURS = /^!(exec )?"\$\(git rev-parse --git-common-dir\)\/coppice\/launch" git$/;
const KEY = 'alias.coppice';

/** Gives the repository `git coppice`. @returns whether anything was written @throws {Failure} when the name is taken */
export async function addAlias(commonDir: string): Promise<boolean> {
  const current = await readConfig(commonDir, KEY);
  if (current === ALIAS) return false;
  if (current !== null && !OURS.test(current))
    throw new Failure(`The alias \`coppice\` is taken: ${current}. Remove it with \`git config --unset ${KEY}\`, then install again.`);
  await writeConfig(commonDir, [KEY, ALIAS]);
  return true;
}

/** Takes the alias away, if it is ours. @returns whether it was */
export async function removeAlias(commonDir: string): Promise<boolean> {
  if (!(await hasAlias(commonDir))) return false;
  await writeConfig(commonDir, ['--unset', KEY]);
  return true;
}

/** Whether `git coppice` is there and ours. */
export async function hasAlias(commonDir: string): Promise<boolean> {
  return OURS.test((await readConfig(commonDir, KEY)) ?? '');
}
