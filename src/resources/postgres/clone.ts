import fs from 'node:fs';
import path from 'node:path';
import { milliseconds } from '../../config/duration.ts';
import { errorCode, Failure } from '../../outcome.ts';
import { tail } from '../../steps/log-tail.ts';
import { duration, runCommand } from '../../steps/run-command.ts';
import type { Address } from '../address.ts';
import { isSqlFile, SEED_MS } from '../database.ts';
import type { ResourceEffects } from '../resource.ts';
import { dumpAndLoad, runSqlFile } from './copy.ts';
import { type DatabaseRow, findDatabase, identifier, isBusy } from './databases.ts';
import type { PostgresOptions } from './postgres.ts';
import { CANCELLED, IN_USE } from './refusal.ts';
import { copyRules, quotedRole } from './rules.ts';
import { openServer, type Server } from './server.ts';
import { locale, templateClaim, templateName, withTemplate } from './template.ts';

/** Below this, copying through the write-ahead log is faster than copying files with a checkpoint before and after (measured). */
const WAL_LOG_BELOW = 30_000_000;
/** The server looks every 100 ms itself. */
const WATCH_EVERY_MS = 150;

/** What is being made, and with what. */
export interface Making {
  /** A session of who makes databases. */
  server: Server;
  /** Who makes databases. */
  address: Address;
  /** The app's own user, who will own it. */
  app: Address;
  source: string;
  /** The name under which it is made. */
  temporary: string;
  /** The name under which the kept copy of its source is made, should that be needed. */
  building: string;
  options: PostgresOptions;
  effects: ResourceEffects;
  /** The app's variables, as they are while it is made. */
  variables: Record<string, string>;
}

/** Makes the database under its passing name, with all that it is to hold. @returns what it holds, in words */
export async function fill(making: Making): Promise<string> {
  const { server, app, source, temporary, options, effects } = making;
  const from = await findDatabase(server, source);
  if (from === null && options.data !== 'empty')
    throw new Failure(
      `There is no database \`${source}\` at ${server.name} to clone. Make it in the main worktree first, or say \`data: empty\`.`,
    );
  const filled = from === null || options.data === 'empty' ? await makeEmpty(making) : await copy(making, from);
  if (from !== null) await copyRules(server, from, temporary, (text) => effects.say(text));
  // Who owns a database may make tables in it: what an administrator has made is the app's.
  const owner = from === null || options.data === 'empty' ? app.user : from.owner;
  if (making.address !== app && owner !== '' && owner !== server.user.name)
    await server.run(`alter database ${identifier(temporary)} owner to ${quotedRole(owner)}`);
  if (options.seed !== undefined) await seed(making, options.seed);
  return filled;
}

async function makeEmpty({ server, temporary }: Making): Promise<string> {
  await server.run(`create database ${identifier(temporary)}`);
  return 'empty';
}

async function copy(making: Making, from: DatabaseRow): Promise<string> {
  const { server, address, source, temporary, building, options, effects } = making;
  const { signal, say } = effects;
  if (options.data === 'schema') {
    await server.run(`create database ${identifier(temporary)} template template0 ${await locale(server, source)}`);
    await dumpAndLoad({ server, address, source, target: temporary, rows: false, signal });
    return `the schema of ${source}`;
  }
  if (from.mayCopy && !(await isBusy(server, source)) && (await copied(making, from))) return `a clone of ${source}`;
  // In use, or another's: from a copy of our own, which is made by reading the source as any program may.
  const name = templateName(source);
  if (!effects.claim(templateClaim(server.name, name, effects.worktreeId)))
    throw new Error('a claim that only this worktree can have was refused');
  const input = {
    server,
    address,
    source: { name: source, oid: from.oid },
    building,
    maxAgeMs: milliseconds(options.refresh),
    signal,
    say,
  };
  const { madeAt } = await withTemplate(input, ({ name: template }) => createFrom(template, making, from.bytes));
  return `a clone of ${source} as it was ${ago(madeAt)}`;
}

