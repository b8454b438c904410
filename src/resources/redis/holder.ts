import fs from 'node:fs';
import path from 'node:path';
import { makeFolder, readIfThere, removeIfThere, writeTemporary } from '../../ledger/document.ts';
import { claimOn } from '../address.ts';
import type { ResourceEffects } from '../resource.ts';

/** What follows the resource's name in the file of an index that it does not use any more. */
const LEFT = '\nleft\n';

/**
 * A claim is a worktree's; which of its resources has it says a file beside its ledger. The file goes first when an index is given
 * back: without it nothing but our mark proves that the database is ours.
 */
export function reserve(server: string, index: number, name: string, { claim, stateFolder }: ResourceEffects): boolean {
  const file = holderFile(stateFolder, server, index);
  const holder = readIfThere(file);
  if (holder !== null && holder !== name) return false;
  if (!claim(indexClaim(server, index))) return false;
  if (holder === null) write(file, name);
  return true;
}

/** The resource that has an index by that file, in use or left; null when it was given back. */
export function holderOf(server: string, index: number, { stateFolder }: Pick<ResourceEffects, 'stateFolder'>): string | null {
  const holder = readIfThere(holderFile(stateFolder, server, index));
  return holder === null ? null : holder.replace(LEFT, '');
}

/** From now on no resource uses the index; it stays the worktree's until it is given back. */
export function leave(server: string, index: number, name: string, { stateFolder }: ResourceEffects): void {
  write(holderFile(stateFolder, server, index), name + LEFT);
}

/** The first half of {@link giveUp}. */
export function dropHolder(server: string, index: number, { stateFolder }: Pick<ResourceEffects, 'stateFolder'>): void {
  removeIfThere(holderFile(stateFolder, server, index));
}

export function giveUp(server: string, index: number, effects: Pick<ResourceEffects, 'release' | 'stateFolder'>): void {
  dropHolder(server, index, effects);
  effects.release(indexClaim(server, index));
}

export function indexClaim(server: string, index: number): string {
  return claimOn('redis', server, String(index));
}

export function holderFile(stateFolder: string, server: string, index: number): string {
  return path.join(stateFolder, indexClaim(server, index));
}

function write(file: string, text: string): void {
  makeFolder(path.dirname(file));
  fs.renameSync(writeTemporary(file, text), file);
}
