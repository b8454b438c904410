import { Failure } from '../../outcome.ts';
import { endLeftover } from '../../steps/process-group.ts';
import { claimOn } from '../address.ts';
import { claimedDatabases, derivedFrom, whose } from '../database.ts';
import type { DestroyEffects } from '../resource.ts';
import { type Access, ownerAccess } from './access.ts';
import { isHere } from './identity.ts';
import { drop, endSessions, NO_GRANT, NOT_THERE, quotedPattern, Refusal, type Server, serverOf, withServer } from './server.ts';

/**
 * Drops what the journal says was made, and what test runners derived from it.
 * @throws {Failure} when it cannot be proven to be ours
 */
export async function destroy(made: Record<string, string>, effects: DestroyEffects): Promise<'nothing' | undefined> {
  const { database = '', server: where = '', nonce } = made;
  const claim = claimOn('database', where, database);
  if (nonce === undefined) {
    // It never came to the point where it would be made.
    effects.release(claim);
    return 'nothing';
  }
  if (made.loader !== undefined) await endLeftover(made.loader);
  const owner = await ownerAccess(made);
  const dropped = await withServer(
    owner,
    async (server) => {
      if (!(await isHere(made, server, effects.worktreeId))) throw elsewhere(made, owner);
      return dropAll(made, server, effects);
    },
    effects,
  );
  effects.release(claim);
  return dropped ? undefined : 'nothing';
}

/** Why nothing is touched at the server that answered. */
function elsewhere({ database, server: where }: Record<string, string>, { address, from }: Access): Failure {
  const named = serverOf(address);
  const what =
    named === where
      ? `Another server answers at ${where} now than the one that has \`${database}\``
      : `\`${database}\` is on ${where}, and ${named}, which ${from} names now, is another server`;
  return new Failure(
    `${what}, as far as can be told: nothing there is touched. When its own server is named and answers again: \`git coppice gc\`.`,
  );
}

/** @returns whether there was anything to drop */
async function dropAll(made: Record<string, string>, server: Server, effects: DestroyEffects): Promise<boolean> {
  const { database = '' } = made;
  const dropped = await dropOurs(database, made, server, effects);
  const derived = await derivedDatabases(made, server);
  for (const name of derived) await drop(server, name);
  await takeRightsBack(made, server);
  return dropped || derived.length > 0;
}

/** @returns whether it was there */
async function dropOurs(database: string, made: Record<string, string>, server: Server, effects: DestroyEffects): Promise<boolean> {
  const there = await server.find(database);
  if (there === null) return false;
  if (whose(there, made, effects.worktreeId, await server.holdsNothing(database)) === 'foreign') {
    // Killed before it was made: this is another's.
    if (made.created !== 'yes') return false;
    throw new Failure(
      `The database ${database} on ${made.server} has the comment \`${there.comment}\`, which is not ours any more, so it was not dropped. If it is of no use: DROP DATABASE, then \`git coppice gc\`.`,
    );
  }
  if (made.whole !== 'yes') await endSessions(server, database, effects.signal);
  await drop(server, database);
  return true;
}

async function derivedDatabases(made: Record<string, string>, server: Server): Promise<string[]> {
  const { database = '', server: where = '', source = '' } = made;
  const patterns = JSON.parse(made.owns ?? '[]') as string[];
  if (patterns.length === 0 || made.created !== 'yes') return [];
  const all = await server.databases();
  const marked = all.filter(({ comment }) => comment).map(({ name }) => name);
  const before = JSON.parse(made.there ?? '[]') as string[];
  const claimed = claimedDatabases(where).filter((name) => name !== database);
  return derivedFrom(
    database,
    patterns,
    all.map(({ name }) => name),
    new Set([...marked, ...claimed, ...before, source]),
  );
}

/** What was allowed for the app's user in it: rights outlive a database, for the next of its name. */
async function takeRightsBack({ account, database = '' }: Record<string, string>, server: Server): Promise<void> {
  if (account === undefined) return;
  try {
    await server.run(`REVOKE ALL PRIVILEGES ON ${quotedPattern(database)}.* FROM ${account}`);
  } catch (error) {
    if (!(error instanceof Refusal && [NO_GRANT, NOT_THERE, 1269].includes(error.errno))) throw error;
  }
}
