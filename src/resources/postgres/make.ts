import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { milliseconds } from '../../config/duration.ts';
import { standing } from '../../files/inside.ts';
import { errorCode, Failure } from '../../outcome.ts';
import { duration, runCommand } from '../../steps/run-command.ts';
import { type Address, claimOn, fitName, type Origin } from '../address.ts';
import { addressIn, claimedDatabases, derivedFrom, namesHolding, ownerAddress } from '../database.ts';
import type { Created, DestroyEffects, ResolvedResource, ResourceEffects } from '../resource.ts';
import { dumpAndLoad, runSqlFile } from './copy.ts';
import { describeDatabase, ENGINE, MAX_NAME_BYTES, type PostgresOptions, SPARE_BYTES } from './postgres.ts';
import { copyRules, quotedRole } from './rules.ts';
import {
  atServer,
  CANCELLED,
  type DatabaseRow,
  databaseNames,
  dropDatabase,
  dropPassing,
  findDatabase,
  HOW_TO_ALLOW,
  IN_USE,
  identifier,
  isBusy,
  literal,
  openServer,
  type Server,
  TAKEN,
} from './server.ts';
import { dropUnusedTemplate, locale, templateClaim, templateName, withTemplate } from './template.ts';

/** Below this, copying through the write-ahead log is faster than copying files with a checkpoint before and after (measured). */
const WAL_LOG_BELOW = 30_000_000;
/** The server looks every 100 ms itself. */
const WATCH_EVERY_MS = 150;

/** What the database bears as its COMMENT: whose it is. */
function markOf(worktreeId: string): string {
  return `coppice worktree ${worktreeId}`;
}

/** Whether the database that was made is there and ours. */
export function isThere(resolved: ResolvedResource, worktreeId: string): Promise<boolean> {
  return atServer(addressIn(resolved, ENGINE), async (server) => {
    const row = await findDatabase(server, resolved.made.database ?? '');
    return row !== null && (row.mark === null || row.mark === markOf(worktreeId));
  });
}

/** What is being made, and with what. */
interface Making {
  /** A session of who makes databases. */
  server: Server;
  /** Who makes databases. */
  address: Address;
  /** The app's own user, who will own it. */
  app: Address;
  source: string;
  /** The name under which it is made. */
  temporary: string;
  options: PostgresOptions;
  effects: ResourceEffects;
  /** The app's variables, as they are while it is made. */
  variables: Record<string, string>;
}

/** Makes the database: see {@link postgres}. */
export async function make(options: PostgresOptions, wanted: ResolvedResource, effects: ResourceEffects): Promise<Created> {
  const { server = '', source = '', origin = '{}', admin } = wanted.made;
  const app = addressIn(wanted, ENGINE);
  const { name } = JSON.parse(origin) as Origin;
  const base = { server, source, origin, ...(admin !== undefined && { admin }) };
  const describe = (database: string) => describeDatabase(options, name, app, database, base);
  const address = options.admin === undefined ? app : await ownerAddress(wanted.made, ENGINE);
  const run = async (server: Server): Promise<Created> => {
    mayCreate(server);
    // Of a run that was killed.
    if (wanted.made.temporary !== undefined) await dropPassing(server, wanted.made.temporary);
    for (const database of candidates(wanted.made.database ?? '', effects.worktreeId)) {
      identifier(database);
      const temporary = `coppice_${effects.worktreeId.replaceAll('-', '')}_${shortHash(database)}`;
      const variables = describe(temporary).variables;
      const making = { server, address, app, source, temporary, options, effects, variables };
      const made = await underName(describe(database), making, wanted.made);
      if (made !== null) return made;
    }
    throw new Failure(
      `Every name that ${name} could have at ${server.name} is taken, \`${wanted.made.database}\` first. Give it another with \`name:\` in the config.`,
    );
  };
  return atServer(address, run, effects);
}

/** @param before what an earlier run has written down @returns null when the name is taken */
async function underName(is: ResolvedResource, making: Making, before: Record<string, string>): Promise<Created | null> {
  const { server, source, temporary, options, effects } = making;
  const { database = '' } = is.made;
  // Written down whether or not it is used: a run that is killed may have begun one.
  const mark = { ready: 'yes', system: server.system, ...(options.data === 'clone' && { template: templateName(source) }) };
  const earlier = JSON.stringify(namesHolding(database, await databaseNames(server)));
  const there = await findDatabase(server, database);
  // Made by a run that was killed before it could say so.
  if (there?.mark === markOf(effects.worktreeId))
    return { detail: is.detail, resolved: is, mark: { ...mark, earlier: before.earlier ?? earlier } };
  const claim = claimOn('database', server.name, database);
  if (there !== null || !effects.claim(claim)) return null;
  effects.intend({ ...is.made, ...mark, ready: '', earlier, temporary });
  await dropPassing(server, temporary);
  const filled = await fill(making);
  await server.run(`comment on database ${identifier(temporary)} is ${literal(markOf(effects.worktreeId))}`);
  if (await renamed(server, temporary, database)) return { detail: `${database}, ${filled}`, resolved: is, mark: { ...mark, earlier } };
  await dropDatabase(server, temporary);
  effects.release(claim);
  return null;
}

