import { Failure } from '../outcome.ts';
import { git } from './git.ts';

/** git holds a lock on its config while it writes: of many at once some fail, and try again. */
const TRIES = 20;

/** A value of the repository's own config; null when it has none. */
export async function readConfig(commonDir: string, key: string): Promise<string | null> {
  const result = await git(commonDir, ['config', '--local', '--get', key]);
  return result.code === 0 ? result.stdout.replace(/\n$/, '') : null;
}

/** Writes the repository's own config. @throws {Failure} with git's own words */
export async function writeConfig(commonDir: string, args: string[]): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const result = await git(commonDir, ['config', '--local', ...args]);
    if (result.code === 0) return;
    if (!/could not lock/.test(result.stderr) || tries === TRIES) throw new Failure(`git config failed: ${result.stderr.trim()}`);
    await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 40));
  }
}
