import fs from 'node:fs';
import path from 'node:path';
import { Failure } from '../outcome.ts';
import { describeWrite, prepareInside, standing, temporaryBeside } from './inside.ts';

/**
 * Copies a file or folder of the main worktree to the same kind of place in this one: permissions and symbolic links as
 * they are, blocks shared where the filesystem can. What stands there already is left; a folder that stands there gets
 * what it lacks.
 * @param mode permissions for a single file; null for the source's own
 * @returns whether anything was copied @throws {Failure} when the path leads out, or the disk refuses
 */
export function copyInside(source: string, root: string, relative: string, mode: number | null): boolean {
  const there = standing(root, relative);
  if (there === 'folder' && fs.lstatSync(source).isDirectory()) {
    const copied = fs.readdirSync(source).map((name) => copyInside(path.join(source, name), root, `${relative}/${name}`, null));
    return copied.some(Boolean);
  }
  if (there !== 'nothing') return false;
  const target = prepareInside(root, relative);
  const temporary = temporaryBeside(target);
  try {
    copyTree(source, temporary, mode);
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { recursive: true, force: true });
    throw describeWrite(error, relative);
  }
  return true;
}

function copyTree(source: string, target: string, mode: number | null): void {
  const stat = fs.lstatSync(source);
  if (stat.isSymbolicLink()) {
    fs.symlinkSync(fs.readlinkSync(source), target);
  } else if (stat.isDirectory()) {
    fs.mkdirSync(target, { mode: 0o700 });
    for (const name of fs.readdirSync(source)) copyTree(path.join(source, name), path.join(target, name), null);
    fs.chmodSync(target, stat.mode & 0o777);
  } else if (stat.isFile()) {
    // The file is made private before it holds anything; copyFile keeps the mode of a file that exists.
    fs.closeSync(fs.openSync(target, 'wx', 0o600));
    fs.copyFileSync(source, target, fs.constants.COPYFILE_FICLONE);
    fs.chmodSync(target, mode ?? stat.mode & 0o777);
  } else throw new Failure(`${source} is neither a file, a folder nor a link, and is not copied`);
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
