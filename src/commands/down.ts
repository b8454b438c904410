import { trackedPaths } from '../files/exclude.ts';
import { keepNothing, readVariables } from '../git/kept.ts';
import type { Place, Worktree } from '../git/worktrees.ts';
import { claimsOf, type WorktreeClaims } from '../ledger/claims.ts';
import { type Journal, openJournal } from '../ledger/journal.ts';
import type { Ownership } from '../ledger/owner.ts';
import { Failure } from '../outcome.ts';
import { own } from '../own.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { factsOf, logsFolder, type Registered, register } from '../set-up.ts';
import { duration } from '../steps/run-command.ts';
import { destroyResources, releasePorts, runTeardown, withdrawFiles } from '../take-down.ts';
import { interruptible } from './interrupt.ts';
import { findTarget, learnFrom, recordOf } from './target.ts';

/** `coppice down [worktree]`: teardown and resources go; files stay, less our block; the slot stays. */
export async function down(argument: string | undefined, options: { force?: boolean }): Promise<number> {
  const report = await openReporter();
  const { place, worktree } = await findTarget(argument, 'down');
  if (worktree.locked && !options.force)
    throw new Failure(`${worktree.path} is locked, so nothing of it is destroyed. \`git worktree unlock\` first, or say \`--force\`.`);
  if (recordOf(place.repository.commonDir, worktree) === null) {
    report.text('This worktree was never set up: there is nothing to take down.');
    return 0;
  }
  return interruptible(async (signal) => {
    const start = Date.now();
    const opened = await openRecord(place, worktree, 'down', signal, report);
    try {
      const ok = await tearDown(opened, place, worktree, report, signal);
      if (signal.aborted) return 1;
      // First: what a `down` that is killed has destroyed must not look like something that is there.
      keepNothing(worktree.adminDir);
      const whole = await destroyResources({
        ...opened,
        worktreePath: worktree.path,
        report,
        signal,
        isTracked: await trackedNow(opened.journal, worktree.path),
      });
      withdrawFiles(opened.journal, worktree.path, report);
      releasePorts(opened.journal, opened.claims);
      opened.journal.append({ event: 'end', at: new Date().toISOString(), state: 'down', ms: Date.now() - start });
      opened.journal.sync();
      if (!whole) report.text('down, but not all of it could be destroyed: `git coppice down` again when that is mended');
      else report.text(ok ? `down in ${duration(Date.now() - start)}` : 'down, but a teardown command failed');
      return ok && whole ? 0 : 1;
    } finally {
      opened.journal.close();
      opened.ownership.release();
    }
  });
}

/** Which of a worktree's own files git tracks by now: those are git's. */
async function trackedNow(journal: Journal, root: string): Promise<(name: string) => boolean> {
  const paths = Object.values(journal.record.resources).flatMap(({ made }) => made.path ?? []);
  return paths.length === 0 ? () => false : (await trackedPaths(root, paths)).isTracked;
}

/** A worktree's record, held by this process. */
export interface OpenedRecord extends Registered {
  journal: Journal;
  claims: WorktreeClaims;
  ownership: Ownership;
}

/** Takes a worktree's record, waiting for whoever has it. */
export async function openRecord(
  place: Place,
  worktree: Worktree & { adminDir: string },
  verb: string,
  signal: AbortSignal,
  report: Reporter,
): Promise<OpenedRecord> {
  const registered = register(place, worktree.adminDir);
  let said = false;
  for (;;) {
    const attempt = own(registered.folder, verb);
    if ('held' in attempt) {
      const { folder, worktreeId, repositoryId, state } = registered;
      const journal = openJournal(folder, worktreeId, repositoryId);
      return {
        ...registered,
        journal,
        claims: claimsOf(state, folder, worktreeId, { path: worktree.path, repository: repositoryId }),
        ownership: attempt.held,
      };
    }
    if (!said) report.text(`waiting for the \`${attempt.by.verb}\` that process ${attempt.by.pid} runs in this worktree`);
    said = true;
    if (signal.aborted) throw new Failure('interrupted');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Runs the recorded teardown with the variables that the last set-up knew: a branch's config of now is not asked. */
export async function tearDown(
  { journal, worktreeId }: OpenedRecord,
  place: Place,
  worktree: Worktree & { adminDir: string },
  report: Reporter,
  signal: AbortSignal,
): Promise<boolean> {
  // What was taken down has nothing to stop.
  if (journal.record.teardown.length === 0 || journal.record.state === 'down') return true;
  const { record } = journal;
  const slot = { slot: record.slot ?? 0, ports: record.ports };
  const facts = factsOf({ project: record.project, slug: record.slug, slot }, place, worktree);
  learnFrom(worktree, record);
  const variables = readVariables(worktree.adminDir);
  return runTeardown({ journal, report, signal, facts, variables, logs: logsFolder(place.repository.commonDir, worktreeId) });
}
