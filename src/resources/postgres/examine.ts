import { Failure } from '../../outcome.ts';
import type { Origin } from '../address.ts';
import type { ResolvedResource } from '../resource.ts';
import { findDump } from './copy.ts';
import { findDatabase } from './databases.ts';
import { mayCreate } from './make.ts';
import type { PostgresOptions } from './postgres.ts';
import { atServer } from './server.ts';
import { appAddress, checkAdmin, makerAddress } from './which-server.ts';

/** Whether a database could be made now, and whether also while the source is in use. @throws {Failure} when it could not */
export async function examine(options: PostgresOptions, resolved: ResolvedResource): Promise<{ text: string; notes: string[] }> {
  const { source = '' } = resolved.made;
  const app = appAddress(resolved);
  const address = options.admin === undefined ? app : await makerAddress(resolved.made);
  return atServer(address, async (server) => {
    mayCreate(server);
    if (address !== app) await checkAdmin(server, app, (JSON.parse(resolved.made.origin ?? '') as Origin).name);
    const what = `PostgreSQL ${Math.floor(server.version / 10_000)} at ${server.name}`;
    if (options.data === 'empty') return { text: `${what}, \`${server.user.name}\` may create databases`, notes: [] };
    if ((await findDatabase(server, source)) === null)
      throw new Failure(
        `There is no database \`${source}\` at ${server.name} to clone. Make it in the main worktree first, or say \`data: empty\`.`,
      );
    return { text: `${what}, \`${source}\` can be cloned`, notes: await dumpNotes(() => findDump(server, address, source)) };
  });
}

/** A source that nobody uses is copied by the server itself. */
async function dumpNotes(find: () => Promise<unknown>): Promise<string[]> {
  try {
    await find();
    return [];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [`while it is in use it cannot be: ${error.message}`];
  }
}
