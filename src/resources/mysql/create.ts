import { randomBytes } from 'node:crypto';
import { claimOwner } from '../../ledger/claims.ts';
import { openStateDir } from '../../ledger/state-dir.ts';
import { Failure } from '../../outcome.ts';
import { endLeftover } from '../../steps/process-group.ts';
import { claimOn, type Origin } from '../address.ts';
import { markOf, namesHolding, type Seen, whose } from '../database.ts';
import type { Created, ResolvedResource, ResourceEffects } from '../resource.ts';
import { type Access, appAccess, makerAccess } from './access.ts';
import { filled, learnt, type Making } from './fill.ts';
import { compare, isHere, metBefore } from './identity.ts';
import { candidates, LEARNT, type MysqlOptions, named, unlearnt } from './names.ts';
import { ALREADY_THERE, asksForRights, drop, endSessions, quoted, quotedPattern, Refusal, type Server, withServer } from './server.ts';

/** The names that this process makes at this moment: two resources of one worktree can mean the same. */
const busy = new Set<string>();

/** Makes the database, or goes on with what an earlier run has begun. */
export async function create(options: MysqlOptions, resolved: ResolvedResource, effects: ResourceEffects): Promise<Created> {
  const { name } = JSON.parse(resolved.made.origin ?? '') as Origin;
  const app = appAccess(resolved);
  const owner = options.admin === undefined ? app : await makerAccess(options.admin, resolved);
  const make = async (server: Server): Promise<Created> => {
    if (options.admin !== undefined) await bothAtOne(server, app, resolved.made, effects.signal);
    const here = await whatIsHere(resolved.made, server, effects);
    const identity = JSON.stringify({ ...metBefore(here), ...(await server.identity()) });
    const names = candidates(here, effects.worktreeId, name);
    for (const database of names) {
      const is = named(database, app.address, unlearnt(here), options, name);
      // What was learnt of one database says nothing of that of another name.
      const made = { ...(database === here.database ? here : is.made), identity };
      const created = await underName(database, { options, effects, name, app, owner, server, made });
      if (created !== null) return { ...created, resolved: is };
    }
    throw new Failure(
      `On ${resolved.made.server} there are databases already under every name that this worktree could have (${names.join(', ')}). Drop one that is of no use, or set \`name:\`.`,
    );
  };
  return withServer(owner, make, effects);
}

/** @throws {Failure} when `admin:` names another server than the app's: by what they are, as one server has several addresses */
async function bothAtOne(server: Server, app: Access, made: Record<string, string>, signal: AbortSignal): Promise<void> {
  const [owners, apps] = [await server.identity(), await withServer(app, (own) => own.identity(), { signal })];
  // At one moment, host and data directory tell too.
  if (compare(owners, apps) === 'another' || owners.home !== apps.home)
    throw new Failure(`\`admin:\` names another server than ${made.server}, where its database is. Name a user of that one.`);
}

/**
 * What is meant at this server. What an earlier run made at another one that had its address stays in the record as left; what
 * was left here is what is meant again.
 */
async function whatIsHere(
  made: Record<string, string>,
  server: Server,
  { worktreeId, left, leave, intend, say }: ResourceEffects,
): Promise<Record<string, string>> {
  const known = [made, ...left().filter((other) => other.thing === made.thing)].filter(({ nonce }) => nonce !== undefined);
  let found: Record<string, string> | undefined;
  for (const each of known) found ??= (await isHere(each, server, worktreeId)) ? each : undefined;
  if (known.length === 0) return made;
  let here = made;
  if (found !== made) {
    if (known.includes(made)) {
      say(
        `Another server answers at ${made.server} now than the one that has ${made.database}: that one stays on record, and goes with the next \`down\` or \`gc\` while its server answers`,
      );
      leave([...left(), made]);
    }
    const learnt = Object.entries(found ?? {}).filter(([key]) => LEARNT.includes(key) || key === 'database');
    here = { ...unlearnt(made), database: made.wanted ?? '', ...Object.fromEntries(learnt) };
    intend(here);
  }
  const rest = left().filter(({ nonce }) => nonce === undefined || nonce !== found?.nonce);
  if (rest.length < left().length) leave(rest);
  return here;
}

