import fs from 'node:fs';
import path from 'node:path';
import { type Progress, progressOf } from './appeared.ts';
import type { Watches } from './watches.ts';

/**
 * How long the set-up of a worktree waits for another to begin, in milliseconds. The hook, where it fires, does the set-up, and says
 * it where the worktree was added; one that has fired may take its time to start Node on a busy machine. A worktree that has had no
 * index for so long is taken for one that gets none.
 */
const WAIT_MS = { added: 400, hook: 5000, 'no index': 5000 };
/** When a worktree that is being added, and in which nothing has happened, is not waited for any more, in milliseconds. */
const ABANDONED_MS = 600_000;

/** The worktrees that are being added, each until it is whole and the hook had its time. */
export interface Arrivals {
  /** Waits for this one, or goes on waiting. */
  expect(name: string, sight: string): void;
  has(name: string): boolean;
  names(): string[];
  forget(name: string): void;
  /** Whether any is still on its way. One that git was killed over never gets further. */
  areDue(): boolean;
}

/**
 * @param folder `<common>/worktrees` @param changed what to do when something happens in one of them
 * @param arrived what to do when one is whole and nobody has begun to set it up
 */
export function openArrivals(
  folder: string,
  watches: Watches,
  changed: () => void,
  arrived: (name: string, sight: string) => void,
): Arrivals {
  const coming = new Map<string, { sight: string; progress: Progress; timer: NodeJS.Timeout | null }>();
  const forget = (name: string) => {
    clearTimeout(coming.get(name)?.timer ?? undefined);
    coming.delete(name);
    watches.drop(path.join(folder, name));
  };
  return {
    forget,
    has: (name) => coming.has(name),
    names: () => [...coming.keys()],
    expect(name, sight) {
      const adminDir = path.join(folder, name);
      if (coming.has(name) && coming.get(name)?.sight !== sight) forget(name);
      // First: what happens from now on is not missed.
      watches.watch(adminDir, changed);
      const progress = progressOf(adminDir);
      const known = coming.get(name);
      if (known?.progress === progress) return;
      clearTimeout(known?.timer ?? undefined);
      const due = () => {
        const one = coming.get(name);
        if (one) one.timer = null;
        arrived(name, sight);
      };
      coming.set(name, { sight, progress, timer: progress === 'adding' ? null : setTimeout(due, WAIT_MS[progress]) });
    },
    areDue: () =>
      [...coming].some(([name, { progress, timer }]) => {
        // Nothing has come into it: it may get its files in a year.
        if (progress === 'no index') return timer !== null;
        const stat = fs.statSync(path.join(folder, name), { throwIfNoEntry: false });
        return progress !== 'adding' || (stat !== undefined && stat.mtimeMs >= Date.now() - ABANDONED_MS);
      }),
  };
}
