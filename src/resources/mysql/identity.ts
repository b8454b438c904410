import { markOf } from '../database.ts';
import type { Server } from './server.ts';

/** What tells a server from another that answers at its address later: as much of this as its user may see. */
export interface Identity {
  /** MySQL's own, kept with its data. */
  uuid?: string;
  /** When MariaDB's data was made. */
  birth?: string;
  /** Host and data directory: the same after a restart, but not in a container that was made anew for the same data. */
  home?: string;
}

/**
 * MariaDB has no name for its data; its `server_uid` is made from the machine and the port. The table of its accounts is never
 * made again, neither by `mariadb-upgrade` nor by a copy of the files, and Aria keeps the second in which it was made. Two that were
 * made in one second are one by that. Who has no right in that table does not see it.
 */
export async function identityOf(rows: Server['rows']): Promise<Identity> {
  const variables = await rows("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'hostname', 'datadir')");
  const { server_uuid, hostname, datadir } = Object.fromEntries(
    variables.map(({ Variable_name, Value }) => [String(Variable_name), String(Value)]),
  );
  const [accounts] = await rows(
    "SELECT UNIX_TIMESTAMP(CREATE_TIME) AS birth FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'global_priv'",
  );
  return {
    ...(server_uuid && { uuid: server_uuid }),
    ...(accounts?.birth != null && { birth: String(accounts.birth) }),
    ...(hostname && { home: `${hostname} ${datadir}` }),
  };
}

/** Whether a server is the one that was met before, by the best that both times told. */
export function compare(before: Identity, now: Identity): 'same' | 'another' | 'unknown' {
  for (const key of ['uuid', 'birth'] as const)
    if (before[key] !== undefined && now[key] !== undefined) return before[key] === now[key] ? 'same' : 'another';
  return before.home !== undefined && before.home === now.home ? 'same' : 'unknown';
}

/** What the ledger has of the server of a database that was meant. */
export function metBefore({ identity }: Record<string, string>): Identity {
  return JSON.parse(identity ?? '{}') as Identity;
}

/**
 * Whether this server has what the ledger says was made: it is proven to be the one where that was; or, where it does not tell
 * enough of itself, what has the name there bears the mark that no other has.
 */
export async function isHere(made: Record<string, string>, server: Server, worktreeId: string): Promise<boolean> {
  const { database = '', nonce } = made;
  if (nonce === undefined) return false;
  const is = compare(metBefore(made), await server.identity());
  if (is !== 'unknown') return is === 'same';
  return (await server.find(database))?.comment === markOf(worktreeId, nonce);
}
