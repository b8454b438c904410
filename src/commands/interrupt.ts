import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs work that a person can interrupt: Ctrl-C, a closed terminal or `kill` abort the signal that the work gets, so that it
 * ends what it started and leaves a state that `up` resumes.
 * @returns the work's exit code, or 128 + the signal's number when it was interrupted
 */
export async function interruptible(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const controller = new AbortController();
  let by: (typeof SIGNALS)[number] | null = null;
  const handlers = SIGNALS.map((name) => {
    const handler = () => {
      by ??= name;
      controller.abort();
    };
    process.on(name, handler);
    return { name, handler };
  });
  try {
    const code = await work(controller.signal);
    return by === null ? code : 128 + constants.signals[by];
  } finally {
    for (const { name, handler } of handlers) process.off(name, handler);
  }
}
