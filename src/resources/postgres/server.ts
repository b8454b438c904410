import type { Client, QueryConfig } from 'pg';
import { errorCode, Failure } from '../../outcome.ts';
import { type Address, serverName } from '../address.ts';
import { explained, isTimeout, MISSING, NO_FUNCTION, NO_RIGHT } from './refusal.ts';

/** PostgreSQL 11, the oldest that this is written for. */
const OLDEST = 110_000;

/** What the catalogs say comes at once, and a server that has gone silent is not waited for. */
const QUICK_MS = 15_000;
/** A server that is well takes this long to say goodbye at most. */
const GOODBYE_MS = 1000;

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
