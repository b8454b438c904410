import { Failure } from '../../outcome.ts';
import { git } from '../git.ts';

/** Works in every worktree, wherever the repository is moved to; `exec`, so that a signal to it reaches what it runs. */
const ALIAS = '!exec "$(git rev-parse --git-common-dir)/coppice/launch" git';
/** Any that we ever wrote: an upgrade replaces it. */
const OURS = /^!(exec )?"\$\(git rev-parse --git-common-dir\)\/coppice\/launch" git$/;
const KEY = 'alias.coppice';
/** git holds a lock on its config while it writes: of many at once some fail, and try again. */
const TRIES = 20;

/** Gives the repository `git coppice`. @returns whether anything was written @throws {Failure} when the name is taken */
export async function addAlias(commonDir: string): Promise<boolean> {
  const current = await readAlias(commonDir);
  if (current === ALIAS) return false;
  if (current !== null && !OURS.test(current))
    throw new Failure(`The alias \`coppice\` is taken: ${current}. Remove it with \`git config --unset ${KEY}\`, then install again.`);
  await write(commonDir, [KEY, ALIAS]);
  return true;
}

/** Takes the alias away, if it is ours. @returns whether it was */
export async function removeAlias(commonDir: string): Promise<boolean> {
  if (!(await hasAlias(commonDir))) return false;
  await write(commonDir, ['--unset', KEY]);
  return true;
}

/** Whether `git coppice` is there and ours. */
export async function hasAlias(commonDir: string): Promise<boolean> {
  return OURS.test((await readAlias(commonDir)) ?? '');
}

async function readAlias(commonDir: string): Promise<string | null> {
  const result = await git(commonDir, ['config', '--local', '--get', KEY]);
  return result.code === 0 ? result.stdout.replace(/\n$/, '') : null;
}

async function write(commonDir: string, args: string[]): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const result = await git(commonDir, ['config', '--local', ...args]);
    if (result.code === 0) return;
    if (!/could not lock/.test(result.stderr) || tries === TRIES) throw new Failure(`git config failed: ${result.stderr.trim()}`);
    await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 40));
  }
}
