import fs from 'node:fs';
import path from 'node:path';
import { standing, temporaryBeside } from '../../files/inside.ts';
import { errorCode } from '../../outcome.ts';

/**
 * Puts husky's runner, which git ignores, into a worktree that lacks it: from a relative `core.hooksPath` git calls no hook there
 * without it, silently, and a worktree that is added inside that one would not be set up.
 * @param from folders that may have it @param folder husky's, relative to a worktree, e.g. `.husky`
 */
export function giveHuskyRunner(from: readonly string[], worktree: string, folder: string): void {
  const runner = from.map((root) => path.join(root, folder, '_')).find((candidate) => fs.existsSync(path.join(candidate, 'h')));
  // Only where the branch has the folder itself, and nothing stands there.
  if (runner === undefined || standing(worktree, folder) !== 'folder' || standing(worktree, path.join(folder, '_')) !== 'nothing') return;
  const target = path.join(worktree, folder, '_');
  const temporary = temporaryBeside(target);
  try {
    fs.cpSync(runner, temporary, { recursive: true });
    fs.renameSync(temporary, target);
  } catch (error) {
    // Another process was faster, with the same.
    if (!['EEXIST', 'ENOTEMPTY'].includes(errorCode(error) ?? '')) throw error;
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}

/** husky's folder by `core.hooksPath`; null where that is none of husky's, or the same folder for all worktrees. */
export function huskyFolderOf(hooksPath: string | null): string | null {
  if (hooksPath === null || path.isAbsolute(hooksPath)) return null;
  const normal = path.normalize(hooksPath).replace(/\/$/, '');
  return path.basename(normal) === '_' && !normal.startsWith('..') ? path.dirname(normal) : null;
}
