import { Failure } from '../outcome.ts';
import { claimOn, ownName, partVariables, serverName, sourceAddress } from './address.ts';
import type { ResourceType } from './resource.ts';
import type { ResourceOptions } from './schemas.ts';

const ENGINE = { title: 'PostgreSQL', schemes: ['postgres', 'postgresql', 'postgis', 'ecto'], port: 5432, scheme: 'postgres' };
/** Longer names are cut silently by the server, and a cut name is another database's. */
const MAX_NAME_BYTES = 63;
/** For test runners, which make names of their own from ours. */
const SPARE_BYTES = 16;

/** A database of the worktree's own on the server of the main worktree's. */
export const postgres: ResourceType<ResourceOptions<'postgres'>> = {
  parts: ['url', 'host', 'port', 'user', 'password', 'database'],
  filledBySteps: true,
  outside: 'data',
  resolve(options, context) {
    const { address, origin } = sourceAddress(options, context, ENGINE);
    const server = serverName(address);
    const source = address.database;
    const before = context.before?.source === source && context.before.server === server ? context.before.database : undefined;
    const wanted =
      options.name === undefined ? ownName(source, context.slug, MAX_NAME_BYTES - SPARE_BYTES, null) : context.text(options.name);
    const database = before ?? wanted;
    const url = address.withDatabase(database);
    const { host, port, user, password } = address;
    const parts = { host, port: String(port), user, password, database };
    return {
      value: url,
      variables: options.vars === undefined ? { [context.name]: url } : partVariables(options.vars, { database }),
      parts: { ...parts, url },
      made: { server, source, database, shown: `database ${database}`, origin: JSON.stringify(origin) },
      source: `${server}/${source}`,
      carry: [{ kind: 'database', server: { host, port }, from: source, to: database }],
      detail: `${database} on ${server}`,
    };
  },
  intact: () => Promise.reject(new Failure(claimOn('database', '', ''))),
  create: () => Promise.reject(new Failure('not yet')),
  destroy: () => Promise.reject(new Failure('not yet')),
};
