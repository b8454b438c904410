import type { Client, DatabaseError, QueryConfig } from 'pg';
import { errorCode, errorMessage, Failure } from '../../outcome.ts';
import { type Address, serverName } from '../address.ts';
import { MAX_NAME_BYTES } from './postgres.ts';

/** PostgreSQL 11, the oldest that this is written for. */
const OLDEST = 110_000;

/** What the catalogs say comes at once, and a server that has gone silent is not waited for. */
const QUICK_MS = 15_000;
/** A server that is well takes this long to say goodbye at most. */
const GOODBYE_MS = 1000;

/** A server's refusal, with its SQLSTATE, or the system's code. */
class Refusal extends Failure {
  readonly code: string;
  /** The server's own words. */
  readonly words: string;

  constructor(message: string, code: string, words: string) {
    super(message);
    this.code = code;
    this.words = words;
  }
}

/** How a session is opened. */
interface At {
  /** Another database than the maintenance one. */
  database?: string;
  lockTimeoutMs?: number;
  /** Calls it off, whatever is under way. The server may still do what it was asked for last. */
  signal?: AbortSignal;
}

/** A session at a server, in its maintenance database. */
export interface Server {
  /** e.g. `localhost:5432`. */
  name: string;
  address: Address;
  /** `server_version_num`: 150018 is 15.18. */
  version: number;
  /** Tells a server from another that answers at its address later; empty where the server does not say. */
  system: string;
  user: { name: string; superuser: boolean; createdb: boolean };
  /** What a query gives. @param withinMs how long it may take, in milliseconds; 0: as long as it does */
  rows<Row>(sql: string, values?: unknown[], withinMs?: number): Promise<Row[]>;
  /** One statement that changes something, however long it takes; its parts are quoted already. */
  run(sql: string): Promise<void>;
  /** The process of the session at the server. */
  pid: number;
  end(): Promise<void>;
}

/** A database as the server lists it. */
export interface DatabaseRow {
  oid: string;
  name: string;
  /** Its COMMENT, in which Coppice keeps its mark. */
  mark: string | null;
  bytes: number;
  owner: string;
  /** Whether the session's role may copy it with TEMPLATE. */
  mayCopy: boolean;
  /** Whether anything was ever granted on it, or taken from anybody. */
  granted: boolean;
  /** Whether `ALTER DATABASE … SET` or `ALTER ROLE … IN DATABASE … SET` has set anything. */
  hasSettings: boolean;
}

/**
 * Opens a session, in `database` or else in the maintenance database: `postgres`, where there is none `template1`.
 * @throws {Failure} when the server does not answer, refuses the user, or is too old
 */