function ago(time: Date): string {
  const ms = Date.now() - time.getTime();
  return ms < 60_000 ? 'just now' : `${duration(ms)} ago`;
}

/**
 * Clones an idle database. The server would wait 5 seconds for sessions that come meanwhile, and then fail: another session
 * watches for them, and calls it off.
 * @returns whether it was cloned; false when the source was not idle after all
 */
async function copied(making: Making, { bytes }: DatabaseRow): Promise<boolean> {
  const { server, address, source, effects } = making;
  const over = new AbortController();
  const watching = callOffWhenBusy(server, address, source, { over: over.signal, signal: effects.signal });
  watching.catch(() => {}); // a failure before it is awaited is that failure, not this one
  try {
    await createFrom(source, making, bytes);
    return true;
  } catch (error) {
    if ([IN_USE, CANCELLED].includes(errorCode(error) ?? '')) return false;
    throw error;
  } finally {
    over.abort();
    await watching;
  }
}

/** While the server copies nobody can come in: who is in the source is who it waits for. */
async function callOffWhenBusy(
  server: Server,
  address: Address,
  source: string,
  { over, signal }: { over: AbortSignal; signal: AbortSignal },
): Promise<void> {
  let watcher: Server | null = null;
  try {
    while (await pause(WATCH_EVERY_MS, over)) {
      watcher ??= await openServer(address, { signal });
      if (!over.aborted && (await isBusy(watcher, source))) await watcher.rows('select pg_cancel_backend($1)', [server.pid]);
    }
  } finally {
    await watcher?.end();
  }
}

/** @returns false at once when it is over */
function pause(ms: number, over: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (over.aborted) return resolve(false);
    const timer = setTimeout(() => end(true), ms);
    const abort = () => end(false);
    const end = (goOn: boolean) => {
      clearTimeout(timer);
      over.removeEventListener('abort', abort);
      resolve(goOn);
    };
    over.addEventListener('abort', abort);
  });
}

/**
 * From PostgreSQL 18 the server can let the filesystem share the files' blocks, which takes no time and no room; where the
 * filesystem cannot, that is slower. Who may not see the data directory, or is on another machine, copies.
 */
async function canShareBlocks(server: Server): Promise<boolean> {
  if (server.version < 180_000) return false;
  const [row] = await server.rows<{ setting: string }>("select setting from pg_settings where name = 'data_directory'");
  if (!row?.setting) return false;
  try {
    return SHARING_FILESYSTEMS.has(fs.statfsSync(row.setting).type);
  } catch (error) {
    // In a container, or another user's alone.
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}

/** XFS and btrfs, by statfs(2). */
const SHARING_FILESYSTEMS = new Set([0x58465342, 0x9123683e]);

async function createFrom(template: string, { server, temporary }: Making, bytes: number): Promise<void> {
  let strategy = '';
  if (await canShareBlocks(server)) {
    await server.run('set file_copy_method to clone');
    strategy = ' strategy file_copy';
  } else if (server.version >= 150_000) strategy = bytes < WAL_LOG_BELOW ? ' strategy wal_log' : ' strategy file_copy';
  await server.run(`create database ${identifier(temporary)} template ${identifier(template)}${strategy}`);
}

/** Sanitising, or first rows: a file of SQL, or a command that finds the database in the app's variables. */
async function seed({ server, address, app, temporary, effects, variables }: Making, what: string): Promise<void> {
  const { worktreePath, signal, log } = effects;
  if (isSqlFile(what)) {
    const file = effects.approvedFile(what);
    if (file === null) throw new Failure(`\`seed: ${what}\` is not a file of this branch.`);
    const run = { server, address: app.user === '' ? address : app, database: temporary, signal };
    await runSqlFile(run, file, path.join(worktreePath, what));
    return;
  }
  fs.rmSync(log, { force: true });
  const env = { ...effects.environment(), ...variables };
  const result = await runCommand({ run: what, cwd: worktreePath, env, timeoutMs: SEED_MS, log, signal, started: () => {} });
  if (!result.ok) throw new Failure(`its \`seed\` failed: ${result.why}. What it printed is in ${log}`, 1, tail(log));
}