/** @throws {Failure} when the session's role may not create databases */
export function mayCreate({ user, name }: Server): void {
  if (!user.createdb && !user.superuser) throw new Failure(`\`${user.name}\` may not create databases at ${name}. ${HOW_TO_ALLOW}`);
}

/** The names to try: the plain one, then one with a hash of the worktree. */
function candidates(wanted: string, worktreeId: string): string[] {
  return [wanted, fitName(wanted, MAX_NAME_BYTES - SPARE_BYTES, worktreeId)];
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** Makes the database under its passing name, with all that it is to hold. @returns what it holds, in words */
async function fill(making: Making): Promise<string> {
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
  const { server, address, source, temporary, options, effects } = making;
  const { signal } = effects;
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
  const input = { server, address, source: { name: source, oid: from.oid }, maxAgeMs: milliseconds(options.refresh), signal };
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
  const { server, address, source } = making;
  const over = new AbortController();
  const watching = callOffWhenBusy(server, address, source, over.signal);
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
async function callOffWhenBusy(server: Server, address: Address, source: string, over: AbortSignal): Promise<void> {
  let watcher: Server | null = null;
  try {
    while (await pause(WATCH_EVERY_MS, over)) {
      watcher ??= await openServer(address);
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
  if (/^\S+\.sql$/.test(what)) {
    if (standing(worktreePath, what) !== 'file') throw new Failure(`\`seed: ${what}\` is not a file of this branch.`);
    await runSqlFile(server, app.user === '' ? address : app, temporary, path.join(worktreePath, what), signal);
    return;
  }
  fs.rmSync(log, { force: true });
  const env = { ...effects.environment(), ...variables };
  const result = await runCommand({ run: what, cwd: worktreePath, env, timeoutMs: 600_000, log, signal, started: () => {} });
  if (!result.ok) throw new Failure(`its \`seed\` failed: ${result.why}. What it printed is in ${log}`);
}

/** Gives the database its own name. @returns false when another has it by now */
async function renamed(server: Server, temporary: string, database: string): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    try {
      await server.run(`alter database ${identifier(temporary)} rename to ${identifier(database)}`);
      return true;
    } catch (error) {
      if (TAKEN.includes(errorCode(error) ?? '')) return false;
      // A seed's last connection may be just closing.
      if (errorCode(error) !== IN_USE || tries === 40) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Drops what the journal says was made, when it is proven to be ours. */
export async function destroy(made: Record<string, string>, { worktreeId, release }: DestroyEffects): Promise<void | 'nothing'> {
  const { database = '', temporary, template, system = '', server: name = '' } = made;
  // Both are written down before anything is made.
  if (temporary === undefined && made.ready !== 'yes') return 'nothing';
  await atServer(await ownerAddress(made, ENGINE), async (server) => {
    if (server.name !== name || (system !== '' && server.system !== '' && server.system !== system))
      throw new Failure(`Another server answers at ${name} now than the one that has \`${database}\`: nothing there is touched.`);
    if (temporary !== undefined) await dropPassing(server, temporary);
    const row = await findDatabase(server, database);
    const isOurs = row?.mark === markOf(worktreeId) || (row?.mark === null && made.ready === 'yes');
    // A run that was ended before it had made it: what has the name now is another's.
    if (row !== null && !isOurs && made.ready === 'yes')
      throw new Failure(`\`${database}\` at ${name} bears another mark now (${row.mark}), so it is left alone.`);
    if (made.ready === 'yes') for (const derived of await derivedNames(made, server)) await dropDatabase(server, derived);
    if (row !== null && isOurs) await dropDatabase(server, database);
    if (template !== undefined) {
      release(templateClaim(name, template, worktreeId));
      await dropUnusedTemplate(server, template);
    }
    release(claimOn('database', name, database));
  });
}

/** The databases that test runners have made from ours. One that bears any mark, is claimed, or was there before ours is not. */
async function derivedNames(
  { database = '', server: name = '', source, owns, earlier }: Record<string, string>,
  server: Server,
): Promise<string[]> {
  const patterns = JSON.parse(owns ?? '[]') as string[];
  if (patterns.length === 0) return [];
  const existing = await server.rows<{ name: string; marked: boolean }>(
    "select datname as name, shobj_description(oid, 'pg_database') is not null as marked from pg_database",
  );
  const marked = existing.flatMap((other) => (other.marked && other.name !== database ? [other.name] : []));
  const claimed = claimedDatabases(name).filter((other) => other !== database);
  const before = JSON.parse(earlier ?? '[]') as string[];
  const others = new Set([...marked, ...claimed, ...before, ...(source === undefined ? [] : [source])]);
  return derivedFrom(
    database,
    patterns,
    existing.map((other) => other.name),
    others,
  );
}
