import { trustedWorktrees } from '../commands/hooks.ts';
import { INSTALL_AGAIN } from '../git/install/manager.ts';
import { describeHooks, managerOf } from '../git/install/managers.ts';
import type { Place } from '../git/worktrees.ts';
import { type Finding, problem } from './finding.ts';
import { installAgain } from './install-again.ts';

/** What the program that keeps the hooks does with ours. */
export async function examineHooks(place: Place): Promise<Finding[]> {
  const again = installAgain(place);
  const hookPlace = await describeHooks(place, await trustedWorktrees(place));
  const manager = managerOf(hookPlace);
  const problems = await manager.problems(hookPlace);
  return problems.map(({ text, mend }) =>
    problem(manager.name, text, mend === INSTALL_AGAIN ? again.mend : mend, mend === INSTALL_AGAIN ? again.fix : undefined),
  );
}
