import { Failure } from '../../outcome.ts';
import { MAX_NAME_BYTES } from './postgres.ts';
import { IN_USE, Refusal, WRONG_KIND } from './refusal.ts';
import type { Server } from './server.ts';

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
