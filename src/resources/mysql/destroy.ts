import { Failure } from '../../outcome.ts';
import { endLeftover } from '../../steps/process-group.ts';
import { claimOn } from '../address.ts';
import { claimedDatabases, derivedFrom, ownerAddress, whose } from '../database.ts';
import type { DestroyEffects } from '../resource.ts';
import { ENGINE } from './names.ts';
import { drop, endSessions, NO_GRANT, NOT_THERE, quotedPattern, Refusal, type Server, withServer } from './server.ts';

/** Drops what the journal says was made, and what test runners derived from it. @throws {Failure} when it cannot be proven to be ours */
export async function destroy(made: Record<string, string>, effects: DestroyEffects): Promise<void> {
  const { database = '', server: where = '', nonce } = made;
  const claim = claimOn('database', where, database);
  if (nonce === undefined) {
    // It never came to the point where it would be made.
    effects.release(claim);
    return;
  }
  if (made.loader !== undefined) await endLeftover(made.loader);
  await withServer(await ownerAddress(made, ENGINE), async (server) => {
    await dropOurs(database, made, server, effects);
    for (const derived of await derivedDatabases(made, server)) await drop(server, derived);
    await takeRightsBack(made, server);
  });
  effects.release(claim);
}

async function dropOurs(database: string, made: Record<string, string>, server: Server, effects: DestroyEffects): Promise<void> {
  const there = await server.find(database);
  if (there === null) return;
  if (whose(there, made, effects.worktreeId, await server.holdsNothing(database)) === 'foreign') {
    // Killed before it was made: this is another's.
    if (made.created !== 'yes') return;
    throw new Failure(
      `The database ${database} on ${made.server} has the comment \`${there.comment}\`, which is not ours any more, so it was not dropped. If it is of no use: DROP DATABASE, then \`git coppice gc\`.`,
    );
  }
  if (made.whole !== 'yes') await endSessions(server, database, effects.signal);
  await drop(server, database);
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
