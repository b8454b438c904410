import path from 'node:path';
import { claimPath } from '../../ledger/claims.ts';
import { listFolder, makeFolder, readDocument, removeIfThere, replaceDocument } from '../../ledger/document.ts';
import { knownRepositories } from '../../ledger/repositories.ts';
import { openStateDir, type StateDir } from '../../ledger/state-dir.ts';
import type { ResourceEffects } from '../resource.ts';
import { indexClaim } from './holder.ts';
import { indexesIn } from './url.ts';

const FORMAT = 'coppice-main-redis';
/** Variables that name a database by its number alone: `REDIS_CACHE_DB`, `CACHE_DB_INDEX`, `SPRING_DATA_REDIS_DATABASE`. */
const NUMBER_NAME = /(^|_)(db|database)(_?(index|number|num|no|id))?$|(redis|valkey|keydb).*(db|database|index)/i;
const NUMBER = /^\d{1,5}$/;

/**
 * The databases of a server that an env file names: in URLs, and by a number alone. Of such a number no one knows which server is
 * meant, or whether it is a Redis at all; to avoid one too many costs little.
 */
export function indexesNamed(env: Record<string, string>, server: string): Set<number> {
  const named = Object.entries(env).flatMap(([name, value]) =>
    NUMBER_NAME.test(name) && NUMBER.test(value.trim()) ? [Number(value)] : indexesIn(value, server),
  );
  return new Set([0, ...named]);
}

/** The databases that a main worktree uses at a server. */
export interface MainIndexes {
  server: string;
  indexes: ReadonlySet<number>;
}

/**
 * Keeps what a main worktree uses from the worktrees of every repository on this machine: a queue that is empty at this moment
 * looks like a database that nobody has. Who has one of these already is named, once.
 */
export function reserveMainIndexes(name: string, { server, indexes }: MainIndexes, effects: ResourceEffects): void {
  const state = openStateDir();
  const file = path.join(folderOf(state, effects.repositoryId), name);
  const others = [...indexes].filter((index) => index !== 0).sort((a, b) => a - b);
  const known = readDocument(file, FORMAT);
  if (others.length === 0) removeIfThere(file);
  if (others.length === 0 || (known?.server === server && JSON.stringify(known.indexes) === JSON.stringify(others))) return;
  makeFolder(path.dirname(file));
  replaceDocument(file, FORMAT, { server, indexes: others });
  for (const index of others) sayWhoHas(name, server, index, state, effects);
}

function sayWhoHas(name: string, server: string, index: number, state: StateDir, { worktreePath, say }: ResourceEffects): void {
  const other = claimPath(state, indexClaim(server, index));
  if (other !== null && other !== worktreePath)
    say(
      `${name}: the main worktree's env files name database ${index} of Redis at ${server}, and ${other} has it: \`git coppice up\` there moves it to another`,
    );
}

/** The databases of a server that main worktrees of this machine's repositories have reserved. */
export function reservedIndexes(server: string): Set<number> {
  const state = openStateDir();
  const documents = knownRepositories(state).flatMap(({ id }) => {
    const folder = folderOf(state, id);
    // A name with a dot before it is a file that is being written.
    const names = listFolder(folder).filter((name) => !name.startsWith('.'));
    return names.map((name) => readDocument(path.join(folder, name), FORMAT));
  });
  return new Set(documents.flatMap((document) => (document?.server === server ? (document.indexes as number[]) : [])));
}

function folderOf(state: StateDir, repository: string): string {
  return path.join(state.repos, repository, 'main-redis');
}
