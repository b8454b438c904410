import { createHash } from 'node:crypto';
import { errorCode, Failure } from '../../outcome.ts';
import { claimOn, fitName, type Origin } from '../address.ts';
import { namesHolding } from '../database.ts';
import type { Created, ResolvedResource, ResourceEffects } from '../resource.ts';
import { fill, type Making } from './clone.ts';
import { databaseNames, dropDatabase, dropPassing, findDatabase, identifier, literal } from './databases.ts';
import { markOf } from './mark.ts';
import { describeDatabase, MAX_NAME_BYTES, type PostgresOptions, SPARE_BYTES } from './postgres.ts';
import { howToAllow, IN_USE, TAKEN } from './refusal.ts';
import { atServer, type Server } from './server.ts';
import { templateName } from './template.ts';
import { appAddress, checkAdmin, isAnother, makerAddress } from './which-server.ts';

/** Makes the database: see {@link postgres}. */
export async function make(options: PostgresOptions, wanted: ResolvedResource, effects: ResourceEffects): Promise<Created> {
  const { server = '', source = '', wanted: plain = '', thing = '', origin = '{}', admin } = wanted.made;
  const app = appAddress(wanted);
  const { name } = JSON.parse(origin) as Origin;
  const base = { server, source, wanted: plain, thing, origin, ...(admin !== undefined && { admin }) };
  const describe = (database: string) => describeDatabase(options, name, app, database, base);
  const address = options.admin === undefined ? app : await makerAddress(wanted.made);
  const run = async (server: Server): Promise<Created> => {
    mayCreate(server);
    if (address !== app) await checkAdmin(server, app, name, effects.signal);
    const before = isAnother(wanted.made, server) ? leave(wanted.made, describe(plain).made, effects) : wanted.made;
    // Of a run that was killed.
    for (const unfinished of [before.temporary, before.building]) if (unfinished !== undefined) await dropPassing(server, unfinished);
    for (const database of candidates(before.database ?? plain, plain, effects.worktreeId)) {
      identifier(database);
      const [temporary = '', building = ''] = ['', ' copy'].map((kind) => passingName(effects.worktreeId, `${name} ${database}${kind}`));
      const variables = describe(temporary).variables;
      const making = { server, address, app, source, temporary, building, options, effects, variables };
      const made = await underName(describe(database), making);
      if (made !== null) return made;
    }
    throw new Failure(
      `Every name that ${name} could have at ${server.name} is taken, \`${plain}\` first. Give it another with \`name:\` in the config.`,
    );
  };
  return atServer(address, run, effects);
}

/**
 * What was made on another server than the one that answers now is not here. It stays listed.
 * @returns what is known of the one that is made instead
 */
function leave(earlier: Record<string, string>, instead: Record<string, string>, effects: ResourceEffects): Record<string, string> {
  const { database = '', server = '', system } = earlier;
  const left = effects.left();
  if (!left.some((other) => other.system === system && other.database === database)) {
    effects.leave([...left, { ...earlier, shown: `database ${database} of the server before` }]);
    effects.say(
      `another server answers at ${server} than the one that has \`${database}\`: one is made here, and the other stays listed until \`git coppice gc --forget 'database ${database} of the server before'\``,
    );
  }
  effects.intend(instead);
  return instead;
}

/** @returns null when the name is taken */
async function underName(is: ResolvedResource, making: Making): Promise<Created | null> {
  const { server, source, temporary, building, options, effects } = making;
  const { data } = options;
  const { database = '' } = is.made;
  const mark = markOf(effects.worktreeId, { ...is.made, system: server.system, data });
  // Written down whether or not it is used: a run that is killed may have begun one.
  const template = data === 'clone' ? { template: templateName(source), building } : {};
  const learnt = { ready: 'yes', system: server.system, mark, data, ...template };
  const claim = claimOn('database', is.made.server ?? '', database);
  const there = await findDatabase(server, database);
  // Made by a run that was killed before it could say so, or for a variable that is called otherwise now.
  if (there?.mark === mark && effects.claim(claim))
    return { detail: is.detail, resolved: is, mark: { ...learnt, earlier: await takenOver(database, mark, making) } };
  if (there !== null || !effects.claim(claim)) return null;
  const earlier = JSON.stringify(namesHolding(database, await databaseNames(server)));
  effects.intend({ ...is.made, ...learnt, ready: '', earlier, temporary });
  await dropPassing(server, temporary);
  try {
    const filled = await fill(making);
    await server.run(`comment on database ${identifier(temporary)} is ${literal(mark)}`);
    if (await renamed(server, temporary, database)) return { detail: `${database}, ${filled}`, resolved: is, mark: { ...learnt, earlier } };
  } catch (error) {
    await dropFailed(making);
    throw error;
  }
  await dropDatabase(server, temporary);
  effects.release(claim);
  return null;
}

/**
 * A database of ours that the ledger has under another name of the config, or at another address of this server, or not any more.
 * @returns what was there before it, as it was known when it was made; else all that is there now
 */
async function takenOver(database: string, mark: string, { server, effects }: Making): Promise<string> {
  const isIt = (made: Record<string, string>) => made.database === database && made.mark === mark;
  const known = effects.recorded().find((made) => isIt(made) && made.earlier !== undefined);
  const left = effects.left();
  if (left.some(isIt)) effects.leave(left.filter((made) => !isIt(made)));
  return known?.earlier ?? JSON.stringify(namesHolding(database, await databaseNames(server)));
}

/** What is not finished takes room. Where it cannot be dropped now the journal has it, and the next run does. */
async function dropFailed({ server, temporary, effects }: Making): Promise<void> {
  if (effects.signal.aborted) return;
  try {
    await dropPassing(server, temporary);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}

/** @throws {Failure} when the session's role may not create databases */
export function mayCreate({ user, name }: Server): void {
  if (!user.createdb && !user.superuser)
    throw new Failure(`\`${user.name}\` may not create databases at ${name}. ${howToAllow(user.name)}`);
}

/** The names to try: the one that it had, the plain one, then those with a hash. */
function candidates(had: string, plain: string, worktreeId: string): string[] {
  const hashed = ['', ' again'].map((salt) => fitName(plain, MAX_NAME_BYTES - SPARE_BYTES, worktreeId + salt));
  return [...new Set([had, plain, ...hashed])];
}

/** A name that nobody can guess, for what is being made. */
function passingName(worktreeId: string, what: string): string {
  return `coppice_${worktreeId.replaceAll('-', '')}_${createHash('sha256').update(what).digest('hex').slice(0, 8)}`;
}

/** Gives the database its own name. @returns false when another has it by now */
async function renamed(server: Server, temporary: string, database: string): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    try {
      await server.run(`alter database ${identifier(temporary)} rename to ${identifier(database)}`);
      return true;
    } catch (error) {
      if (TAKEN.includes(errorCode(error) ?? '')) return false;
      // A seed's last connection may be just closing. The server itself waits for 5 seconds each time.
      if (errorCode(error) !== IN_USE) throw error;
      if (tries === 8)
        throw new Failure(
          `Sessions stay in the new database after it was filled, so it cannot get its name \`${database}\`. Let \`seed:\` end what it starts.`,
        );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
