import { createHash } from 'node:crypto';
import { errorCode, Failure } from '../../outcome.ts';
import { claimOn, fitName, type Origin } from '../address.ts';
import { addressIn, namesHolding, ownerAddress } from '../database.ts';
import type { Created, ResolvedResource, ResourceEffects } from '../resource.ts';
import { fill, type Making } from './clone.ts';
import { markOf } from './mark.ts';
import { describeDatabase, ENGINE, MAX_NAME_BYTES, type PostgresOptions, SPARE_BYTES } from './postgres.ts';
import {
  atServer,
  databaseNames,
  dropDatabase,
  dropPassing,
  findDatabase,
  HOW_TO_ALLOW,
  IN_USE,
  identifier,
  literal,
  type Server,
  TAKEN,
} from './server.ts';
import { templateName } from './template.ts';

/** Whether the database that was made is there and ours. */
export function isThere(resolved: ResolvedResource, worktreeId: string): Promise<boolean> {
  return atServer(addressIn(resolved, ENGINE), async (server) => {
    const row = await findDatabase(server, resolved.made.database ?? '');
    return row !== null && (row.mark === null || row.mark === markOf(worktreeId));
  });
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
