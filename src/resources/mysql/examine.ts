import { Failure } from '../../outcome.ts';
import type { ResolvedResource } from '../resource.ts';
import { makerAccess } from './access.ts';
import { findClients } from './clients.ts';
import type { MysqlOptions } from './names.ts';
import { type Server, withServer } from './server.ts';

/** Whether a database could be made now. @throws {Failure} when it could not */
export async function examine(options: MysqlOptions, resolved: ResolvedResource): Promise<{ text: string; notes: string[] }> {
  const access = await makerAccess(options.admin, resolved);
  const { source = '' } = resolved.made;
  return withServer(access, async (server) => {
    const what = `${server.kind.product} ${server.kind.version} at ${resolved.made.server}`;
    const notes = (await mayCreate(server))
      ? []
      : [`no grant that lets ${await server.account()} create databases was seen (CREATE on *.*)`];
    if (options.data === 'empty') return { text: what, notes };
    if ((await server.find(source)) === null)
      throw new Failure(
        `There is no database \`${source}\` at ${resolved.made.server} to clone. Make it in the main worktree first, or say \`data: empty\`.`,
      );
    await findClients(server.kind, access.address);
    return { text: `${what}, \`${source}\` can be cloned`, notes };
  });
}

/** Rights can also come by roles or patterns, which SHOW GRANTS shows in their own way: not seen is not refused. */
async function mayCreate(server: Server): Promise<boolean> {
  const grants = (await server.rows('SHOW GRANTS')).flatMap((row) => Object.values(row).map(String));
  return grants.some((grant) => /^GRANT (.*\b)?(ALL PRIVILEGES|CREATE)\b[^.]* ON /.test(grant) && !/ ON `[^%*]*`\./.test(grant));
}
