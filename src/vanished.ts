import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { livingWorktreeIds } from './git/identity.ts';
import { claimsOf, forgetRepositoryClaims } from './ledger/claims.ts';
import { type Journal, openJournal, readJournal } from './ledger/journal.ts';
import { type Ownership, tryOwn } from './ledger/owner.ts';
import type { WorktreeRecord } from './ledger/record.ts';
import { recordedWorktrees, worktreeFolder } from './ledger/repositories.ts';
import type { StateDir } from './ledger/state-dir.ts';
import { errorCode } from './outcome.ts';
import { resourceType } from './plan.ts';
import { destroyResources, releaseAll, type TypeLookup } from './take-down.ts';

/** A worktree that the ledger knows and git does not have any more. */
export interface Vanished {
  id: string;
  record: WorktreeRecord;
  /** When what it holds outside its folder may be destroyed without being asked, in milliseconds since 1970; null when it holds nothing. */
  keptUntil: number | null;
}

interface Where {
  state: StateDir;
  commonDir: string;
  repository: string;
}

/**
 * The worktrees of a repository that are gone.
 * @throws when git's folders cannot be read: that is unknown, never gone
 */
export function findVanished({ state, commonDir, repository }: Where, types: TypeLookup = resourceType): Vanished[] {
  // In this order: a worktree that is added meanwhile is in neither list, or in both.
  const recorded = recordedWorktrees(state, repository);
  const living = livingWorktreeIds(commonDir);
  return recorded.flatMap((id) => {
    if (living.has(id)) return [];
    const record = readJournal(worktreeFolder(state, repository, id));
    if (record === null) return [];
    return [
      { id, record, keptUntil: holdsData(record, types) ? Date.parse(record.goneAt ?? new Date().toISOString()) + record.keepMs : null },
    ];
  });
}

/**
 * What every set-up does first: what can be made again (ports, slot, slug) is given back at once. What holds data stays for
 * `keep:`; when that is over, a detached process destroys it.
 */
export function releaseVanished(where: Where, types: TypeLookup = resourceType): void {
  let expired = false;
  for (const { id, record, keptUntil } of findVanished(where, types)) {
    expired ||= keptUntil !== null && keptUntil <= Date.now();
    if (keptUntil !== null && record.goneAt !== null) continue;
    withRecord(where, id, (journal, finish) => {
      journal.append({ event: 'gone', at: new Date().toISOString() });
      releaseAll(
        journal,
        claimsOf(where.state, worktreeFolder(where.state, where.repository, id), id, { path: record.path, repository: where.repository }),
      );
      if (keptUntil === null) finish();
    });
  }
  const script = process.argv[1];
  if (expired && script !== undefined)
    spawn(process.execPath, [script, 'gc', '--expired'], { cwd: where.commonDir, detached: true, stdio: 'ignore' }).unref();
}

/** Destroys all that a vanished worktree still has, and forgets it. @returns false when another process is at it */
export async function destroyVanished(where: Where, id: string, types: TypeLookup = resourceType, stillThere = livesOn): Promise<boolean> {
  const folder = worktreeFolder(where.state, where.repository, id);
  const held = ownVanished(folder);
  if (!held) return false;
  const journal = openJournal(folder, id, where.repository);
  let finished = false;
  try {
    if (stillThere(where, id)) return false;
    journal.append({ event: 'gone', at: journal.record.goneAt ?? new Date().toISOString() });
    await destroyResources(journal, null, null, () => false, types);
    releaseAll(journal, claimsOf(where.state, folder, id, { path: journal.record.path, repository: where.repository }));
    forget(where, id);
    finished = true;
    return true;
  } finally {
    journal.close();
    if (!finished) held.release();
  }
}

function withRecord(where: Where, id: string, work: (journal: Journal, finish: () => void) => void): void {
  const folder = worktreeFolder(where.state, where.repository, id);
  const held = ownVanished(folder);
  if (!held) return;
  const journal = openJournal(folder, id, where.repository);
  let finished = false;
  try {
    work(journal, () => {
      forget(where, id);
      finished = true;
    });
  } finally {
    journal.close();
    if (!finished) held.release();
  }
}

function livesOn(where: Where, id: string): boolean {
  return livingWorktreeIds(where.commonDir).has(id);
}

/** Destroys all that the worktrees of a repository have, and forgets it. Only for one that a person says is gone for good. */
export async function forgetRepository(where: Where): Promise<void> {
  for (const id of recordedWorktrees(where.state, where.repository)) await destroyVanished(where, id, resourceType, () => false);
  forgetRepositoryClaims(where.state, where.repository);
  fs.rmSync(path.join(where.state.repos, where.repository), { recursive: true, force: true });
}

/** Null when another process is at it, or has just finished with it. */
function ownVanished(folder: string): Ownership | null {
  try {
    const attempt = tryOwn(folder, 'gc');
    return 'held' in attempt ? attempt.held : null;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && !fs.existsSync(folder)) return null;
    throw error;
  }
}

/** Removes the record of a worktree that has nothing left: first out of the list in one step, then file by file. */
function forget({ state, commonDir, repository }: Where, id: string): void {
  const folder = worktreeFolder(state, repository, id);
  const leaving = path.join(path.dirname(folder), `.gone-${id}`);
  fs.renameSync(folder, leaving);
  fs.rmSync(leaving, { recursive: true, force: true });
  fs.rmSync(path.join(commonDir, 'coppice', 'logs', id), { recursive: true, force: true });
}

function holdsData(record: WorktreeRecord, types: TypeLookup): boolean {
  return Object.values(record.resources).some((resource) => resource.state !== 'destroyed' && types(resource.type).durable);
}
