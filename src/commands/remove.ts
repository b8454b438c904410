import fs from 'node:fs';
import path from 'node:path';
import { git } from '../git/git.ts';
import { Failure } from '../outcome.ts';
import { openReporter } from '../report/reporter.ts';
import { destroyVanished } from '../vanished.ts';
import { openRecord, tearDown } from './down.ts';
import { interruptible } from './interrupt.ts';
import { findTarget, recordOf } from './target.ts';

/** `coppice remove <worktree>`: git's own refusals first, then teardown, `git worktree remove`, and everything it held. */
export async function remove(argument: string, options: { force?: boolean }): Promise<number> {
  const report = await openReporter();
  const { place, worktree } = await findTarget(argument, 'remove');
  const { commonDir } = place.repository;
  if (worktree.locked)
    throw new Failure(`${worktree.path} is locked, so it is left alone. \`git worktree unlock ${worktree.path}\` first.`);
  if (!worktree.prunable && !options.force) {
    const status = await git(worktree.path, ['status', '--porcelain', '--ignore-submodules=none']);
    if (status.code !== 0) throw new Failure(`git cannot tell whether ${worktree.path} has changes: ${status.stderr.trim()}`);
    if (status.stdout !== '')
      throw new Failure(
        `${worktree.path} has changes that are not committed, so it is left alone. Commit or stash them, or say \`--force\`.\n${status.stdout.trimEnd()}`,
      );
  }
  if (!options.force && fs.existsSync(path.join(worktree.adminDir, 'modules')))
    throw new Failure(`${worktree.path} has submodules, and git removes such a worktree only with \`--force\`.`);
  const known = recordOf(commonDir, worktree) !== null;
  return interruptible(async (signal) => {
    const opened = known ? await openRecord(place, worktree, 'remove', signal, report) : null;
    // Nobody else sets it up or takes it down between its teardown and its end.
    let held = opened?.ownership ?? null;
    try {
      let ok = true;
      if (opened !== null) {
        try {
          ok = worktree.prunable || (await tearDown(opened, place, worktree, report, signal));
        } finally {
          opened.journal.close();
        }
        if (signal.aborted) return 1;
      }
      const removed = await git(commonDir, ['worktree', 'remove', ...(options.force ? ['--force'] : []), '--', worktree.path]);
      if (removed.code !== 0) throw new Failure(`git did not remove it: ${removed.stderr.trim()}`);
      report.done(worktree.branch ?? worktree.path, 'worktree removed');
      if (opened === null) return 0;
      held = null;
      const { state, repositoryId: repository, worktreeId, ownership } = opened;
      const end = await destroyVanished({ state, commonDir, repository }, worktreeId, { report, signal, ownership });
      if (end === 'kept') report.text('What is left is tried again by the next `git coppice gc`.');
      return ok && end !== 'kept' ? 0 : 1;
    } finally {
      held?.release();
    }
  });
}
