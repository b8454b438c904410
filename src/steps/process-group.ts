import { isRunningHere, type ProcessMark } from '../ledger/process.ts';
import { errorCode } from '../outcome.ts';

/** How long a process group may take to end by itself before it is killed, in milliseconds. */
const GRACE_MS = 400;

/** Ends a process and all that it started in its group: SIGTERM, then SIGKILL. Returns when none is left. */
export async function endGroup(pid: number): Promise<void> {
  if (!signalGroup(pid, 'SIGTERM')) return;
  const deadline = Date.now() + GRACE_MS;
  while (Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (!signalGroup(pid, 0)) return;
  }
  signalGroup(pid, 'SIGKILL');
}

/** Ends what a set-up that was killed left running, so that a step never runs twice at once. */
export async function endLeftover(mark: string): Promise<void> {
  const process = JSON.parse(mark) as ProcessMark;
  if (isRunningHere(process)) await endGroup(process.pid);
}

/** @returns whether any process of the group is left */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    // EPERM: on a Mac, a group of which only a zombie is left.
    if (errorCode(error) === 'ESRCH' || errorCode(error) === 'EPERM') return false;
    throw error;
  }
}
