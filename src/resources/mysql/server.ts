import net from 'node:net';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { errorMessage, Failure } from '../../outcome.ts';
import { type Address, serverName } from '../address.ts';
import type { Seen } from '../database.ts';
import type { Access } from './access.ts';
import { type Identity, identityOf } from './identity.ts';

/** How long a statement waits for another session's lock, in seconds. The server's default is a day, or a year. */
const LOCK_WAIT_S = 8;
/** How long a statement may take in all, in milliseconds. */
const STATEMENT_MS = 120_000;
const CONNECT_MS = 10_000;

/** What a server is. */
export interface ServerKind {
  product: 'MySQL' | 'MariaDB';
  version: string;
  /** Whether a database can have a comment. */
  comments: boolean;
  /** Whether names that differ only in case are the same. */
  ignoresCase: boolean;
}

/** A connection to a server, for what a database of its own needs. */
export interface Server {
  kind: ServerKind;
  /** What tells it from another that answers at its address. */
  identity(): Promise<Identity>;
  /** Whether two names are one database's. The server's own comparison takes `Shop` and `shop` for the same everywhere. */
  same(one: string, other: string): boolean;
  /** The databases of exactly this name: one or none. */
  find(name: string): Promise<Seen | null>;
  databases(): Promise<Seen[]>;
  /** Whether there is no table, view, routine or event in it. */
  holdsNothing(name: string): Promise<boolean>;
  /** Runs one statement. */
  run(sql: string): Promise<void>;
  rows(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  /** The account that the server takes us for, quoted: `'app'@'localhost'`. */
  account(): Promise<string>;
}

/** A server's refusal, with its number. */
export class Refusal extends Failure {
  readonly errno: number;

  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }
}

export const ALREADY_THERE = 1007;
export const NOT_THERE = 1008;
const LOCKED = 1205;
export const NO_GRANT = 1141;
const NOT_ALLOWED = 1044;

/** A name as SQL has it. */
export function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A database's name where GRANT takes a pattern. */
export function quotedPattern(name: string): string {
  return quoted(name.replace(/[\\_%]/g, '\\$&'));
}

