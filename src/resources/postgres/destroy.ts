import { Failure } from '../../outcome.ts';
import { claimOn } from '../address.ts';
import { claimedDatabases, derivedFrom } from '../database.ts';
import type { DestroyEffects } from '../resource.ts';
import { dropDatabase, dropPassing, findDatabase } from './databases.ts';
import { isMarkedAs, isOfWorktree } from './mark.ts';
import { atServer, type Server } from './server.ts';
import { dropUnusedTemplate, templateClaim } from './template.ts';
import { makerAddress, refuseAnother } from './which-server.ts';

/** What the ledger has of a database. */
type Made = Record<string, string>;

/** Drops what the journal says was made, when it is proven to be ours. */
export async function destroy(made: Made, effects: DestroyEffects): Promise<'nothing' | undefined> {
  const { database = '', temporary, building, template, server: name = '' } = made;
  // Both are written down before anything is made.
  if (temporary === undefined && made.ready !== 'yes') return 'nothing';
  const dropped = await atServer(
    await makerAddress(made),
    async (server) => {
      await refuseAnother(made, server);
      for (const unfinished of [temporary, building]) if (unfinished !== undefined) await dropPassing(server, unfinished);
      const any = await dropOurs(made, server, effects.worktreeId);
      if (template !== undefined) {
        for (const at of new Set([name, server.name])) effects.release(templateClaim(at, template, effects.worktreeId));
        await dropUnusedTemplate(server, template);
      }
      effects.release(claimOn('database', name, database));
      return any;
    },
    effects,
  );
  return dropped ? undefined : 'nothing';
}

/** @returns whether there was anything of ours */
async function dropOurs(made: Made, server: Server, worktreeId: string): Promise<boolean> {
  const { database = '' } = made;
  const row = await findDatabase(server, database);
  const isOurs = row !== null && isMarkedAs(row.mark, made, worktreeId) && (row.mark !== null || made.ready === 'yes');
  // A run that was ended before it had made it, or another database of the worktree: what has the name now is another.
  if (row !== null && !isOurs && made.ready === 'yes' && !isOfWorktree(row.mark, worktreeId))
    throw new Failure(`\`${database}\` at ${server.name} bears another mark now (${row.mark}), so it is left alone.`);
  const derived = made.ready === 'yes' ? await derivedNames(made, server) : [];
  for (const name of derived) await dropDatabase(server, name);
  if (isOurs) await dropDatabase(server, database);
  return isOurs || derived.length > 0;
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