/** @returns null when the name is taken */
async function underName(database: string, making: Making): Promise<Created | null> {
  const { effects, server, made } = making;
  const claim = claimOn('database', made.server ?? '', database);
  // Ours by another resource, or by what is left: that keeps it.
  const had = claimOwner(openStateDir(), claim) === effects.worktreeId;
  const giveBack = () => {
    if (!had) effects.release(claim);
  };
  if (busy.has(claim) || !effects.claim(claim)) return null;
  busy.add(claim);
  try {
    const there = await server.find(database);
    if (there !== null && !(await isOurs(there, making))) {
      giveBack();
      return null;
    }
    if (there !== null && made.whole === 'yes') {
      made.there ??= JSON.stringify(await holdingBefore(database, making));
      return { detail: `${database}, as it was`, mark: learnt(made) };
    }
    if (there !== null) await dropUnfinished(database, making);
    if (!(await born(database, making))) {
      giveBack();
      return null;
    }
    return await filled(database, making);
  } finally {
    busy.delete(claim);
  }
}

async function isOurs(there: Seen, { server, made, effects }: Making): Promise<boolean> {
  return whose(there, made, effects.worktreeId, await server.holdsNothing(there.name)) === 'ours';
}

/** What a killed run left half full: what still fills it is ended first. */
async function dropUnfinished(database: string, { server, made, effects }: Making): Promise<void> {
  if (made.loader !== undefined) await endLeftover(made.loader);
  await endSessions(server, database, effects.signal);
  await drop(server, database);
}

/**
 * Makes it empty, and marked where the server has marks. Written down before, with a nonce, and again when the server has said
 * that it did: see `whose`. Without IF NOT EXISTS, so that one which somebody else made meanwhile is never taken for ours.
 * @returns false when there is one of that name by now
 */
async function born(database: string, making: Making): Promise<boolean> {
  const { options, effects, server, made } = making;
  const charset = await sourceCharset(options, made, server);
  made.there ??= JSON.stringify(await holdingBefore(database, making));
  made.data = options.data;
  for (const key of ['created', 'whole', 'loader', 'account']) delete made[key];
  made.nonce = randomBytes(12).toString('hex');
  effects.intend(made);
  const mark = server.kind.comments ? ` COMMENT '${markOf(effects.worktreeId, made.nonce)}'` : '';
  try {
    await server.run(`CREATE DATABASE ${quoted(database)}${charset}${mark}`);
  } catch (error) {
    if (error instanceof Refusal && error.errno === ALREADY_THERE) return false;
    throw await asksForRights(error, server, allowedNames(options, made));
  }
  made.created = 'yes';
  effects.intend(made);
  return true;
}

/** What an administrator lets the app's user make: all names of worktrees where they have a common beginning. */
function allowedNames({ name }: MysqlOptions, { source = '', wanted = '' }: Record<string, string>): string {
  return name === undefined && wanted.startsWith(`${source}__`) ? quotedPattern(`${source}__`).replace(/`$/, '%`') : quotedPattern(wanted);
}

/** The databases that could count as derived from ours by an `owns:` of any time, and were there before it: they are not. */
async function holdingBefore(database: string, { server }: Making): Promise<string[]> {
  const names = (await server.databases()).map((there) => there.name);
  return namesHolding(database, names);
}

/** The clause that gives it the source's character set and collation. @throws {Failure} when there is no source to copy */
async function sourceCharset(
  { data }: MysqlOptions,
  { source = '', server: where }: Record<string, string>,
  server: Server,
): Promise<string> {
  const found = await server.rows(
    'SELECT SCHEMA_NAME AS name, DEFAULT_CHARACTER_SET_NAME AS charset, DEFAULT_COLLATION_NAME AS collation FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?',
    [source],
  );
  const row = found.find((each) => server.same(String(each.name), source));
  if (row === undefined) {
    if (data === 'empty') return '';
    throw new Failure(
      `There is no database \`${source}\` on ${where} to copy, or its user may not see it. Make it in the main worktree first, or set \`data: empty\`.`,
    );
  }
  const [charset, collation] = [String(row.charset), String(row.collation)];
  return /^\w+$/.test(charset) && /^\w+$/.test(collation) ? ` CHARACTER SET ${charset} COLLATE ${collation}` : '';
}
