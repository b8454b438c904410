import { type Address, fitName, partVariables } from '../address.ts';
import type { ResolvedResource } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';

export type MysqlOptions = ResourceOptions<'mysql'>;

export const ENGINE = { title: 'MySQL', schemes: ['mysql', 'mysql2', 'mariadb'], port: 3306, scheme: 'mysql' };
/** The server counts characters and refuses more. */
export const MAX_NAME_BYTES = 64;
/** For test runners, which make names of their own from ours. */
export const SPARE_BYTES = 16;

/** What only `create` knows, of the database of one name, and a later run goes on from. */
export const LEARNT = ['nonce', 'created', 'whole', 'loader', 'account', 'there', 'identity', 'data'];

/** What is known without having made it. */
export function unlearnt(made: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(made).filter(([key]) => !LEARNT.includes(key)));
}

/** What it is under this name. */
export function named(
  database: string,
  address: Address,
  made: Record<string, string>,
  options: Pick<MysqlOptions, 'vars'>,
  name: string,
): ResolvedResource {
  const { host, port, user, password } = address;
  const { server = '', source = '' } = made;
  const url = address.withDatabase(database);
  return {
    value: url,
    variables: options.vars === undefined ? { [name]: url } : partVariables(options.vars, { database }),
    parts: { host, port: String(port), user, password, database, url },
    made: { ...made, database, shown: `database ${database}` },
    source: `${server}/${source}`,
    carry: [{ kind: 'database', server: { host, port, usual: ENGINE.port }, from: source, to: database }],
    detail: `${database} on ${server}`,
  };
}

/** The names to try: the plain one, and one with a hash for when that is taken by anyone. */
export function candidates({ database = '', wanted = '' }: Record<string, string>, worktreeId: string, name: string): string[] {
  return [...new Set([database, wanted, fitName(wanted, MAX_NAME_BYTES - SPARE_BYTES, `${worktreeId} ${name}`)])];
}
