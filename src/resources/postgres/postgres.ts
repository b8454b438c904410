import { type Address, type Engine, ownName, partVariables, serverName, sourceAddress } from '../address.ts';
import { derivedPatterns } from '../database.ts';
import type { ResolvedResource, ResourceContext, ResourceType } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';

export type PostgresOptions = ResourceOptions<'postgres'>;

export const ENGINE: Engine = {
  title: 'PostgreSQL',
  schemes: ['postgres', 'postgresql', 'postgis', 'ecto'],
  port: 5432,
  scheme: 'postgres',
};
/** For test runners, which make names of their own from ours. */
export const SPARE_BYTES = 16;
/** Longer names are cut silently by the server, and a cut name is another database's. */
export const MAX_NAME_BYTES = 63;

/** What only `create` knows, and a later run goes on from. */
const LEARNT = ['ready', 'system', 'mark', 'data', 'template', 'building', 'earlier', 'temporary'];

/**
 * A database of the worktree's own on the server of the main worktree's.
 *
 * It is made under a name that nobody can guess, gets its mark (a COMMENT), and only then its own name, by a rename that fails
 * when the name is taken: so a database of that name either bears our mark from its first moment, or was never ours.
 */
export const postgres: ResourceType<PostgresOptions> = {
  parts: ['url', 'host', 'port', 'user', 'password', 'database'],
  filledBySteps: true,
  outside: 'data',
  resolve(options, context) {
    const { address, origin } = sourceAddress(options, context, ENGINE);
    const admin = options.admin === undefined ? null : sourceAddress({ from: options.admin }, context, ENGINE).origin;
    const server = serverName(address);
    const source = address.database;
    const wanted = wantedName(options, context, source);
    const thing = `${server} ${source} ${wanted}`;
    const known = context.before?.thing === thing ? context.before : null;
    const made = { server, source, wanted, thing, origin: JSON.stringify(origin), ...(admin && { admin: JSON.stringify(admin) }) };
    const is = describeDatabase(options, context.name, address, known?.database ?? wanted, made);
    const learnt = LEARNT.flatMap((key) => (known?.[key] === undefined ? [] : [[key, known[key]]]));
    return { ...is, made: { ...is.made, ...Object.fromEntries(learnt) } };
  },
  examine: async (options, resolved) => (await import('./examine.ts')).examine(options, resolved),
  intact: async (options, resolved, effects) => (await import('./intact.ts')).isThere(options, resolved, effects),
  create: async (options, resolved, effects) => (await import('./make.ts')).make(options, resolved, effects),
  destroy: async (made, effects) => (await import('./destroy.ts')).destroy(made, effects),
};

function wantedName({ name }: PostgresOptions, context: ResourceContext, source: string): string {
  if (context.isMain) return source;
  return name === undefined ? ownName(source, context.slug, MAX_NAME_BYTES - SPARE_BYTES, null) : context.text(name);
}

/** What the worktree's database is by one of the names that it can have. `address`: the source's, or its own. */
export function describeDatabase(
  options: PostgresOptions,
  name: string,
  address: Address,
  database: string,
  made: Record<string, string>,
): ResolvedResource {
  const { host, port, user, password } = address;
  const { source = '' } = made;
  const url = address.withDatabase(database);
  return {
    value: url,
    variables: options.vars === undefined ? { [name]: url } : partVariables(options.vars, { database }),
    parts: { url, host, port: String(port), user, password, database },
    made: {
      ...made,
      database,
      shown: `database ${database}`,
      ...(options.owns.length > 0 && { owns: JSON.stringify(derivedPatterns(options.owns, name)) }),
    },
    source: `${made.server}/${source}`,
    carry: source === database ? [] : [{ kind: 'database', server: { host, port, usual: ENGINE.port }, from: source, to: database }],
    detail: `${database} at ${made.server}`,
  };
}
