import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { livingWorktreeIds } from './git/identity.ts';
import { claimsOf, forgetRepositoryClaims } from './ledger/claims.ts';
import { type Journal, openJournal, readJournal } from './ledger/journal.ts';
import { type Ownership, tryOwn } from './ledger/owner.ts';
import { emptyRecord, type ResourceRecord, type WorktreeRecord } from './ledger/record.ts';
import { recordedWorktrees, worktreeFolder } from './ledger/repositories.ts';
import type { StateDir } from './ledger/state-dir.ts';
import { errorCode } from './outcome.ts';
import type { Reporter } from './report/reporter.ts';
import { resourceType } from './resources/table.ts';
import { endLeftover } from './steps/process-group.ts';
import { destroyResources, releaseAll, releasePlace, type TypeLookup } from './take-down.ts';

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
    // A set-up that was killed at its very beginning has written nothing, and has no name yet.
    const known = readJournal(worktreeFolder(state, repository, id)) ?? emptyRecord(id, repository);
    const record = { ...known, slug: known.slug || id };
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
  let due = false;
  for (const { id, record: seen, keptUntil } of findVanished(where, types)) {
    due ||= hasService(seen, types) || (keptUntil !== null && keptUntil <= Date.now());
    if (holds(seen, types) && seen.goneAt !== null) continue;
    withRecord(where, id, (journal, finish) => {
      const { record } = journal;
      journal.append({ event: 'gone', at: new Date().toISOString() });
      const claims = claimsOf(where.state, worktreeFolder(where.state, where.repository, id), id, {
        path: record.path,
        repository: where.repository,
      });
      // What is still there keeps its own claims. Looked at again: its set-up may have gone on until now.
      if (holds(record, types)) releasePlace(journal, claims);
      else {
        releaseAll(journal, claims);
        finish();
      }
    });
  }
  const script = process.argv[1];
  if (due && script !== undefined)
    spawn(process.execPath, [script, 'gc', '--expired'], { cwd: where.commonDir, detached: true, stdio: 'ignore' }).unref();
}

/** How to destroy what a vanished worktree has. */
export interface DestroyOptions {
  report: Reporter;
  signal?: AbortSignal;
  types?: TypeLookup;
  /** Whether git has it again, after all. */
  stillThere?: typeof livesOn;
  /** Only what can be made again goes. */
  keepsData?: boolean;
  /** The right to its record, when the caller has it already. It is used up. */
  ownership?: Ownership;
}

/**
 * Destroys all that a vanished worktree still has, and forgets it.
 * @returns `kept` when something is left, which was said; `busy` when another process is at it, or it is not gone after all
 */
export async function destroyVanished(where: Where, id: string, options: DestroyOptions): Promise<'done' | 'kept' | 'busy'> {
  const { report, signal = new AbortController().signal, types = resourceType, stillThere = livesOn, keepsData = false } = options;
  const folder = worktreeFolder(where.state, where.repository, id);
  const ownership = options.ownership ?? ownVanished(folder);
  if (!ownership) return 'busy';
  const journal = openJournal(folder, id, where.repository);
  let finished = false;
  try {
    if (stillThere(where, id)) return 'busy';
    journal.append({ event: 'gone', at: journal.record.goneAt ?? new Date().toISOString() });
    // A step of a set-up that was killed may still run.
    for (const { process } of Object.values(journal.record.steps)) if (process !== null) await endLeftover(process);
    const claims = claimsOf(where.state, folder, id, { path: journal.record.path, repository: where.repository });
    if (!(await destroyResources({ journal, worktreePath: null, folder, claims, report, signal, types }, keepsData))) {
      releasePlace(journal, claims);
      return 'kept';
    }
    releaseAll(journal, claims);
    forget(where, id, () => {
      finished = true;
    });
    return 'done';
  } finally {
    journal.close();
    if (!finished) ownership.release();
  }
}

function withRecord(where: Where, id: string, work: (journal: Journal, finish: () => void) => void): void {
  const folder = worktreeFolder(where.state, where.repository, id);
  const ownership = ownVanished(folder);
  if (!ownership) return;
  const journal = openJournal(folder, id, where.repository);
  let finished = false;
  try {
    work(journal, () =>
      forget(where, id, () => {
        finished = true;
      }),
    );
  } finally {
    journal.close();
    if (!finished) ownership.release();
  }
}

function livesOn(where: Where, id: string): boolean {
  return livingWorktreeIds(where.commonDir).has(id);
}

/**
 * Destroys all that the worktrees of a repository have, and forgets it. Only for one that a person says is gone for good, or where
 * coppice is taken out.
 * @param stillThere whether a worktree is to be left alone
 * @returns false when something is left alone or could not be destroyed, and is still known
 */
export async function forgetRepository(where: Where, report: Reporter, stillThere: typeof livesOn = () => false): Promise<boolean> {
  let whole = true;
  for (const id of recordedWorktrees(where.state, where.repository))
    whole = (await destroyVanished(where, id, { report, stillThere })) === 'done' && whole;
  // One may have been set up meanwhile.
  if (!whole || recordedWorktrees(where.state, where.repository).length > 0) return false;
  forgetRepositoryClaims(where.state, where.repository);
  fs.rmSync(path.join(where.state.repos, where.repository), { recursive: true, force: true });
  return true;
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

/**
 * Removes the record of a worktree that has nothing left: first out of the list in one step, then file by file.
 * @param out called in between: there is no record to give back any more, whatever the disk then refuses
 */
function forget({ state, commonDir, repository }: Where, id: string, out: () => void): void {
  const folder = worktreeFolder(state, repository, id);
  const leaving = path.join(path.dirname(folder), `.gone-${id}`);
  fs.renameSync(folder, leaving);
  out();
  fs.rmSync(leaving, { recursive: true, force: true });
  fs.rmSync(path.join(commonDir, 'coppice', 'logs', id), { recursive: true, force: true });
}

/** Whether anything is left of it that takes more than giving back claims. */
function holds(record: WorktreeRecord, types: TypeLookup): boolean {
  return holdsData(record, types) || hasService(record, types);
}

function holdsData(record: WorktreeRecord, types: TypeLookup): boolean {
  return held(record).some(({ type }) => types(type).outside === 'data');
}

/** Whether something runs, or takes a place, that needs no keeping. */
function hasService(record: WorktreeRecord, types: TypeLookup): boolean {
  return held(record).some(
    ({ type, state }) => types(type).outside === 'service' || (types(type).stop !== undefined && state !== 'stopped'),
  );
}

/** What a worktree has, and what was left of it. */
export function held(record: WorktreeRecord): ResourceRecord[] {
  return [...record.left, ...Object.values(record.resources)].filter(({ state }) => state !== 'destroyed');
}
