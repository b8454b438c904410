import { Failure } from '../../outcome.ts';
import { shellQuote } from '../../report/shell-quote.ts';
import { type Address, type Origin, serverName } from '../address.ts';
import { addressIn, ownerAddress } from '../database.ts';
import type { ResolvedResource } from '../resource.ts';
import { findDatabase } from './databases.ts';
import { ENGINE } from './postgres.ts';
import { atServer, type Server } from './server.ts';

/** What the ledger has of a database. */
type Made = Record<string, string>;

/** The app's own address. */
export function appAddress(resolved: ResolvedResource): Address {
  return { ...addressIn(resolved, ENGINE), named: whereNamed(resolved.made.origin, 'from') };
}

/** The address of who makes and drops databases, by the ledger. @throws {Failure} when it cannot be known any more */
export async function makerAddress(made: Made): Promise<Address> {
  const named = made.admin === undefined ? whereNamed(made.origin, 'from') : whereNamed(made.admin, 'admin');
  return { ...(await ownerAddress(made, ENGINE)), named };
}

function whereNamed(origin: string | undefined, option: 'from' | 'admin'): string {
  const { name, envFiles, options } = JSON.parse(origin ?? '') as Origin;
  if (options.from !== undefined) return `\`${option}:\` of ${name} in the config`;
  const variables = options.vars === undefined ? [name] : Object.values(options.vars);
  return `${variables.map((variable) => `\`${variable}\``).join(', ')} in the main worktree's env files (${envFiles.join(', ')})`;
}

/** Whether a server is certainly not the one on which a database was made. */
export function isAnother({ system = '' }: Made, server: Server): boolean {
  return system !== '' && server.system !== '' && server.system !== system;
}

/**
 * Refuses to destroy at a server that is not proven to be the one on which the database was made: by what it says of itself; where
 * it does not, by its address. @throws {Failure}
 */
export async function refuseAnother(made: Made, server: Server): Promise<void> {
  const { system = '', server: name = '', database = '', shown = `database ${database}` } = made;
  const tells = system !== '' && server.system !== '';
  if (tells ? system === server.system : server.name === name) return;
  const forget = `\`git coppice gc --forget ${shellQuote(shown)}\``;
  const mark = tells ? (await findDatabase(server, database))?.mark : null;
  if (mark != null && mark === made.mark)
    throw new Failure(
      `\`${database}\` was made on another server than the one at ${server.name}, which has it with this worktree's mark, as after an upgrade or a restored dump: it is not dropped there. If it is of no use, drop it by hand, then ${forget}.`,
    );
  const what = tells
    ? server.name === name
      ? `Another server answers at ${name} now than the one that has \`${database}\``
      : `\`${database}\` was made at ${name}, and what the main worktree's env files name now, ${server.name}, is another server`
    : `\`${database}\` was made at ${name}, and the main worktree's env files name ${server.name} now, which does not tell whether it is the same server`;
  throw new Failure(`${what}: nothing there is touched. If the one that has it is gone for good: ${forget}.`);
}

/** Who makes databases on another server than the app's makes what the app never sees. @throws {Failure} */
export async function checkAdmin(admin: Server, app: Address, name: string, signal?: AbortSignal): Promise<void> {
  const server = serverName(app);
  if (admin.name === server) return;
  const same = admin.system !== '' && (await atServer(app, async ({ system }) => system === admin.system, signal && { signal }));
  if (!same)
    throw new Failure(
      `The \`admin:\` of ${name} names the server ${admin.name}, and its database is on ${server}. Name a user of that one.`,
    );
}