export async function openServer(address: Address, at: At = {}): Promise<Server> {
  const { signal } = at;
  const client = await connect(address, at);
  const abandon = () => void client.connection.stream.destroy();
  signal?.addEventListener('abort', abandon);
  const rows = async <Row>(sql: string, values: unknown[] = [], withinMs = QUICK_MS) => {
    try {
      const query: QueryConfig & { queryMode: string; query_timeout: number } = {
        text: sql,
        values,
        queryMode: 'extended',
        query_timeout: withinMs,
      };
      return (await client.query(query)).rows as Row[];
    } catch (error) {
      if (isTimeout(error)) abandon();
      throw explained(error, address, signal);
    }
  };
  const end = async () => {
    const timer = setTimeout(abandon, GOODBYE_MS);
    await client.end().catch(() => {}); // a server that died has said so to the query that met it
    clearTimeout(timer);
    signal?.removeEventListener('abort', abandon);
  };
  try {
    const about = await aboutSession(rows, address, at.lockTimeoutMs ?? 0);
    return { name: serverName(address), address, ...about, rows, run: async (sql) => void (await rows(sql, [], 0)), end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** What a session is, once no setting of its role can end it in the middle of its work. */
async function aboutSession(
  rows: Server['rows'],
  address: Address,
  lockTimeoutMs: number,
): Promise<Pick<Server, 'version' | 'pid' | 'user' | 'system'>> {
  const [about] = await rows<{ version: number; pid: number; name: string; superuser: boolean; createdb: boolean }>(SESSION, [
    String(lockTimeoutMs),
  ]);
  if (!about) throw new Failure(`The server at ${serverName(address)} does not say who one is there.`);
  const { version, pid, name, superuser, createdb } = about;
  if (version < OLDEST)
    throw new Failure(`PostgreSQL at ${serverName(address)} is version ${Math.floor(version / 10_000)}; 11 or later is needed.`);
  return { version, pid, user: { name, superuser, createdb }, system: await systemIdentifier(rows) };
}

/** Settings that a server does not know yet are not asked for. */
const SESSION = `
select current_setting('server_version_num')::int as version, pg_backend_pid() as pid, rolname as name, rolsuper as superuser,
  rolcreatedb as createdb, set_config('statement_timeout', '0', false), set_config('lock_timeout', $1, false),
  set_config('idle_in_transaction_session_timeout', '0', false),
  case when current_setting('server_version_num')::int >= 140000 then set_config('idle_session_timeout', '0', false) end,
  case when current_setting('server_version_num')::int >= 170000 then set_config('transaction_timeout', '0', false) end
from pg_roles where rolname = current_user`;

/** Runs `work` in a session and ends it, whatever comes of it. */
export async function atServer<Result>(address: Address, work: (server: Server) => Promise<Result>, at: At = {}): Promise<Result> {
  const server = await openServer(address, at);
  try {
    return await work(server);
  } finally {
    await server.end();
  }
}

async function connect(address: Address, { database, signal }: At): Promise<Client> {
  refuseNul(address);
  const { default: pg } = await import('pg');
  const tries = database === undefined ? ['postgres', 'template1'] : [database];
  for (const name of tries) {
    if (signal?.aborted) throw new Failure('interrupted');
    const client = new pg.Client({
      host: address.host || 'localhost',
      port: address.port,
      database: name,
      application_name: 'coppice',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      ...(address.user && { user: address.user }),
      ...(address.password && { password: address.password }),
      ...encryption(address),
    });
    client.on('error', () => {}); // the query that was under way rejects with it
    const abandon = () => void client.connection.stream.destroy();
    signal?.addEventListener('abort', abandon);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      if (errorCode(error) !== MISSING || name === tries.at(-1)) throw explained(error, address, signal);
    } finally {
      signal?.removeEventListener('abort', abandon);
    }
  }
  throw new Error('no database was tried');
}

/** No server and no program takes one, and an error of theirs would show what it is in. */
function refuseNul(address: Address): void {
  for (const part of ['user', 'password', 'host', 'database'] as const)
    if (address[part].includes('\0'))
      throw new Failure(`The ${part} in ${address.named ?? 'the URL'} has a NUL (\`%00\`), which PostgreSQL does not take.`);
}

/** `sslmode` as libpq has it: encrypted without looking at the certificate, or with. */
function encryption({ query }: Address): object {
  const mode = new URLSearchParams(query.replace(/^\?/, '')).get('sslmode');
  if (mode === 'require' || mode === 'no-verify') return { ssl: { rejectUnauthorized: false } };
  return mode === 'verify-ca' || mode === 'verify-full' ? { ssl: true } : {};
}

/** Where a role may not read it, or there is no such function, a server is told by its address alone. */
async function systemIdentifier(rows: Server['rows']): Promise<string> {
  try {
    const [row] = await rows<{ id: string }>('select system_identifier::text as id from pg_control_system()');
    return row?.id ?? '';
  } catch (error) {
    if ([NO_RIGHT, NO_FUNCTION].includes(errorCode(error) ?? '')) return '';
    throw error;
  }
}

/** The environment in which PostgreSQL's own programs reach a server: nothing of it is on a command line. */
export function programEnvironment(address: Address, database: string): NodeJS.ProcessEnv {
  const mode = new URLSearchParams(address.query.replace(/^\?/, '')).get('sslmode');
  return {
    ...process.env,
    PGHOST: address.host || 'localhost',
    PGPORT: String(address.port),
    PGDATABASE: database,
    PGAPPNAME: 'coppice',
    PGCONNECT_TIMEOUT: '10',
    ...(address.user && { PGUSER: address.user }),
    ...(address.password && { PGPASSWORD: address.password }),
    ...(mode && { PGSSLMODE: mode === 'no-verify' ? 'require' : mode }),
  };
}

/** A name in SQL. @throws {Failure} when it is longer than the server keeps: it would be cut to another database's name */
export function identifier(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > MAX_NAME_BYTES || name.includes('\0'))
    throw new Failure(`\`${name}\` cannot be a database's name: it has ${bytes} bytes, and PostgreSQL keeps 1 to ${MAX_NAME_BYTES}.`);
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text in SQL. */
export function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

const DATABASES = `select d.oid::text as oid, datname as name, shobj_description(d.oid, 'pg_database') as mark,
  case when has_database_privilege(d.oid, 'CONNECT') then pg_database_size(d.oid)::float8 else 0 end as bytes,
  pg_get_userbyid(datdba) as owner,
  datistemplate or pg_has_role(current_user, datdba, 'USAGE') as "mayCopy", datacl is not null as granted,
  exists (select from pg_db_role_setting where setdatabase = d.oid) as "hasSettings" from pg_database d`;

/** The database of this exact name; null when there is none. */
export async function findDatabase(server: Server, name: string): Promise<DatabaseRow | null> {
  const [row] = await server.rows<DatabaseRow>(`${DATABASES} where datname = $1`, [name]);
  return row ?? null;
}

/** The names of all databases. */
export async function databaseNames(server: Server): Promise<string[]> {
  return (await server.rows<{ name: string }>('select datname as name from pg_database')).map(({ name }) => name);
}

/** Whether another session is in a database. The server's own workers end by themselves. */
export async function isBusy(server: Server, database: string): Promise<boolean> {
  const found = await server.rows(
    `select 1 from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()
       and coalesce(backend_type, 'client backend') not in ('autovacuum worker', 'parallel worker') limit 1`,
    [database],
  );
  return found.length > 0;
}

/** Drops a database, with the sessions that are in it. Nothing when there is none. @throws {Failure} when the server refuses */
export async function dropDatabase(server: Server, name: string): Promise<void> {
  const forced = server.version >= 130_000;
  if (!forced)
    await server.rows('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()', [name]);
  try {
    await server.run(`drop database if exists ${identifier(name)}${forced ? ' with (force)' : ''}`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const kept = `\`${name}\` at ${server.name} was not dropped`;
    const then = 'then `git coppice gc` (or `down` in the worktree)';
    if (error.code === IN_USE) throw new Refusal(`${kept}: ${error.words}. End that, ${then}.`, error.code, error.words);
    if (error.code === WRONG_KIND)
      throw new Refusal(
        `${kept}: somebody has made it a template. \`ALTER DATABASE ${identifier(name)} IS_TEMPLATE false\`, ${then}.`,
        error.code,
        error.words,
      );
    throw error;
  }
}

/**
 * Drops a database that only runs of one worktree use. A run that was killed may have asked for it to be made, and the server
 * does so still: such a session is ended first.
 */
export async function dropPassing(server: Server, name: string): Promise<void> {
  const ghosts = `from pg_stat_activity where pid <> pg_backend_pid() and usename = current_user and state = 'active' and position($1 in query) > 0`;
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await server.rows(`select pg_terminate_backend(pid) ${ghosts}`, [identifier(name)])).length === 0)
      return dropDatabase(server, name);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Failure(`A session at ${server.name} is still making \`${name}\`, and does not end.`);
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
export const TAKEN = ['42P04', '23505'];
export const IN_USE = '55006';
export const CANCELLED = '57014';
export const LOCKED = '55P03';
const MISSING = '3D000';
const NO_RIGHT = '42501';
const NO_FUNCTION = '42883';
const WRONG_KIND = '42809';

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** What the server's refusal, or its silence, means for a user. What is none of it is thrown as it is, and is a bug. */
function explained(error: unknown, address: Address, signal: AbortSignal | undefined): unknown {
  if (!(error instanceof Error)) return error;
  const code = errorCode(error) ?? '';
  const sentence = sentenceFor(error, code, address);
  if (sentence === null) return error;
  return signal?.aborted ? new Failure('interrupted') : new Refusal(sentence, code, wordsOf(error));
}

function sentenceFor(error: Error, code: string, address: Address): string | null {
  const server = serverName(address);
  const user = address.user || 'this user';
  const words = wordsOf(error);
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return `No PostgreSQL answers at ${address.host.startsWith('/') ? address.host : server}. Start it, then \`git coppice up\`.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `There is no host \`${address.host}\`, where PostgreSQL should be.`;
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
      return `PostgreSQL at ${server} does not answer in time.`;
    case 'ECONNRESET':
    case '57P01':
    case '57P02':
    case '57P03':
      return `PostgreSQL at ${server} is starting or stopping. When it runs: \`git coppice up\`.`;
    case '28P01':
    case '28000':
      return `PostgreSQL at ${server} refuses \`${user}\`: the password or its access rules are wrong (${words}).${whence(address)}`;
    case MISSING:
      return `There is no such database at ${server}: ${words}.`;
    case NO_RIGHT:
      return `\`${user}\` may not do that at ${server}: ${words}. ${howToAllow(user)}`;
    case '53100':
      return `The disk of PostgreSQL at ${server} is full (${words}).`;
    case '53300':
      return `PostgreSQL at ${server} has no connection left (${words}).`;
    case '25006':
      return `PostgreSQL at ${server} is read-only now, as a standby is or with \`default_transaction_read_only\`, so no database can be made or dropped there (${words}).`;
    default:
      // The driver says these without a code.
      if (/SASL|password must be/.test(error.message))
        return `PostgreSQL at ${server} wants a password of \`${user}\`, and none is in the URL, PGPASSWORD or ~/.pgpass.${whence(address)}`;
      if (isTimeout(error)) return `PostgreSQL at ${server} does not answer any more.`;
      if (/timeout expired|Connection terminated|not queryable|SSL connection/.test(error.message))
        return `PostgreSQL at ${server} does not answer, or ended the connection (${words}).`;
      // Anything else that the server or the system says.
      return /^([0-9A-Z]{5}|E[A-Z]+)$/.test(code) ? `PostgreSQL at ${server}: ${words} (${code}).` : null;
  }
}

function whence({ named }: Address): string {
  return named === undefined ? '' : ` Its user and password come from ${named}.`;
}

/** The server's own words. */
function wordsOf(error: Error): string {
  const { detail } = error as Partial<DatabaseError>;
  return detail ? `${error.message}: ${detail.replace(/\.$/, '')}` : errorMessage(error);
}

/** What to do for a role without rights. */
export function howToAllow(role: string): string {
  return `An administrator can say \`ALTER ROLE "${role.replaceAll('"', '""')}" CREATEDB\`; or name with \`admin:\` in the config a URL of a user who may create databases.`;
}
