import { type RedisConnection, RedisError } from './connection.ts';

/** The key that says whose a logical database is; its value is the worktree's id. */
const MARK = 'coppice:worktree';

/** Whose a logical database is, as far as it is proven. `nobody`: it holds nothing. */
export type Whose = 'ours' | 'another' | 'nobody' | 'unproven';

/**
 * Whose the selected database is. The mark says it. Without one, keys are ours only in the server process in which our mark was
 * last seen: there the app has flushed the mark and gone on. Two servers of one image cannot be told from each other by anything
 * but their process.
 * @param run the process in which our mark was last seen (see {@link runOf}); empty for none
 */
export async function whoseIs(connection: RedisConnection, id: string, run: string): Promise<Whose> {
  const mark = await readMark(connection);
  if (mark !== null) return mark === id ? 'ours' : 'another';
  if ((await connection.command('DBSIZE')) === 0) return 'nobody';
  return run !== '' && run === (await runOf(connection)) ? 'ours' : 'unproven';
}

/** Why keys are not proven to be a worktree's, e.g. of "this worktree's". */
export function unproven(whose: string): string {
  return `holds keys without ${whose} mark, and its server may be another one than when the mark was last seen`;
}

/** The server process, by a number that Redis draws at each start: https://redis.io/docs/latest/commands/info/. Empty where it is not said. */
export async function runOf(connection: RedisConnection): Promise<string> {
  const reply = await orNull(connection, 'INFO', 'server');
  return /^run_id:(\w+)/m.exec(String(reply ?? ''))?.[1] ?? '';
}

/**
 * Marks the selected database.
 * @param mine whether what is there is proven to be ours; else it must be empty
 * @returns whether it bears our mark now; what anybody else has is not touched
 */
export async function setMark(connection: RedisConnection, id: string, mine: boolean): Promise<boolean> {
  if ((await readMark(connection)) === id) return true;
  await connection.command('MULTI');
  await connection.command('SET', MARK, id, 'NX');
  await connection.command('DBSIZE');
  const [set, size] = (await execute(connection)) ?? [];
  if (set === 'OK' && (mine || size === 1)) return true;
  // Somebody came in between.
  if (set === 'OK') await removeMark(connection, id);
  return false;
}

/** Takes our mark away and nothing else. @returns false when it changed meanwhile */
export async function removeMark(connection: RedisConnection, id: string): Promise<boolean> {
  return ifMarked(connection, id, ['DEL', MARK]);
}

/** Empties the selected database. @returns false, and nothing is done, unless it bears our mark until then */
export async function emptyMarked(connection: RedisConnection, id: string): Promise<boolean> {
  return ifMarked(connection, id, ['FLUSHDB']);
}

async function ifMarked(connection: RedisConnection, id: string, command: string[]): Promise<boolean> {
  await connection.command('WATCH', MARK);
  if ((await readMark(connection)) !== id) {
    await connection.command('UNWATCH');
    return false;
  }
  await connection.command('MULTI');
  await connection.command(...command);
  return (await execute(connection)) !== null;
}

/** @returns null when what is watched has changed. @throws {RedisError} when a command was refused */
async function execute(connection: RedisConnection): Promise<unknown[] | null> {
  const replies = await connection.command('EXEC');
  for (const reply of Array.isArray(replies) ? replies : []) if (reply instanceof Error) throw new RedisError(reply.message);
  return Array.isArray(replies) ? replies : null;
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

/** Null when this user may not ask, or the server does not know the question. */
export async function orNull(connection: RedisConnection, ...words: string[]): Promise<string | number | null | unknown[]> {
  try {
    const reply = await connection.command(...words);
    return reply instanceof Error ? null : reply;
  } catch (error) {
    if (error instanceof RedisError && (error.code === 'NOPERM' || error.code === 'ERR')) return null;
    throw error;
  }
}
