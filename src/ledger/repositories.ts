import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { createDocument, FOR_ALL, listFolder, makeFolder, readDocument, replaceDocument } from './document.ts';
import { openStateDir, type StateDir } from './state-dir.ts';

const FORMAT = 'coppice-repository';

/** A repository that has, or had, worktrees set up on this machine. */
export interface KnownRepository {
  id: string;
  /** The common git directory, where it was at the last set-up. */
  commonDir: string;
}

/**
 * The id of a repository, kept in its common git directory so that it survives a move. Null before the first set-up, and in a copy
 * of one that is still where it was: that one's worktrees are not the copy's.
 */
export function readRepositoryId(commonDir: string): string | null {
  const id = writtenId(commonDir);
  const known = id === null ? null : knownAs(openStateDir(), id);
  return known !== null && isCopyOf(known, commonDir, id) ? null : id;
}

function knownAs(state: StateDir, id: string): string | null {
  const document = readDocument(path.join(state.repos, id, 'repository'), FORMAT);
  return document === null ? null : String(document.commonDir);
}

function writtenId(commonDir: string): string | null {
  const document = readDocument(path.join(commonDir, 'coppice', 'repository'), FORMAT);
  return document === null ? null : String(document.id);
}

/** The id of a repository, given at first use; the ledger then knows the repository and where it is. */
export function knowRepository(state: StateDir, commonDir: string): string {
  let id = writtenId(commonDir);
  if (id === null) {
    makeFolder(path.join(commonDir, 'coppice'), 0o777);
    createDocument(path.join(commonDir, 'coppice', 'repository'), FORMAT, { id: randomUUID() }, FOR_ALL);
    id = writtenId(commonDir);
    if (id === null) throw new Error(`${commonDir}/coppice/repository vanished`);
  }
  const known = knownAs(state, id);
  if (known === null) makeFolder(path.join(state.repos, id, 'worktrees'));
  if (known !== null && isCopyOf(known, commonDir, id)) {
    // Under the first one's id it would take the first one's worktrees for vanished.
    replaceDocument(path.join(commonDir, 'coppice', 'repository'), FORMAT, { id: randomUUID() }, FOR_ALL);
    return knowRepository(state, commonDir);
  }
  if (known !== commonDir) replaceDocument(path.join(state.repos, id, 'repository'), FORMAT, { id, commonDir });
  return id;
}

/** Whether the repository that is known by this id is still where it was, and another folder than this. */
function isCopyOf(knownDir: string, commonDir: string, id: string | null): boolean {
  if (knownDir === commonDir) return false;
  const known = fs.statSync(knownDir, { throwIfNoEntry: false });
  const here = fs.statSync(commonDir);
  return known !== undefined && (known.dev !== here.dev || known.ino !== here.ino) && writtenId(knownDir) === id;
}

/** Every repository that the ledger knows. @throws {Failure} when an entry is damaged. */
export function knownRepositories(state: StateDir): KnownRepository[] {
  return listFolder(state.repos).flatMap((id) => {
    const commonDir = knownAs(state, id);
    return commonDir === null ? [] : [{ id, commonDir }];
  });
}

/** The folder of the ledger that holds a worktree's owner, journal and claim. */
export function worktreeFolder(state: StateDir, repository: string, worktree: string): string {
  return path.join(state.repos, repository, 'worktrees', worktree);
}

/** Where the resources of a worktree keep what they have on this machine: a server's data, a generated file. */
export function stateFolder(folder: string): string {
  return path.join(folder, 'state');
}

/** The ids of the worktrees of a repository that the ledger has a record of. */
export function recordedWorktrees(state: StateDir, repository: string): string[] {
  return listFolder(path.join(state.repos, repository, 'worktrees')).filter((name) => !name.startsWith('.'));
}
