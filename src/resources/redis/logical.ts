import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { readIfThere, removeIfThere } from '../../ledger/document.ts';
import { Failure } from '../../outcome.ts';
import { addressOf, claimOn, type Origin } from '../address.ts';
import type { DestroyEffects, ResourceEffects } from '../resource.ts';
import { connected, type RedisConnection, RedisError, type RedisTarget, select } from './connection.ts';
import { REDIS, REDIS_PORT, redisAddress } from './url.ts';

/** The key that says whose a logical database is; its value is the worktree's id. */
const MARK = 'coppice:worktree';
/** Where the server does not say how many it has, it is asked for one after another. */
const MOST_INDEXES = 100_000;
/** Of so many, `doctor` looks at. */
const SEEN_INDEXES = 256;
/** How often a database that changes while it is looked at is looked at again. */
const ATTEMPTS = 20;

/** What the ledger knows of an index. */
export interface MadeIndex {
  server: string;
  index: number;
  /** That the mark was set: from then on what is there is the worktree's, also when the app has emptied it, mark and all. */
  marked: boolean;
  /** What told that server from another at its address. */
  identity: string;
}

/** Null while none is chosen. */
export function madeIndex(made: Record<string, string>): MadeIndex | null {
  const { server = '', index, marked, identity = '' } = made;
  return index === undefined ? null : { server, index: Number(index), marked: marked !== undefined, identity };
}

/** Who wants an index, and where. */
export interface IndexWish {
  /** The resource: a worktree can have several at one server. */
  name: string;
  target: RedisTarget;
  /** Those that the main worktree uses. */
  taken: ReadonlySet<number>;
  /** The one that an earlier run chose. */
  before: MadeIndex | null;
}

/**
 * Finds a logical database that nobody has, and marks it. The claim keeps every other worktree of this machine away, emptiness
 * proves that no program uses it, and the mark tells whoever does not know our claims.
 * @param intend writes down which one is about to be marked
 * @throws {Failure} when none is left
 */
export async function takeIndex(
  { name, target, taken, before }: IndexWish,
  effects: ResourceEffects,
  intend: (index: number) => void,
): Promise<{ index: number; identity: string }> {
  const { server } = target;
  return connected(target, effects.signal, async (connection) => {
    const identity = await identify(connection);
    const count = await countIndexes(connection);
    // The highest that is there, where the server does not say how many it has.
    let last = 0;
    for (const index of candidates(before, count)) {
      if (taken.has(index) || !reserve(server, index, name, effects)) {
        last = Math.max(last, index);
        continue;
      }
      if (!(await trySelect(connection, index))) {
        giveUp(server, index, effects);
        if (index === before?.index) continue;
        break;
      }
      last = Math.max(last, index);
      const mine = before?.index === index && before.marked && before.identity === identity;
      if (await markIndex(connection, effects.worktreeId, mine, () => intend(index))) return { index, identity };
      giveUp(server, index, effects);
    }
    throw new Failure(
      count === 1 || (last === 0 && count === MOST_INDEXES)
        ? `Redis at ${server} has no database but 0, which stays the main worktree's: say \`isolate: server\`.`
        : `Every database of Redis at ${server} is taken: say \`isolate: server\`, or free those of worktrees that are gone with \`git coppice gc --all\`.`,
    );
  });
}

/** For `doctor`: how many databases are there, and how many hold nothing. Nothing is claimed or marked. */
export async function examineIndexes({ target, taken }: IndexWish, signal: AbortSignal): Promise<string> {
  return connected(target, signal, async (connection) => {
    const count = Math.min(await countIndexes(connection), SEEN_INDEXES);
    let empty = 0;
    for (let index = 1; index < count; index += 1)
      if (!taken.has(index) && (await trySelect(connection, index)) && (await connection.command('DBSIZE')) === 0) empty += 1;
    if (empty === 0)
      throw new Failure(
        `Every database of Redis at ${target.server} is taken: say \`isolate: server\`, or free those of worktrees that are gone with \`git coppice gc --all\`.`,
      );
    return `Redis at ${target.server}, ${empty} of ${count} databases are empty`;
  });
}

/** Never 0: it is what every program uses that nobody has told otherwise. */
function* candidates(before: MadeIndex | null, count: number): Generator<number> {
  if (before !== null && before.index > 0) yield before.index;
  for (let index = 1; index < count; index += 1) if (index !== before?.index) yield index;
}

