import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { badPath } from '../config/paths.ts';
import { realPathIfThere, writeWhole } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';

/** What stands at a path of the worktree. */
export type Standing = 'nothing' | 'file' | 'folder' | 'link' | 'other';

/**
 * Makes the folders above a path of the worktree and returns the absolute path. A branch can commit symbolic links, and
 * O_NOFOLLOW and rename follow one in a parent: so each parent is looked at, and a link among them is refused.
 * @param root the worktree's root, absolute, links resolved
 * @throws {Failure} when the path would lead out of the worktree
 */
export function prepareInside(root: string, relative: string): string {
  const parts = relative.split('/').filter((part) => part !== '' && part !== '.');
  const name = parts.pop();
  const wrong = badPath(relative);
  if (name === undefined || wrong !== null)
    throw new Failure(`${relative} ${wrong ?? 'is the worktree itself'}, so nothing is written there`);
  let folder = root;
  for (const part of parts) {
    folder = path.join(folder, part);
    try {
      fs.mkdirSync(folder);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw describeWrite(error, relative);
    }
    const stat = fs.lstatSync(folder);
    if (stat.isSymbolicLink())
      throw new Failure(`${relative}: ${path.relative(root, folder)} is a symbolic link in this branch, so nothing is written through it`);
    if (!stat.isDirectory()) throw new Failure(`${relative}: ${path.relative(root, folder)} is a file in this branch, not a folder`);
  }
  if (fs.realpathSync(folder) !== (parts.length > 0 ? path.join(fs.realpathSync(root), ...parts) : fs.realpathSync(root)))
    throw new Failure(`${relative} leads out of the worktree, so nothing is written there`);
  return path.join(folder, name);
}

/**
 * The folder that a command is to run in.
 * @throws {Failure} when there is none, or a symbolic link of the branch leads out of the worktree: what is there is not the branch's
 */
export function folderInside(root: string, relative: string): string {
  const [top, real] = [realPathIfThere(root), realPathIfThere(path.join(root, relative))];
  if (top === null || real === null || !fs.statSync(real).isDirectory()) throw new Failure(`its folder ${relative} does not exist`);
  if (real !== top && !real.startsWith(`${top}${path.sep}`)) throw new Failure(`its folder ${relative} leads out of the worktree`);
  return path.join(root, relative);
}

/** What stands at a path, without following links, also in its parents. */
export function standing(root: string, relative: string): Standing {
  let current = root;
  const parts = relative.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) return 'other';
  for (const [index, part] of parts.entries()) {
    current = path.join(current, part);
    const stat = look(current);
    if (!stat) return 'nothing';
    if (stat.isSymbolicLink()) return 'link';
    if (index === parts.length - 1) return stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other';
    if (!stat.isDirectory()) return 'nothing';
  }
  return 'other';
}

function look(file: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false });
  } catch (error) {
    // Where the name is too long nothing can stand; writing there says so.
    if (errorCode(error) === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

/** A name for a temporary file beside `target`, which no other process uses. */
export function temporaryBeside(target: string): string {
  return path.join(path.dirname(target), `.coppice-${randomBytes(6).toString('hex')}.tmp`);
}

/** Removes the temporary files beside these paths that a killed run left. Only who owns the worktree's record may call it. */
export function removeLeftovers(root: string, paths: string[]): void {
  for (const folder of new Set(paths.map((name) => path.posix.dirname(name)))) {
    if (folder !== '.' && standing(root, folder) !== 'folder') continue;
    for (const name of fs.readdirSync(path.join(root, folder))) {
      if (/^\.coppice-[0-9a-f]{12}\.tmp(-journal|-wal|-shm)?$/.test(name))
        fs.rmSync(path.join(root, folder, name), { recursive: true, force: true });
    }
  }
}

/**
 * Writes a file of the worktree as a whole: a temporary file beside it (0600 from its creation), then a rename.
 * @param mode permissions in the end @throws {Failure} when a link stands there, or the disk refuses
 */
export function writeInside(root: string, relative: string, content: string, mode: number): void {
  const target = prepareInside(root, relative);
  const there = standing(root, relative);
  if (there !== 'nothing' && there !== 'file')
    throw new Failure(`${relative} is a ${there === 'link' ? 'symbolic link' : there} in this worktree, so nothing is written there`);
  const temporary = temporaryBeside(target);
  try {
    const fd = fs.openSync(temporary, 'wx', 0o600);
    try {
      writeWhole(fd, content);
      fs.fchmodSync(fd, mode);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw describeWrite(error, relative);
  }
}

/** A system error as a sentence about the file; anything else as it is. */
export function describeWrite(error: unknown, relative: string): unknown {
  const code = errorCode(error);
  if (code === undefined) return error;
  const why: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EACCES: 'no permission',
    EPERM: 'no permission',
    EROFS: 'the disk is read-only',
    ENAMETOOLONG: 'the name is too long',
  };
  return new Failure(`${relative} cannot be written: ${why[code] ?? code}`);
}