/** Whether an address names a socket's file, or `?socket=` does as Ruby, Python and PHP have it. */
export function socketOf(address: Address): string | null {
  if (address.host.startsWith('/')) return address.host;
  const parameters = new URLSearchParams(address.query.replace(/^[?#]/, ''));
  return parameters.get('socket') || parameters.get('unix_socket') || parameters.get('socketPath') || null;
}

/** A server as the ledger and claims know it: `localhost:3306`, or its socket's path. */
export function serverOf(address: Address): string {
  return socketOf(address) ?? serverName(address);
}

/** How long to wait for a server, and what ends the waiting. */
interface Patience {
  /** What is asked of the server at that moment fails at once: it may be one that never answers. */
  signal?: AbortSignal;
  connectMs?: number;
}

/** Works with a server over one connection. @throws {Failure} for whatever the server, or its absence, has against it */
export async function withServer<Result>(
  access: Access,
  work: (server: Server) => Promise<Result>,
  { signal, connectMs = CONNECT_MS }: Patience = {},
): Promise<Result> {
  // Loaded before the stream is there: what befalls that must find it listening.
  const { createConnection } = await import('mysql2/promise');
  const stream = streamTo(access.address);
  const abandon = () => giveUp(stream, ABANDONED);
  if (signal?.aborted) abandon();
  signal?.addEventListener('abort', abandon);
  try {
    const { user, password } = access.address;
    const connecting = createConnection({ stream: () => stream, user, password, connectTimeout: connectMs });
    return await work(await serverOn(await answered(connecting, access), stream, access));
  } finally {
    signal?.removeEventListener('abort', abandon);
    stream.destroy();
  }
}

function streamTo(address: Address): net.Socket {
  const socket = socketOf(address);
  return socket === null ? net.connect({ host: address.host || 'localhost', port: address.port, noDelay: true }) : net.connect(socket);
}

async function answered(connecting: Promise<Connection>, access: Access): Promise<Connection> {
  try {
    const connection = await connecting;
    connection.on('error', () => {}); // the statement that it meets fails with it
    return connection;
  } catch (error) {
    throw refusal(error, access);
  }
}

/** What waits for the server at this moment fails with this code. */
function giveUp(stream: net.Socket, code: string): void {
  stream.destroy(Object.assign(new Error('given up'), { code }));
}

async function serverOn(connection: Connection, stream: net.Socket, access: Access): Promise<Server> {
  const rows = async (sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> => {
    // The driver's own timer outlives a statement that fails.
    const timer = setTimeout(() => giveUp(stream, 'ETIMEDOUT'), STATEMENT_MS);
    try {
      return (await connection.query<RowDataPacket[]>({ sql, values }))[0];
    } catch (error) {
      throw refusal(error, access);
    } finally {
      clearTimeout(timer);
    }
  };
  const run = async (sql: string) => {
    await rows(sql);
  };
  // Without NO_BACKSLASH_ESCAPES and ANSI_QUOTES, whatever the server's default: values are quoted the other way.
  await run("SET SESSION sql_mode = ''");
  const [settings] = await rows('SELECT VERSION() AS version, @@lower_case_table_names AS folded');
  const kind = kindOf(String(settings?.version), Number(settings?.folded) !== 0, access.address);
  await run(`SET SESSION lock_wait_timeout = ${LOCK_WAIT_S}`);
  const comment = kind.comments ? 'SCHEMA_COMMENT' : 'NULL';
  const databases = async () =>
    (await rows(`SELECT SCHEMA_NAME AS name, ${comment} AS comment FROM information_schema.SCHEMATA`)).map(
      (row): Seen => ({ name: String(row.name), comment: kind.comments ? String(row.comment ?? '') : null }),
    );
  const same = (one: string, other: string) => one === other || (kind.ignoresCase && one.toLowerCase() === other.toLowerCase());
  return {
    kind,
    identity: () => identityOf(rows),
    same,
    rows,
    run,
    databases,
    find: async (name) => (await databases()).find((there) => same(there.name, name)) ?? null,
    async holdsNothing(name) {
      const things = await rows(
        `SELECT TABLE_SCHEMA AS place FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?
          UNION ALL SELECT ROUTINE_SCHEMA FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?
          UNION ALL SELECT EVENT_SCHEMA FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?`,
        [name, name, name],
      );
      return !things.some(({ place }) => same(String(place), name));
    },
    async account() {
      const account = String((await rows('SELECT CURRENT_USER() AS account'))[0]?.account);
      const at = account.lastIndexOf('@');
      return [account.slice(0, at), account.slice(at + 1)].map((part) => connection.escape(part)).join('@');
    },
  };
}

/** @throws {Failure} when it is too old */
function kindOf(text: string, ignoresCase: boolean, address: Address): ServerKind {
  const product = /mariadb/i.test(text) ? 'MariaDB' : 'MySQL';
  // A MariaDB can call itself 5.5.5-10.11.2-MariaDB.
  const [, major = 0, minor = 0] = (/^(?:5\.5\.5-(?=\d))?(\d+)\.(\d+)/.exec(text) ?? []).map(Number);
  const number = major * 1000 + minor;
  if (number < (product === 'MariaDB' ? 10_004 : 5007))
    throw new Failure(
      `${serverOf(address)} is ${product} ${text}, which is too old: coppice works with MySQL from 5.7 and MariaDB from 10.4. Use a newer server.`,
    );
  return { product, version: text, comments: product === 'MariaDB' && number >= 10_005, ignoresCase };
}

/** Ours, for what is given up on the way. */
const ABANDONED = 'COPPICE_ABANDONED';
const NO_CONNECTION = ['ECONNREFUSED', 'ENOENT', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'EACCES'];
const LOST = ['PROTOCOL_CONNECTION_LOST', 'ECONNRESET', 'EPIPE'];

/** What a server said, or that there is none, as a sentence. Anything else is a bug, and is given back as it is. */
function refusal(error: unknown, { address, from }: Access): unknown {
  if (!(error instanceof Error)) return error;
  const {
    code = '',
    errno = 0,
    sqlMessage,
    fatal,
  } = error as Error & { code?: string; errno?: number; sqlMessage?: string; fatal?: boolean };
  const server = serverOf(address);
  if (code === ABANDONED) return new Refusal(`interrupted, before the MySQL server at ${server} had answered`, errno);
  if (code === 'ETIMEDOUT')
    return new Refusal(`The MySQL server at ${server} does not answer (${code}). When it does: \`git coppice up\`.`, errno);
  if (NO_CONNECTION.includes(code))
    return new Refusal(`No MySQL answers at ${server} (${code}). Start it, then run \`git coppice up\`.`, errno);
  // A statement on a connection that is closed already has no code.
  if (LOST.includes(code) || (fatal && code === ''))
    return new Refusal(`The MySQL server at ${server} went away (${code || error.message}).`, errno);
  if (errno === 1045 || errno === 1698)
    return new Refusal(
      `The MySQL server at ${server} does not let \`${address.user}\` in: ${sqlMessage}. User and password come from ${from}.`,
      errno,
    );
  if (errno === 1006 || errno === 1021 || errno === 1114 || /errno: 28|no space left/i.test(sqlMessage ?? ''))
    return new Refusal(`The disk of the MySQL server at ${server} is full: ${sqlMessage}. Make room, then run \`git coppice up\`.`, errno);
  if (sqlMessage !== undefined) return new Refusal(`The MySQL server at ${server}: ${sqlMessage} (error ${errno}).`, errno);
  if (code !== '') return new Refusal(`The MySQL server at ${server}: ${errorMessage(error)} (${code}).`, errno);
  return error;
}

/** What a server says to who may not do a thing, with the statement that allows it. */
export async function asksForRights(error: unknown, server: Server, pattern: string): Promise<unknown> {
  if (!(error instanceof Refusal) || error.errno !== NOT_ALLOWED) return error;
  const account = await server.account();
  return new Failure(
    `${account} may not make databases. Let an administrator run: GRANT ALL PRIVILEGES ON ${pattern}.* TO ${account}; or name a user who may with \`admin:\`.`,
  );
}

/** Drops a database, which is not there any more afterwards. @throws {Failure} when a session holds it */
export async function drop(server: Server, name: string): Promise<void> {
  try {
    await server.run(`DROP DATABASE ${quoted(name)}`);
  } catch (error) {
    if (error instanceof Refusal && error.errno === NOT_THERE) return;
    if (error instanceof Refusal && error.errno === LOCKED)
      throw new Failure(
        `The database ${name} is in use${await holders(server, name)}, so it was not dropped. End that, then run \`git coppice gc\` (or \`down\` in the worktree).`,
      );
    throw error;
  }
}

async function holders(server: Server, name: string): Promise<string> {
  const sessions = await sessionsIn(server, name);
  return sessions.length === 0 ? '' : ` by ${sessions.map(({ id, user, host }) => `connection ${id} (${user} from ${host})`).join(', ')}`;
}

async function sessionsIn(server: Server, name: string): Promise<{ id: number; user: string; host: string }[]> {
  const found = await server.rows(
    'SELECT ID AS id, USER AS user, HOST AS host, DB AS place FROM information_schema.PROCESSLIST WHERE DB = ? AND ID <> CONNECTION_ID()',
    [name],
  );
  return found
    .filter(({ place }) => server.same(String(place), name))
    .map(({ id, user, host }) => ({ id: Number(id), user: String(user), host: String(host) }));
}

/**
 * Ends the sessions in a database that is not finished: only what loads it can be there, also when that was left by a run that
 * was killed. It would go on in a new database of the same name.
 */
export async function endSessions(server: Server, name: string, signal: AbortSignal): Promise<void> {
  for (const deadline = Date.now() + LOCK_WAIT_S * 1000; ; ) {
    const sessions = await sessionsIn(server, name);
    if (sessions.length === 0) return;
    if (signal.aborted) throw new Failure('interrupted');
    if (Date.now() > deadline) throw new Failure(`The database ${name} is in use${await holders(server, name)}. End that, and try again.`);
    for (const { id } of sessions) await kill(server, id);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function kill(server: Server, id: number): Promise<void> {
  try {
    await server.run(`KILL ${id}`);
  } catch (error) {
    // 1094: it is gone already.
    if (!(error instanceof Refusal && error.errno === 1094)) throw error;
  }
}
