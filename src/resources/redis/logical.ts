import { Failure } from '../../outcome.ts';
import type { ResourceEffects } from '../resource.ts';
import { connected, type RedisConnection, type RedisTarget, trySelect } from './connection.ts';
import { giveUp, holderOf, leave, reserve } from './holder.ts';
import { reservedIndexes } from './main-indexes.ts';
import { orNull, runOf, setMark, unproven, type Whose, whoseIs } from './mark.ts';

/** Where the server does not say how many it has, it is asked for one after another. */
const MOST_INDEXES = 100_000;
/** Of so many, `doctor` looks at. */
const SEEN_INDEXES = 256;

/** What the ledger knows of an index. */
export interface MadeIndex {
  server: string;
  index: number;
  /** That the mark was set: a worktree was sent there. */
  marked: boolean;
  /** The server process in which the mark was last seen; empty for none. */
  run: string;
}

/** Null while none is chosen. */
export function madeIndex(made: Record<string, string>): MadeIndex | null {
  const { server = '', index, marked, run = '' } = made;
  return index === undefined ? null : { server, index: Number(index), marked: marked !== undefined, run };
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

/** What an index is to a worktree that would have it. `main`: a main worktree's. `absent`: the server has no such database. */
type Standing = Whose | 'main' | 'absent';

/**
 * Finds a logical database that nobody has, and marks it. The claim keeps every other worktree of this machine away, emptiness
 * proves that no program uses it, and the mark tells whoever does not know our claims. An index that the worktree had and that is
 * not proven to be its own any more is left: it stays in the ledger.
 * @param intend writes down which one is about to be marked, and whether the one before is left
 * @throws {Failure} when none is left
 */
export async function takeIndex(
  wish: IndexWish,
  effects: ResourceEffects,
  intend: (index: number, leaves: boolean) => void,
): Promise<{ index: number; run: string }> {
  const { name, target, taken, before } = wish;
  const { server } = target;
  return connected(target, effects.signal, async (connection) => {
    const count = await countIndexes(connection);
    const seen = runSeen(wish, effects);
    // The highest that is there, where the server does not say how many it has.
    let last = 0;
    let departure = mayLeave(wish, effects);
    const start = (index: number) => {
      const leaves = departure !== null && departure.index !== index;
      if (leaves && departure !== null) depart(departure, wish, effects);
      intend(index, leaves);
      if (leaves) departure = null;
    };
    for (const index of candidates(before, count)) {
      if (taken.has(index) || !reserve(server, index, name, effects)) {
        last = Math.max(last, index);
        continue;
      }
      const standing = await standingOf(connection, server, index, effects.worktreeId, index === before?.index ? seen : '');
      if (standing !== 'absent') last = Math.max(last, index);
      if (isFree(standing) && (await markAfter(connection, effects.worktreeId, standing, () => start(index))))
        return { index, run: await runOf(connection) };
      if (departure?.index === index) departure.why = standing;
      else giveUp(server, index, effects);
      if (standing === 'absent' && index !== before?.index) break;
    }
    throw new Failure(
      count === 1 || (last === 0 && count === MOST_INDEXES)
        ? `Redis at ${server} has no database but 0, which stays the main worktree's: say \`isolate: server\`.`
        : allTaken(server),
    );
  });
}

function allTaken(server: string): string {
  return `Every database of Redis at ${server} is taken: say \`isolate: server\`, or free those of worktrees that are gone with \`git coppice gc --all\`.`;
}

/** For `doctor`: how many databases are there, and how many hold nothing. Nothing is claimed or marked. */
export async function examineIndexes({ target, taken }: IndexWish, signal: AbortSignal): Promise<string> {
  return connected(target, signal, async (connection) => {
    const count = Math.min(await countIndexes(connection), SEEN_INDEXES);
    const reserved = reservedIndexes(target.server);
    let empty = 0;
    for (let index = 1; index < count; index += 1) {
      if (taken.has(index) || reserved.has(index)) continue;
      if ((await trySelect(connection, index)) && (await connection.command('DBSIZE')) === 0) empty += 1;
    }
    if (empty === 0) throw new Failure(allTaken(target.server));
    return `Redis at ${target.server}, ${empty} of ${count} databases are free`;
  });
}

/** Never 0: it is what every program uses that nobody has told otherwise. */
function* candidates(before: MadeIndex | null, count: number): Generator<number> {
  if (before !== null && before.index > 0) yield before.index;
  for (let index = 1; index < count; index += 1) if (index !== before?.index) yield index;
}

/** The process in which the mark was last seen, while the index has not been given back. */
function runSeen({ name, before }: IndexWish, effects: ResourceEffects): string {
  return before?.marked && holderOf(before.server, before.index, effects) === name ? before.run : '';
}

/** An index that the worktree was sent to and that is not used any more; null where that is known of an earlier run. */
interface Departure {
  index: number;
  why: Standing | null;
}

function mayLeave({ name, before, taken }: IndexWish, effects: ResourceEffects): Departure | null {
  const had = before?.marked && holderOf(before.server, before.index, effects) === name;
  return had ? { index: before.index, why: taken.has(before.index) ? 'main' : null } : null;
}

/** The file first: a run that is killed before the ledger has it leaves it once more. */
function depart({ index, why }: Departure, { name, target: { server } }: IndexWish, effects: ResourceEffects): void {
  leave(server, index, name, effects);
  const reason = why === null ? 'was left' : (DEPARTURES[why] ?? unproven("the worktree's"));
  effects.say(
    `${name}: database ${index} of Redis at ${server} ${reason}; it is left as it is, and another is used. \`git coppice down\` gives back what is proven to be the worktree's`,
  );
}

const DEPARTURES: Partial<Record<Standing, string>> = {
  main: "is named by a main worktree's env files now",
  another: "bears another worktree's mark now",
  absent: 'is not there any more',
};

/** An index that is the worktree's claim by now: the claim comes first, so that of two that look both see the other's. */
async function standingOf(connection: RedisConnection, server: string, index: number, id: string, run: string): Promise<Standing> {
  if (reservedIndexes(server).has(index)) return 'main';
  if (!(await trySelect(connection, index))) return 'absent';
  return whoseIs(connection, id, run);
}

function isFree(standing: Standing): standing is 'ours' | 'nobody' {
  return standing === 'ours' || standing === 'nobody';
}

/** Marks a database once it is written down. @returns whether it is the worktree's now */
async function markAfter(connection: RedisConnection, id: string, standing: Standing, intend: () => void): Promise<boolean> {
  await mayEmpty(connection);
  intend();
  return setMark(connection, id, standing === 'ours');
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

/**
 * Whether the index is still the worktree's. A mark that the app has flushed away is set again.
 * @returns the server process that has it; null when it is not proven to be the worktree's
 */
export async function intactIn(wish: IndexWish, effects: ResourceEffects): Promise<string | null> {
  const { name, target, before: made, taken } = wish;
  if (!made?.marked || taken.has(made.index) || holderOf(made.server, made.index, effects) !== name) return null;
  if (!reserve(target.server, made.index, name, effects)) return null;
  return connected(target, effects.signal, async (connection) => {
    const standing = await standingOf(connection, target.server, made.index, effects.worktreeId, made.run);
    if (!isFree(standing) || !(await setMark(connection, effects.worktreeId, standing === 'ours'))) return null;
    return runOf(connection);
  });
}

/** How many databases the server has; more than it can have, where it does not say. */
async function countIndexes(connection: RedisConnection): Promise<number> {
  const reply = await orNull(connection, 'CONFIG', 'GET', 'databases');
  const count = Array.isArray(reply) ? Number(reply[1]) : Number.NaN;
  return Number.isInteger(count) && count > 0 ? count : MOST_INDEXES;
}
