import { createHash } from 'node:crypto';
import os from 'node:os';
import { claimedNames } from '../../ledger/claims.ts';
import { openStateDir } from '../../ledger/state-dir.ts';
import { errorCode, Failure } from '../../outcome.ts';
import { type Address, claimOn, ownName } from '../address.ts';
import { dumpAndLoad } from './copy.ts';
import { dropDatabase, dropPassing, findDatabase, identifier, literal } from './databases.ts';
import { MAX_NAME_BYTES } from './postgres.ts';
import { LOCKED, TAKEN } from './refusal.ts';
import { atServer, type Server } from './server.ts';

/** After this, it is said what is waited for. */
const LONG_WAIT_MS = 2000;
/** How far ahead the clock may have been when a template was made. */
const CLOCK_STEP_MS = 60_000;
/** A schema can have many thousands of columns and views. */
const FINGERPRINT_MS = 120_000;

/**
 * A copy of a source that nobody connects to, kept to clone from while the source is in use. One a source and machine, shared
 * by all its worktrees, made when it is first needed, renewed when it is old or the source's schema changed, dropped with the
 * last worktree that used it.
 */
export interface KeptTemplate {
  name: string;
  madeAt: Date;
}

/** What keeps a template: where it is, what of, and for whom. */
export interface TemplateInput {
  server: Server;
  /** The role that reads the source and makes the copy. */
  address: Address;
  source: { name: string; oid: string };
  /** The name under which it is made, which nobody can guess. */
  building: string;
  /** How old it may be, in milliseconds. */
  maxAgeMs: number;
  signal: AbortSignal;
  /** A line for the user, about what takes long. */
  say(text: string): void;
}

/** The name of the template that this machine keeps of a source. */
export function templateName(source: string): string {
  const machine = createHash('sha256').update(`${os.hostname()}\0${openStateDir().root}`).digest('hex').slice(0, 8);
  return ownName(source, `coppice_${machine}`, MAX_NAME_BYTES, null);
}

/** The claim by which a worktree keeps a template; while there is one, the template stays. */
export function templateClaim(server: string, template: string, worktreeId: string): string {
  return `${claimOn('template', server, template)}-${worktreeId}`;
}

/**
 * Clones a source's template with `clone`, making or renewing the template first. Of several processes one makes it, and the
 * others wait for it at the server, which lets them go on when that one dies.
 */
export async function withTemplate(input: TemplateInput, clone: (template: KeptTemplate) => Promise<void>): Promise<KeptTemplate> {
  const { server, source, say } = input;
  const name = templateName(source.name);
  const waits = () => say(`another process copies ${source.name} for all worktrees: this one waits for it`);
  for (;;) {
    const cloned = await locked(server, name, 'shared', waits, async () => {
      const kept = await fresh(input, name);
      if (kept !== null) await clone(kept);
      return kept;
    });
    if (cloned !== null) return cloned;
    const made = await locked(server, name, 'alone', waits, async () => {
      // Another has made it while this one waited: then all who waited clone at once.
      if ((await fresh(input, name)) !== null) return null;
      const kept = await build(input, name);
      await clone(kept);
      return kept;
    });
    if (made !== null) return made;
  }
}

/**
 * Holds a template's lock at the server. It goes with the session: a run that was killed has it until the server has carried
 * out what it asked for last.
 * @param waits called when another session has it for long
 */
async function locked<Result>(
  server: Server,
  name: string,
  how: 'shared' | 'alone',
  waits: () => void,
  work: () => Promise<Result>,
): Promise<Result> {
  const [end, key] = [how === 'shared' ? '_shared' : '', [`coppice ${name}`]];
  const timer = setTimeout(waits, LONG_WAIT_MS);
  try {
    await server.rows(`select pg_advisory_lock${end}(hashtextextended($1, 0))`, key, 0);
  } finally {
    clearTimeout(timer);
  }
  try {
    return await work();
  } finally {
    await server.rows(`select pg_advisory_unlock${end}(hashtextextended($1, 0))`, key).catch(() => {}); // a server that died has said so to `work`
  }
}

/** Drops a template that no worktree of this machine keeps any more. */
export async function dropUnusedTemplate(server: Server, name: string): Promise<void> {
  const used = `${claimOn('template', server.name, name)}-`;
  const isUsed = () => [...claimedNames(openStateDir())].some((claim) => claim.startsWith(used));
  if (isUsed()) return;
  await locked(
    server,
    name,
    'alone',
    () => {},
    async () => {
      if (!isUsed()) await dropTemplate(server, name);
    },
  );
}

/** Drops what bears a template's mark. */
async function dropTemplate(server: Server, name: string): Promise<void> {
  const row = await findDatabase(server, name);
  if (row?.mark != null && isTemplateMark(row.mark)) await dropDatabase(server, name);
}

