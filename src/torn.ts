import fs from 'node:fs';
import path from 'node:path';
import { livingWorktreeIds } from './git/identity.ts';
import { listFolder, statIfThere } from './ledger/document.ts';
import { recordedWorktrees } from './ledger/repositories.ts';
import type { StateDir } from './ledger/state-dir.ts';

/** A temporary file lives for as long as it takes to write a line; one of this age, in milliseconds, is nobody's. */
const NOBODYS_AFTER_MS = 60 * 60 * 1000;

/**
 * Removes what a process that was killed, or a full disk, left half done in a repository and its part of the ledger: records and
 * logs on their way out, temporary files. None of it means anything to anybody.
 */
export function removeTorn({ state, commonDir, repository }: { state: StateDir; commonDir: string; repository: string }): void {
  const ours = path.join(commonDir, 'coppice');
  const entry = path.join(state.repos, repository);
  const records = path.join(entry, 'worktrees');
  for (const name of listFolder(records)) if (name.startsWith('.gone-')) remove(path.join(records, name));
  for (const folder of [state.claims, entry, ours, path.join(ours, 'branches')]) removeTemporaries(folder);
  const logs = path.join(ours, 'logs');
  // In this order: a worktree that is added meanwhile has no logs yet, or is in both of the others.
  const ids = listFolder(logs);
  const known = new Set([...recordedWorktrees(state, repository), ...livingWorktreeIds(commonDir)]);
  for (const id of ids) if (!known.has(id)) remove(path.join(logs, id));
}

function removeTemporaries(folder: string): void {
  for (const name of listFolder(folder)) {
    const file = path.join(folder, name);
    const isOld = Date.now() - (statIfThere(file)?.mtimeMs ?? Date.now()) > NOBODYS_AFTER_MS;
    if (name.startsWith('.tmp-') && isOld) remove(file);
  }
}

function remove(file: string): void {
  fs.rmSync(file, { recursive: true, force: true });
}
