import { Failure } from '../../outcome.ts';
import { partVariables, sourceAddress } from '../address.ts';
import type { ResolvedResource, ResourceContext, ResourceType } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';
import { examineIndexes, giveIndexBack, type IndexWish, isIndexIntact, madeIndex, takeIndex } from './logical.ts';
import { endServer, findProgram, isServerIntact, type ServerWish, startServer } from './server.ts';
import { indexesIn, REDIS, type RedisAddress, redisAddress } from './url.ts';

type Options = ResourceOptions<'redis'>;

/** What `create` needs and neither templates nor the ledger may have. */
type Wish = { index: IndexWish; server?: never } | { server: ServerWish; index?: never };

/** How long `doctor` waits for a server, in milliseconds. */
const EXAMINE_MS = 20_000;

const wishes = new WeakMap<ResolvedResource, Wish & { found(value: number): ResolvedResource }>();

/** A logical database of the worktree's own on the main worktree's server, or a server of its own. */
export const redis: ResourceType<Options> = {
  parts: ['url', 'host', 'port', 'user', 'password', 'database'],
  filledBySteps: true,
  outside: 'service',
  resolve: (options, context) => (options.isolate === 'server' ? resolveServer(options, context) : resolveIndex(options, context)),
  async examine(_options, resolved) {
    const wish = wishOf(resolved);
    if (wish.index) return { text: await examineIndexes(wish.index, AbortSignal.timeout(EXAMINE_MS)), notes: [] };
    return { text: `${findProgram()}, a process for each worktree`, notes: [] };
  },
  async intact(_options, resolved, effects) {
    const wish = wishOf(resolved);
    return wish.server ? isServerIntact(wish.server, effects) : isIndexIntact(wish.index, effects);
  },
  async create(_options, resolved, effects) {
    const wish = wishOf(resolved);
    if (wish.server) {
      const port = await startServer(wish.server, effects, (chosen) => effects.intend(wish.found(chosen).made));
      return { detail: wish.found(port).detail, resolved: wish.found(port) };
    }
    const { index, identity } = await takeIndex(wish.index, effects, (chosen) => effects.intend(wish.found(chosen).made));
    return { detail: wish.found(index).detail, resolved: wish.found(index), mark: { marked: 'yes', identity } };
  },
  destroy: (made, effects) => (made.isolate === 'server' ? endServer(made, effects) : giveIndexBack(made, effects)),
};

function wishOf(resolved: ResolvedResource) {
  const wish = wishes.get(resolved);
  if (wish === undefined) throw new Error('a redis resource that was not resolved here');
  return wish;
}

function source(options: Options, context: ResourceContext) {
  // Where no variable names the index, apps use 0.
  const { address, origin } = sourceAddress({ ...options, default: { database: '0', ...options.default } }, context, REDIS);
  return { address: redisAddress(address, context.name), origin };
}

function resolveIndex(options: Options, context: ResourceContext): ResolvedResource {
  const { name, before, mainEnv } = context;
  const { address, origin } = source(options, context);
  if (options.vars !== undefined && options.vars.database === undefined)
    throw new Failure(`${name}: \`vars: { database: … }\` must say which variable the index goes to, or \`isolate: server\`.`);
  const { server, password, tls } = address;
  const taken = new Set([0, ...address.indexes, ...Object.values(mainEnv).flatMap((value) => indexesIn(value, server))]);
  const known = before?.isolate === 'index' && before.server === server ? madeIndex(before) : null;
  const kept = known === null || taken.has(known.index) ? null : known;
  const about = {
    isolate: 'index',
    server,
    origin: JSON.stringify(origin),
    ...(password !== '' && { secret: 'yes' }),
    ...(tls && { tls: 'yes' }),
  };
  const found = (index: number): ResolvedResource => {
    const url = address.withIndex(index);
    const database = String(index);
    return {
      value: url,
      variables: options.vars === undefined ? { [name]: url } : partVariables(options.vars, { database }),
      parts: { ...partsOf(address), database, url },
      made: {
        ...about,
        index: database,
        shown: `database ${index} of Redis at ${server}`,
        ...(index === kept?.index && kept.marked && { marked: 'yes', identity: kept.identity }),
      },
      source: null,
      carry: [{ kind: 'redis', server, from: address.index, to: index }],
      detail: `database ${index} of Redis at ${server}`,
    };
  };
  const nothing = { made: { ...about, shown: `a database of Redis at ${server}` }, detail: `a database of Redis at ${server}` };
  const resolved = kept === null ? unknown(nothing, partsOf(address)) : found(kept.index);
  wishes.set(resolved, { index: { name, target: address, taken, before: kept }, found });
  return resolved;
}

function resolveServer(options: Options, context: ResourceContext): ResolvedResource {
  const { name, before } = context;
  const { address } = source(options, context);
  if (options.vars !== undefined && options.vars.port === undefined)
    throw new Failure(`${name}: \`vars: { port: … }\` must say which variable the port of its own server goes to.`);
  const found = (port: number): ResolvedResource => {
    const url = address.withPort(port);
    const host = '127.0.0.1';
    const parts = { ...partsOf(address), host, port: String(port), database: String(address.index) };
    return {
      value: url,
      variables: options.vars === undefined ? { [name]: url } : partVariables(options.vars, { host, port: parts.port }),
      parts: { ...parts, url },
      made: { isolate: 'server', folder: name, port: String(port), shown: `redis-server on port ${port}` },
      source: null,
      carry: address.socket === null ? [{ kind: 'port', from: address.port, to: port }] : [],
      detail: `a server of its own on port ${port}`,
    };
  };
  const known = before?.isolate === 'server' && before.port !== undefined ? Number(before.port) : null;
  const nothing = { made: { isolate: 'server', folder: name, shown: 'redis-server' }, detail: 'a server of its own' };
  const resolved = known === null ? unknown(nothing, partsOf(address)) : found(known);
  const { user, password, indexes } = address;
  wishes.set(resolved, {
    server: { folder: name, port: known, user, password, databases: Math.max(16, ...indexes.map((index) => index + 1)) },
    found,
  });
  return resolved;
}

function partsOf({ host, port, user, password }: RedisAddress): Record<string, string> {
  return { host, port: String(port), user, password };
}

/** What it will be is known once it is made. */
function unknown(nothing: Pick<ResolvedResource, 'made' | 'detail'>, parts: Record<string, string>): ResolvedResource {
  return { value: null, variables: {}, parts, source: null, carry: [], ...nothing };
}
