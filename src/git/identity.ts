import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createDocument, FOR_ALL, listFolder, readDocument, removeIfThere } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';
import { keepNothing } from './kept.ts';

const FORMAT = 'coppice-worktree';

/**
 * A worktree's identity: a random id in its git admin directory. git keeps unknown files there across `worktree move`,
 * `repair` and `gc`, and deletes them with the worktree; the folder's name and inode are reused, so only this tells two
 * worktrees of one name apart.
 */
export function readWorktreeId(adminDir: string): string | null {
  const document = readDocument(path.join(adminDir, 'coppice'), FORMAT);
  return document === null ? null : String(document.id);
}

/** The worktree's id, given at first use. Of several processes at once, all get the same. @throws {Failure} when it was removed meanwhile */
export function ensureWorktreeId(adminDir: string): string {
  const known = readWorktreeId(adminDir);
  if (known !== null) return known;
  try {
    createDocument(path.join(adminDir, 'coppice'), FORMAT, { id: randomUUID() }, FOR_ALL);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || fs.existsSync(adminDir)) throw error;
  }
  const id = readWorktreeId(adminDir);
  if (id === null) throw new Failure('The worktree was removed meanwhile.');
  return id;
}

/**
 * The ids of all worktrees that git still has, folder there or not.
 * @throws when a folder of git cannot be read: that is unknown, never gone
 */
export function livingWorktreeIds(commonDir: string): Set<string> {
  fs.accessSync(path.join(commonDir, 'HEAD'), fs.constants.R_OK);
  const folder = path.join(commonDir, 'worktrees');
  const ids = listFolder(folder).map((name) => readWorktreeId(path.join(folder, name)));
  return new Set(ids.filter((id) => id !== null));
}

/** Takes the ids of all worktrees away, and what was kept of them. @returns whether any had one */
export function forgetWorktreeIds(commonDir: string): boolean {
  const folders = listFolder(path.join(commonDir, 'worktrees')).map((name) => path.join(commonDir, 'worktrees', name));
  for (const folder of folders) keepNothing(folder);
  return folders.map((folder) => removeIfThere(path.join(folder, 'coppice'))).includes(true);
}
