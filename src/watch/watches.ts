import fs from 'node:fs';
import { errorCode, Failure } from '../outcome.ts';

/** The system allows no more folders to be watched: there is no going on. */
export class WatchLimit extends Failure {}

/** Folders whose entries are watched by the kernel's own means (inotify, FSEvents), without polling. */
export interface Watches {
  /**
   * Watches a folder, or goes on doing so. `again`: the folder may be another one of the same name.
   * @returns false when it is not there @throws {WatchLimit} when the system allows no more
   */
  watch(folder: string, changed: (entry: string | null) => void, again?: boolean): boolean;
  drop(folder: string): void;
  close(): void;
}

export function openWatches(): Watches {
  const open = new Map<string, fs.FSWatcher>();
  const drop = (folder: string) => {
    open.get(folder)?.close();
    open.delete(folder);
  };
  return {
    drop,
    close() {
      for (const folder of [...open.keys()]) drop(folder);
    },
    watch(folder, changed, again = false) {
      if (open.has(folder) && !again) return true;
      drop(folder);
      let watcher: fs.FSWatcher;
      try {
        watcher = fs.watch(folder, { persistent: true }, (_, entry) => changed(entry));
      } catch (error) {
        if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return false;
        throw explained(error, folder);
      }
      // A folder that goes while it is watched is an error on some systems; the folder around it says so too.
      watcher.on('error', () => {
        if (open.get(folder) === watcher) drop(folder);
        changed(null);
      });
      open.set(folder, watcher);
      return true;
    },
  };
}

/** Linux allows each user so many, and says neither how many nor where that is set. */
function explained(error: unknown, folder: string): unknown {
  const setting = { ENOSPC: 'fs.inotify.max_user_watches', EMFILE: 'fs.inotify.max_user_instances' }[errorCode(error) ?? ''];
  if (setting === undefined) return error;
  return new WatchLimit(
    `${folder} cannot be watched: your programs together watch as much as Linux allows one user. See \`sysctl ${setting}\`, and raise it: \`sudo sysctl -w ${setting}=<more>\`.`,
  );
}
