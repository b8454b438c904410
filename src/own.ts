import fs from 'node:fs';
import { readJournal } from './ledger/journal.ts';
import { type OwnAttempt, type Ownership, tryOwn } from './ledger/owner.ts';
import type { WorktreeRecord } from './ledger/record.ts';
import { errorCode, Failure } from './outcome.ts';
import type { Reporter } from './report/reporter.ts';

/** What the owner of a record is at when only background steps are left. */
export const BACKGROUND = 'background steps';

/** What a set-up asks for, as far as it matters who does it. */
interface Asking {
  step?: string | undefined;
  force?: boolean | undefined;
  signal: AbortSignal;
  report: Reporter;
}

/** Takes the right to change the worktree, or waits for the set-up of the process that has it. */
export async function ownOrJoin(
  folder: string,
  { signal, report, step, force }: Asking,
): Promise<{ held: Ownership } | { joined: 'ready' | 'failed' | 'interrupted' }> {
  // Who asks for a step or for all of them again is not served by what another run comes to.
  const joins = step === undefined && !force;
  let waitedFor: string | null = null;
  let before: WorktreeRecord | null = null;
  for (;;) {
    const attempt = own(folder, step === undefined ? 'up' : 'up --step');
    if ('held' in attempt) {
      const record = joins && waitedFor === 'up' ? readJournal(folder) : null;
      if (record === null || record.state === 'running' || record.state === 'down' || !wasAtIt(before, record)) return attempt;
      attempt.held.release();
      return { joined: record.state };
    }
    const { by } = attempt;
    if (joins && by.verb === BACKGROUND && readJournal(folder)?.state === 'ready') return { joined: 'ready' };
    if (waitedFor === null) {
      before = readJournal(folder);
      report.text(`waiting for the \`${by.verb}\` that process ${by.pid} runs in this worktree`);
    }
    waitedFor = by.verb;
    if (await waitOrAbort(50, signal)) return { joined: 'interrupted' };
  }
}

/** Whether a set-up was running when the wait began, or has begun since: one that was killed before that has come to nothing. */
function wasAtIt(before: WorktreeRecord | null, after: WorktreeRecord): boolean {
  return before?.state === 'running' || before?.startedAt !== after.startedAt;
}

/** @throws {Failure} when the worktree was removed, and its record with it */
export function own(folder: string, verb: string): OwnAttempt {
  try {
    return tryOwn(folder, verb);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && !fs.existsSync(folder)) throw new Failure('The worktree was removed meanwhile.');
    throw error;
  }
}

function waitOrAbort(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const abort = () => {
      clearTimeout(timer);
      resolve(true);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve(false);
    }, ms);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}