/** The claim is the worktree's; which of its resources has it says a file beside its ledger. @returns whether it is this one's now */
function reserve(server: string, index: number, name: string, { claim, stateFolder }: ResourceEffects): boolean {
  const file = holderFile(stateFolder, server, index);
  const holder = readIfThere(file);
  if (holder !== null && holder !== name) return false;
  if (!claim(indexClaim(server, index))) return false;
  if (holder === null) {
    fs.mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
    fs.writeFileSync(file, name, { mode: 0o600 });
  }
  return true;
}

function giveUp(server: string, index: number, { release, stateFolder }: Pick<ResourceEffects, 'release' | 'stateFolder'>): void {
  removeIfThere(holderFile(stateFolder, server, index));
  release(indexClaim(server, index));
}

function indexClaim(server: string, index: number): string {
  return claimOn('redis', server, String(index));
}

function holderFile(stateFolder: string, server: string, index: number): string {
  return path.join(stateFolder, indexClaim(server, index));
}

/** Whether the database is the worktree's now. What anybody else has is not touched. */
async function markIndex(connection: RedisConnection, id: string, mine: boolean, intend: () => void): Promise<boolean> {
  const mark = await readMark(connection);
  if (mark !== null && mark !== id) return false;
  if (mark === null && !mine && (await connection.command('DBSIZE')) !== 0) return false;
  await mayEmpty(connection);
  intend();
  if (mark === id) return true;
  await connection.command('MULTI');
  await connection.command('SET', MARK, id, 'NX');
  await connection.command('DBSIZE');
  const replies = await connection.command('EXEC');
  const [set, size] = Array.isArray(replies) ? replies : [];
  for (const reply of [set, size]) if (reply instanceof Error) throw new RedisError(reply.message);
  if (set === 'OK' && (mine || size === 1)) return true;
  // Somebody came in between.
  if (set === 'OK') await removeMark(connection, id);
  return false;
}

/** A user who may not empty it could never give it back: asked without doing it. */
async function mayEmpty(connection: RedisConnection): Promise<void> {
  await connection.command('MULTI');
  try {
    await connection.command('FLUSHDB');
  } finally {
    await connection.command('DISCARD');
  }
}

async function removeMark(connection: RedisConnection, id: string): Promise<void> {
  await connection.command('WATCH', MARK);
  if ((await readMark(connection)) === id) {
    await connection.command('MULTI');
    await connection.command('DEL', MARK);
    await connection.command('EXEC');
  } else await connection.command('UNWATCH');
}

/** Whether the index is still the worktree's. A mark that the app has flushed away is set again. */
export async function isIndexIntact({ name, target, before: made, taken }: IndexWish, effects: ResourceEffects): Promise<boolean> {
  if (!made?.marked || taken.has(made.index) || !reserve(target.server, made.index, name, effects)) return false;
  return connected(target, effects.signal, async (connection) => {
    if (!(await trySelect(connection, made.index))) return false;
    const mark = await readMark(connection);
    if (mark !== null) return mark === effects.worktreeId;
    if ((await identify(connection)) !== made.identity && (await connection.command('DBSIZE')) !== 0) return false;
    return (await connection.command('SET', MARK, effects.worktreeId, 'NX')) === 'OK';
  });
}

/**
 * Empties an index and gives it back, when it is proven to be the worktree's: by its mark, or by the ledger where the app has
 * flushed the mark away. Another's mark, or another server at the address, is a veto.
 */
export async function giveIndexBack(made: Record<string, string>, effects: DestroyEffects): Promise<void> {
  const known = madeIndex(made);
  if (known === null) return;
  const claim = indexClaim(known.server, known.index);
  const { target, inUse } = await targetNow(made, known.server);
  await connected(target, effects.signal, async (connection) => {
    if (!(await trySelect(connection, known.index))) return;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1)
      if (await emptied(connection, known, inUse.includes(known.index), effects.holds(claim), effects.worktreeId)) return;
    throw new Failure(`Database ${known.index} of Redis at ${known.server} changes hands all the time, so it is left: try again.`);
  });
  giveUp(known.server, known.index, effects);
}