/** The template as it is; null when it is not there, too old, or not of the source as it is now. */
async function fresh({ server, address, source, maxAgeMs, signal }: TemplateInput, name: string): Promise<KeptTemplate | null> {
  const row = await findDatabase(server, name);
  if (row === null) return null;
  if (row.mark === null || !isTemplateMark(row.mark)) throw notOurs(name, source.name);
  const [, oid, made = '', schema] = TEMPLATE_MARK.exec(row.mark) ?? [];
  const madeAt = new Date(made);
  const age = Date.now() - madeAt.getTime();
  // Made while the clock was wrong, so nobody knows when. A clock that was set right by a little is none of that.
  if (oid !== source.oid || age < -CLOCK_STEP_MS || !(age < maxAgeMs)) return null;
  const now = await fingerprint(address, source.name, signal);
  // A migration that is under way has changed nothing yet.
  return now === null || schema === now ? { name, madeAt } : null;
}

const TEMPLATE_MARK = /^coppice: a copy of the database with oid (\d+), made (\S+), schema ([0-9a-f]+)/;

function isTemplateMark(mark: string): boolean {
  return TEMPLATE_MARK.test(mark);
}

/** Makes it under a name that nobody can guess, marks it, and only then gives it its own. */
async function build(input: TemplateInput, name: string): Promise<KeptTemplate> {
  const { server, address, source, building, signal } = input;
  await dropPassing(server, building);
  const madeAt = new Date();
  const schema = await fingerprint(address, source.name, signal);
  if (schema === null)
    throw new Failure(
      `Another session locks tables of ${source.name}, as a migration does, so it cannot be copied. When that has ended: \`git coppice up\`.`,
    );
  try {
    await server.run(`create database ${identifier(building)} template template0 ${await locale(server, source.name)}`);
    await dumpAndLoad({ server, address, source: source.name, target: building, rows: true, signal });
    const mark = `coppice: a copy of the database with oid ${source.oid}, made ${madeAt.toISOString()}, schema ${schema}. It is made again when it is missing.`;
    await server.run(`comment on database ${identifier(building)} is ${literal(mark)}`);
    await dropTemplate(server, name);
    await server.run(`alter database ${identifier(building)} rename to ${identifier(name)}`);
  } catch (error) {
    await dropUnfinished(input);
    if (TAKEN.includes(errorCode(error) ?? '')) throw notOurs(name, source.name);
    throw error;
  }
  return { name, madeAt };
}

/** What is half loaded takes room. Where it cannot be dropped now the journal has it, and the worktree's next run does. */
async function dropUnfinished({ server, building, signal }: TemplateInput): Promise<void> {
  if (signal.aborted) return;
  try {
    await dropPassing(server, building);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}

function notOurs(name: string, source: string): Failure {
  return new Failure(`There is a database \`${name}\` that coppice did not make, where it keeps its copy of ${source}: rename or drop it.`);
}

/** Encoding and locale of a database, as `create database` takes them. */
export async function locale(server: Server, database: string): Promise<string> {
  const [row] = await server.rows<{ encoding: string; collate: string; ctype: string }>(
    `select pg_encoding_to_char(encoding) as encoding, datcollate as collate, datctype as ctype from pg_database where datname = $1`,
    [database],
  );
  return row ? `encoding ${literal(row.encoding)} lc_collate ${literal(row.collate)} lc_ctype ${literal(row.ctype)}` : '';
}

/**
 * What a source's schema is, as one value: its columns, constraints, indexes, views, functions, triggers and types. Null when
 * another session locks one of its tables.
 */
async function fingerprint(address: Address, database: string, signal: AbortSignal): Promise<string | null> {
  try {
    const at = { database, signal, lockTimeoutMs: 500 };
    const [row] = await atServer(address, (server) => server.rows<{ md5: string }>(FINGERPRINT, [], FINGERPRINT_MS), at);
    return row?.md5 ?? '';
  } catch (error) {
    if (errorCode(error) === LOCKED) return null;
    throw error;
  }
}

const FINGERPRINT = `
with own as (
  select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
), parts(part) as (
  select concat_ws(' ', 'c', nspname, relname, relkind, attnum, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
    from pg_class join own on own.oid = relnamespace join pg_attribute on attrelid = pg_class.oid
    left join pg_attrdef on adrelid = attrelid and adnum = attnum where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm', 'f', 'c')
  union all select concat_ws(' ', 'k', nspname, conrelid::regclass, conname, pg_get_constraintdef(pg_constraint.oid))
    from pg_constraint join own on own.oid = connamespace
  union all select concat_ws(' ', 'i', pg_get_indexdef(indexrelid)) from pg_index join pg_class on pg_class.oid = indexrelid join own on own.oid = relnamespace
  union all select concat_ws(' ', 'v', nspname, relname, pg_get_viewdef(pg_class.oid)) from pg_class join own on own.oid = relnamespace where relkind in ('v', 'm')
  union all select concat_ws(' ', 'f', nspname, proname, prosrc, proargtypes::text) from pg_proc join own on own.oid = pronamespace
  union all select concat_ws(' ', 't', pg_get_triggerdef(pg_trigger.oid)) from pg_trigger where not tgisinternal
  union all select concat_ws(' ', 'e', enumtypid::regtype, enumlabel, enumsortorder) from pg_enum
  union all select concat_ws(' ', 'x', extname, extversion) from pg_extension
) select md5(coalesce(string_agg(part, E'\\n' order by part), '')) as md5 from parts`;
