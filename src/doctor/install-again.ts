import { install } from '../commands/install.ts';
import { INSTALL_AGAIN } from '../git/install/manager.ts';
import type { Place } from '../git/worktrees.ts';

/** The command that installs again, wherever `doctor` was called, and its doing. */
export function installAgain({ repository, worktree }: Place): { mend: string; fix: () => Promise<unknown> } {
  const root = repository.main ?? repository.commonDir;
  return { mend: worktree === null ? INSTALL_AGAIN : `cd ${root} && ${INSTALL_AGAIN}`, fix: () => install({}, root) };
}
