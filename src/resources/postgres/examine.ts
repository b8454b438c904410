import { Failure } from '../../outcome.ts';
import { addressIn, makerAddress } from '../database.ts';
import type { ResolvedResource } from '../resource.ts';
import { findDump } from './copy.ts';
import { mayCreate } from './make.ts';
import { ENGINE, type PostgresOptions } from './postgres.ts';
import { atServer, findDatabase } from './server.ts';

/** Whether a database could be made now, and whether also while the source is in use. @throws {Failure} when it could not */
export async function examine(options: PostgresOptions, resolved: ResolvedResource): Promise<{ text: string; notes: string[] }> {
  const { source = '' } = resolved.made;
  const address = options.admin === undefined ? addressIn(resolved, ENGINE) : await makerAddress(options.admin, resolved, ENGINE);
  return atServer(address, async (server) => {
    mayCreate(server);
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
