import { Failure } from '../../outcome.ts';
import { claimOn } from '../address.ts';
import { claimedDatabases, derivedFrom, ownerAddress } from '../database.ts';
import type { DestroyEffects } from '../resource.ts';
import { markOf } from './mark.ts';
import { ENGINE } from './postgres.ts';
import { atServer, dropDatabase, dropPassing, findDatabase, type Server } from './server.ts';
import { dropUnusedTemplate, templateClaim } from './template.ts';

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
