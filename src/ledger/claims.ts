import fs from 'node:fs';
import path from 'node:path';
import { createDocument, linkNew, listFolder, parseHeader, readDocument, readIfThere, removeIfThere } from './document.ts';
import type { StateDir } from './state-dir.ts';

/**
 * Exclusive names on this machine: `port-3010`, `slot-<repository id>-2`, `slug-<repository id>-feature-x`, and
 * `base-3000-<repository id>`, which keeps a main worktree's port. A claim is a file with its owner's id in it, linked to
 * its name when complete: of any number of processes one wins, and no lock is held that a crash could leave.
 */
const FORMAT = 'coppice-claim';

/** Claims of one worktree. Only who owns the worktree's record may call `take` and `release`. */
export interface WorktreeClaims {
  /** @returns whether the name is ours now (it may have been before). */
  take(name: string): boolean;
  /** Whether the name is ours at this moment. */
  holds(name: string): boolean;
  release(name: string): void;
}

/**
 * @param folder the worktree's folder in the ledger; the content that all its claims share is kept there
 * @param worktree the worktree's id
 */
export function claimsOf(state: StateDir, folder: string, worktree: string, about: { path: string; repository: string }): WorktreeClaims {
  const content = path.join(folder, 'claim');
  return {
    take(name) {
      const file = path.join(state.claims, name);
      if (!fs.existsSync(content)) createDocument(content, FORMAT, { worktree, repository: about.repository, path: about.path });
      return linkNew(content, file) || claimOwner(state, name) === worktree;
    },
    holds: (name) => claimOwner(state, name) === worktree,
    release(name) {
      if (claimOwner(state, name) === worktree) removeIfThere(path.join(state.claims, name));
    },
  };
}

/** The id of the worktree (for a base: of the repository) that has a claim; null when nobody has. @throws {Failure} when damaged. */
export function claimOwner(state: StateDir, name: string): string | null {
  const file = path.join(state.claims, name);
  const text = readIfThere(file);
  return text === null ? null : String(parseHeader(text, FORMAT, file).worktree);
}

/** Where the worktree is that has a claim; null when nobody has. @throws {Failure} when damaged. */
export function claimPath(state: StateDir, name: string): string | null {
  const document = readDocument(path.join(state.claims, name), FORMAT);
  return document === null ? null : String(document.path);
}

/** Keeps a port for a repository's main worktree. Several repositories may have the same base. */
export function reserveBase(state: StateDir, port: number, repository: string): void {
  const file = path.join(state.claims, `base-${port}-${repository}`);
  if (!fs.existsSync(file)) createDocument(file, FORMAT, { worktree: repository, repository, path: 'the main worktree' });
}

/** Every name claimed at this moment. */
export function claimedNames(state: StateDir): Set<string> {
  return new Set(listFolder(state.claims));
}

/** The ports that no worktree may get: claimed by a worktree, or the base of a main worktree. */
export function reservedPorts(names: Set<string>): Set<number> {
  const ports = new Set<number>();
  for (const name of names) {
    const [kind, number] = name.split('-');
    if (kind === 'port' || kind === 'base') ports.add(Number(number));
  }
  return ports;
}

/** Removes every base and slug that a repository holds. For a repository that a person says is gone. */
export function forgetRepositoryClaims(state: StateDir, repository: string): void {
  for (const name of listFolder(state.claims)) {
    if (name.startsWith('base-') && name.endsWith(`-${repository}`)) removeIfThere(path.join(state.claims, name));
  }
}
