import fs from 'node:fs';
import path from 'node:path';
import { listFolder } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';
import { describeWrite, prepareInside, standing, temporaryBeside } from './inside.ts';

/**
 * Copies a file or folder of the main worktree to the same kind of place in this one: permissions and symbolic links as
 * they are, but env files for nobody else, blocks shared where the filesystem can. What stands there already is left; a folder that stands there gets
 * what it lacks.
 * @param mode permissions for a single file; null for the source's own
 * @param isTracked whether git tracks a path of the worktree: such a one is git's to write
 * @returns whether anything was copied @throws {Failure} when the path leads out, or the disk refuses
 */
export function copyInside(
  source: string,
  root: string,
  relative: string,
  mode: number | null,
  isTracked: (name: string) => boolean,
): boolean {
  const stat = isTracked(relative) || isWorktree(source) ? null : lookAt(source);
  if (stat === null) return false;
  const inside = () => listFolder(source).map((name) => copyInside(path.join(source, name), root, `${relative}/${name}`, null, isTracked));
  const there = standing(root, relative);
  if (there === 'folder' && stat.isDirectory()) return inside().some(Boolean);
  if (there !== 'nothing') return false;
  const target = prepareInside(root, relative);
  if (stat.isDirectory()) {
    fs.mkdirSync(target, { mode: stat.mode & 0o777 });
    inside();
    return true;
  }
  const temporary = temporaryBeside(target);
  try {
    copyEntry(source, stat, temporary, mode);
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    // Gone by now, and perhaps there again.
    if (errorCode(error) === 'ENOENT' && fs.existsSync(path.dirname(target))) return false;
    throw describeWrite(error, relative);
  }
  return true;
}

/** Null when it is gone by now: programs that run in the main worktree make and delete files meanwhile. */
function lookAt(source: string): fs.Stats | null {
  return fs.lstatSync(source, { throwIfNoEntry: false }) ?? null;
}

/** A folder that is a worktree, or a repository, of its own has no place in another. */
function isWorktree(source: string): boolean {
  return path.basename(source) === '.git' || fs.existsSync(path.join(source, '.git'));
}

function copyEntry(source: string, stat: fs.Stats, target: string, mode: number | null): void {
  if (stat.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(source), target);
  else if (stat.isFile()) {
    const mine = path.basename(source).startsWith('.env') ? 0o700 : 0o777;
    copyFile(source, target, mode ?? stat.mode & mine);
  } else throw new Failure(`${source} is neither a file, a folder nor a link, and is not copied`);
}

/**
 * Copies a file, which has these permissions from its first moment: the system's copy begins with the source's, so one that is to
 * have less is made in a folder that nobody else can enter.
 */
export function copyFile(source: string, target: string, mode: number): void {
  if ((fs.statSync(source).mode & 0o777 & ~mode) === 0) {
    copyPlainly(source, target, mode);
    return;
  }
  const folder = temporaryBeside(target);
  fs.mkdirSync(folder, { mode: 0o700 });
  try {
    copyPlainly(source, path.join(folder, 'copy'), mode);
    fs.renameSync(path.join(folder, 'copy'), target);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function copyPlainly(source: string, target: string, mode: number): void {
  fs.copyFileSync(source, target, fs.constants.COPYFILE_FICLONE);
  fs.chmodSync(target, mode);
}

/**
 * Makes a symbolic link to a file or folder of the main worktree. What stands there already is left.
 * @returns whether a link was made
 */
export function linkInside(source: string, root: string, relative: string): boolean {
  if (standing(root, relative) !== 'nothing') return false;
  const target = prepareInside(root, relative);
  try {
    fs.symlinkSync(source, target);
  } catch (error) {
    throw describeWrite(error, relative);
  }
  return true;
}
