import type { Client, QueryConfig } from 'pg';
import { errorCode, errorMessage, Failure } from '../../outcome.ts';
import { type Address, serverName } from '../address.ts';
import { MAX_NAME_BYTES } from './postgres.ts';

/** PostgreSQL 11, the oldest that this is written for. */
const OLDEST = 110_000;

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
  rows<Row>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** One statement that changes something; its parts are quoted already. */
  run(sql: string): Promise<void>;
  /** The process of the session at the server. */
  pid: number;
  /** Cuts the connection: what is under way fails at once. */
  abandon(): void;
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
}

/**
 * Opens a session, in `database` or else in the maintenance database: `postgres`, where there is none `template1`.
 * @throws {Failure} when the server does not answer, refuses the user, or is too old
 */
export async function openServer(address: Address, at: { database?: string; lockTimeoutMs?: number } = {}): Promise<Server> {
  const client = await connect(address, at);
  const rows = async <Row>(sql: string, values: unknown[] = []) => {
    try {
      const query: QueryConfig & { queryMode: string } = { text: sql, values, queryMode: 'extended' };
      return (await client.query(query)).rows as Row[];
    } catch (error) {
      throw explained(error, address);
    }
  };
  const [about] = await rows<{ version: number; pid: number; name: string; superuser: boolean; createdb: boolean }>(
    `select current_setting('server_version_num')::int as version, pg_backend_pid() as pid, rolname as name, rolsuper as superuser,
       rolcreatedb as createdb from pg_roles where rolname = current_user`,
  );
  if (!about) throw new Failure(`The server at ${serverName(address)} does not say who one is there.`);
  const { version, pid, ...user } = about;
  if (version < OLDEST) {
    await client.end();
    throw new Failure(`PostgreSQL at ${serverName(address)} is version ${Math.floor(version / 10_000)}; 11 or later is needed.`);
  }
  return {
    name: serverName(address),
    address,
    version,
    system: await systemIdentifier(client),
    user,
    pid,
    rows,
    run: async (sql) => void (await rows(sql)),
    abandon: () => void client.connection.stream.destroy(),
    end: () => client.end(),
  };
}

/**
 * Runs `work` in a session and ends it, whatever comes of it.
 * @param at another database than the maintenance one, and what calls it off: the server may still do what it was asked for last
 */
export async function atServer<Result>(
  address: Address,
  work: (server: Server) => Promise<Result>,
  { signal, ...at }: { database?: string; lockTimeoutMs?: number; signal?: AbortSignal } = {},
): Promise<Result> {
  const server = await openServer(address, at);
  signal?.addEventListener('abort', server.abandon);
  try {
    return await work(server);
  } finally {
    signal?.removeEventListener('abort', server.abandon);
    await server.end().catch(() => {}); // a server that died has said so to `work`
  }
}

async function connect(address: Address, { database, lockTimeoutMs = 0 }: { database?: string; lockTimeoutMs?: number }): Promise<Client> {
  const { default: pg } = await import('pg');
  const tries = database === undefined ? ['postgres', 'template1'] : [database];
  for (const name of tries) {
    const client = new pg.Client({
      host: address.host || 'localhost',
      port: address.port,
      database: name,
      application_name: 'coppice',
      connectionTimeoutMillis: 10_000,
      lock_timeout: lockTimeoutMs,
      ...(address.user && { user: address.user }),
      ...(address.password && { password: address.password }),
      ...encryption(address),
    });
    client.on('error', () => {}); // the query that was under way rejects with it
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      if (errorCode(error) !== MISSING || name === tries.at(-1)) throw explained(error, address);
    }
  }
  throw new Error('no database was tried');
}

/** `sslmode` as libpq has it: encrypted without looking at the certificate, or with. */
function encryption({ query }: Address): object {
  const mode = new URLSearchParams(query.replace(/^\?/, '')).get('sslmode');
  if (mode === 'require' || mode === 'no-verify') return { ssl: { rejectUnauthorized: false } };
  return mode === 'verify-ca' || mode === 'verify-full' ? { ssl: true } : {};
}

/** Where a role may not read it, a server is told by its address alone. */
async function systemIdentifier(client: Client): Promise<string> {
  try {
    const { rows } = await client.query('select system_identifier::text as id from pg_control_system()');
    return rows[0].id;
  } catch (error) {
    if (errorCode(error) === NO_RIGHT) return '';
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
  datistemplate or pg_has_role(current_user, datdba, 'USAGE') as "mayCopy" from pg_database d`;

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

/** Drops a database, with the sessions that are in it. Nothing when there is none. */
export async function dropDatabase(server: Server, name: string): Promise<void> {
  if (server.version >= 130_000) return server.run(`drop database if exists ${identifier(name)} with (force)`);
  await server.rows('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()', [name]);
  await server.run(`drop database if exists ${identifier(name)}`);
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

/** What the server's refusal means for a user. What is none of it is thrown as it is, and is a bug. */
function explained(error: unknown, address: Address): unknown {
  const server = serverName(address);
  const user = address.user || 'this user';
  switch (errorCode(error)) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return new Failure(
        `No PostgreSQL answers at ${address.host.startsWith('/') ? address.host : server}. Start it, then \`git coppice up\`.`,
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new Failure(`There is no host \`${address.host}\`, where PostgreSQL should be.`);
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
      return new Failure(`PostgreSQL at ${server} does not answer in time.`);
    case 'ECONNRESET':
    case '57P01':
    case '57P02':
    case '57P03':
      return new Failure(`PostgreSQL at ${server} is starting or stopping. When it runs: \`git coppice up\`.`);
    case '28P01':
    case '28000':
      return new Failure(
        `PostgreSQL at ${server} refuses \`${user}\`: the password or its access rules are wrong (${errorMessage(error)}).`,
      );
    case MISSING:
      return new Failure(`There is no such database at ${server}: ${errorMessage(error)}.`);
    case NO_RIGHT:
      return new Failure(`\`${user}\` may not do that at ${server}: ${errorMessage(error)}. ${HOW_TO_ALLOW}`);
    case '53100':
      return new Failure(`The disk of PostgreSQL at ${server} is full (${errorMessage(error)}).`);
    case '53300':
      return new Failure(`PostgreSQL at ${server} has no connection left (${errorMessage(error)}).`);
    default:
      // libpq's driver says these without a code.
      if (error instanceof Error && /SASL|password must be/.test(error.message))
        return new Failure(`PostgreSQL at ${server} wants a password of \`${user}\`, and none is in the URL, PGPASSWORD or ~/.pgpass.`);
      if (error instanceof Error && /timeout expired|Connection terminated|not queryable/.test(error.message))
        return new Failure(`PostgreSQL at ${server} does not answer, or ended the connection (${error.message}).`);
      return error;
  }
}

/** What to do for a role without rights. */
export const HOW_TO_ALLOW =
  'An administrator can say `ALTER ROLE … CREATEDB`; or name with `admin:` in the config a URL of a user who may create databases.';