/** @returns false when its mark changed meanwhile */
async function emptied(
  connection: RedisConnection,
  { server, index, marked, identity }: MadeIndex,
  isMain: boolean,
  held: boolean,
  id: string,
): Promise<boolean> {
  await connection.command('WATCH', MARK);
  const mark = await readMark(connection);
  if (mark !== null && mark !== id) {
    // Given back before, and another's since.
    if (!held) return true;
    throw new Failure(
      `Database ${index} of Redis at ${server} bears another worktree's mark now, so it is not emptied. When nobody needs it: \`redis-cli -n ${index} flushdb\`.`,
    );
  }
  if (mark === null) {
    // Without a claim it was given back, and without `marked` nobody was ever sent there.
    if (!held || !marked || isMain || (await connection.command('DBSIZE')) === 0) return true;
    if ((await identify(connection)) !== identity)
      throw new Failure(
        `Database ${index} of Redis at ${server} holds keys without this worktree's mark, and it is not the server that was there, so it is not emptied. When nobody needs them: \`redis-cli -n ${index} flushdb\`.`,
      );
  }
  await connection.command('MULTI');
  // What the main worktree uses by now, or what nobody was sent to, loses our mark and nothing else.
  await connection.command(...(isMain || !marked ? ['DEL', MARK] : ['FLUSHDB']));
  const replies = await connection.command('EXEC');
  for (const reply of Array.isArray(replies) ? replies : []) if (reply instanceof Error) throw new RedisError(reply.message);
  return replies !== null;
}

/** The server, by the main worktree's env files; where they name another by now, without a password. */
async function targetNow(made: Record<string, string>, server: string): Promise<{ target: RedisTarget; inUse: number[] }> {
  const origin = JSON.parse(made.origin ?? '{}') as Origin;
  let why: Failure | null = null;
  try {
    const address = redisAddress(await addressOf(origin, REDIS), origin.name);
    if (address.server === server) return { target: address, inUse: address.indexes };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    why = error;
  }
  if (made.secret !== undefined)
    throw new Failure(
      `The password of Redis at ${server} is not known any more: ${why?.message ?? `\`${origin.name}\` of the main worktree names another server now.`}`,
    );
  return { target: withoutPassword(server, made.tls !== undefined), inUse: [] };
}

function withoutPassword(server: string, tls: boolean): RedisTarget {
  const [, socket = null, host = '', port = REDIS_PORT] = /^(?:unix:(.*)|(.*):(\d+))$/s.exec(server) ?? [];
  return { user: '', password: '', host, port: Number(port), socket, tls, anyCertificate: false, server };
}

/** Null when there is none. A key of that name that is no text is nobody's mark, and not ours. */
async function readMark(connection: RedisConnection): Promise<string | null> {
  try {
    const mark = await connection.command('GET', MARK);
    return mark === null ? null : String(mark);
  } catch (error) {
    if (error instanceof RedisError && error.code === 'WRONGTYPE') return '';
    throw error;
  }
}

/** @returns false when the server has no such database */
async function trySelect(connection: RedisConnection, index: number): Promise<boolean> {
  try {
    await select(connection, index);
    return true;
  } catch (error) {
    if (error instanceof RedisError && /out of range|invalid DB index/i.test(error.message)) return false;
    throw error;
  }
}

/** How many databases the server has; more than it can have, where it does not say. */
async function countIndexes(connection: RedisConnection): Promise<number> {
  const reply = await orNull(connection, 'CONFIG', 'GET', 'databases');
  const count = Array.isArray(reply) ? Number(reply[1]) : Number.NaN;
  return Number.isInteger(count) && count > 0 ? count : MOST_INDEXES;
}

/**
 * What tells a server from another that stands at its address later, and stays the same over restarts: where its program and
 * its config file are. Empty where the server does not say.
 */
async function identify(connection: RedisConnection): Promise<string> {
  const reply = await orNull(connection, 'INFO', 'server');
  const lines = String(reply ?? '')
    .split(/\r?\n/)
    .filter((line) => /^(executable|config_file):/.test(line));
  return lines.length === 0 ? '' : createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
}

/** Null when this user may not ask, or the server does not know the question. */
async function orNull(connection: RedisConnection, ...words: string[]): Promise<string | number | null | unknown[]> {
  try {
    const reply = await connection.command(...words);
    return reply instanceof Error ? null : reply;
  } catch (error) {
    if (error instanceof RedisError && (error.code === 'NOPERM' || error.code === 'ERR')) return null;
    throw error;
  }
}
