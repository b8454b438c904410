import fs from 'node:fs';
import path from 'node:path';
import { readIfThere } from '../ledger/document.ts';

/** How far the program that adds a worktree has come, by the worktree's admin directory (gitrepository-layout(5)). */
export type Progress =
  /** It is at it. */
  | 'adding'
  /** It may be done: there is no index, as in a worktree without a checkout, or in the middle of a library's. */
  | 'no index'
  | 'added'
  /** The hook has fired, and starts what sets it up. */
  | 'hook';

/** Which worktree an admin directory is now: names are used again. Null when it is gone. */
export function sightOf(adminDir: string): string | null {
  const stat = fs.statSync(adminDir, { throwIfNoEntry: false });
  return stat?.isDirectory() ? `${stat.ino} ${stat.birthtimeMs}` : null;
}

/** The root of the worktree that an admin directory is of; null while it does not say. */
function rootOf(adminDir: string): string | null {
  const named = readIfThere(path.join(adminDir, 'gitdir'))?.replace(/\n$/, '');
  return named ? path.dirname(path.resolve(adminDir, named)) : null;
}

/**
 * git itself keeps a lock file that says `initializing` until all is there, just before it calls the hook; libgit2 and others
 * write no such thing, and the index last. The launcher leaves `coppice-hook` before it starts Node.
 */
export function progressOf(adminDir: string): Progress {
  const root = rootOf(adminDir);
  if (root === null || !fs.existsSync(path.join(root, '.git')) || !readIfThere(path.join(adminDir, 'HEAD'))) return 'adding';
  if (readIfThere(path.join(adminDir, 'locked'))?.trim() === 'initializing') return 'adding';
  if (fs.existsSync(path.join(adminDir, 'index.lock'))) return 'adding';
  if (fs.existsSync(path.join(adminDir, 'coppice-hook'))) return 'hook';
  return fs.existsSync(path.join(adminDir, 'index')) ? 'added' : 'no index';
}

/** Whether a set-up has begun there, by the hook or by anybody. */
export function isTaken(adminDir: string): boolean {
  return fs.existsSync(path.join(adminDir, 'coppice'));
}
