import { Failure } from '../../outcome.ts';
import { partVariables, sourceAddress } from '../address.ts';
import type { ResolvedResource, ResourceContext, ResourceType } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';
import { giveIndexBack } from './give-back.ts';
import { examineIndexes, type IndexWish, intactIn, madeIndex, takeIndex } from './logical.ts';
import { indexesNamed, type MainIndexes, reserveMainIndexes } from './main-indexes.ts';
import { endServer, findProgram, isServerIntact, type ServerWish, startServer } from './server.ts';
import { REDIS, type RedisAddress, redisAddress } from './url.ts';

type Options = ResourceOptions<'redis'>;

/** What `create` needs and neither templates nor the ledger may have. */
type Wish = { name: string; main: MainIndexes } & (
  | { index: IndexWish; server?: never; found(index: number, run?: string): ResolvedResource }
  | { server: ServerWish; index?: never; found(port: number): ResolvedResource }
);

/** How long `doctor` waits for a server, in milliseconds. */
const EXAMINE_MS = 20_000;

const wishes = new WeakMap<ResolvedResource, Wish>();

/** A logical database of the worktree's own on the main worktree's server, or a server of its own. */
export const redis: ResourceType<Options> = {
  parts: ['url', 'host', 'port', 'user', 'password', 'database'],
  filledBySteps: true,
  outside: 'service',
  resolve: (options, context) =>
    options.isolate === 'server' && !context.isMain ? resolveServer(options, context) : resolveIndex(options, context),
  async examine(_options, resolved) {
    const wish = wishOf(resolved);
    if (wish.index) return { text: await examineIndexes(wish.index, AbortSignal.timeout(EXAMINE_MS)), notes: [] };
    return { text: `${findProgram()}, a process for each worktree`, notes: [] };
  },
  async intact(_options, resolved, effects) {
    const wish = wishOf(resolved);
    reserveMainIndexes(wish.name, wish.main, effects);
    if (wish.server) return isServerIntact(wish.server, effects);
    const run = await intactIn(wish.index, effects);
    return run !== null && wish.index.before !== null && wish.found(wish.index.before.index, run);
  },
  async create(_options, resolved, effects) {
    const wish = wishOf(resolved);
    reserveMainIndexes(wish.name, wish.main, effects);
    if (wish.server) {
      const port = await startServer(wish.server, effects, (chosen) => effects.intend(wish.found(chosen).made));
      return { detail: wish.found(port).detail, resolved: wish.found(port) };
    }
    const { index, run } = await takeIndex(wish.index, effects, (chosen, leaves) => effects.intend(wish.found(chosen).made, leaves));
    return { detail: wish.found(index).detail, resolved: wish.found(index, run) };
  },
  destroy: (made, effects) => (made.isolate === 'server' ? endServer(made, effects) : giveIndexBack(made, effects)),
};

function wishOf(resolved: ResolvedResource): Wish {
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
  if (options.vars !== undefined && options.vars.database === undefined && !context.isMain)
    throw new Failure(`${name}: \`vars: { database: … }\` must say which variable the index goes to, or \`isolate: server\`.`);
  const { server, password, tls } = address;
  const main = mainIndexes(address, mainEnv);
  const known = before?.isolate === 'index' && before.server === server ? madeIndex(before) : null;
  const about = {
    isolate: 'index',
    server,
    origin: JSON.stringify(origin),
    ...(password !== '' && { secret: 'yes' }),
    ...(tls && { tls: 'yes' }),
  };
  const runKnown = (index: number) => (known?.marked && index === known.index ? known.run : undefined);
  const found = (index: number, run = runKnown(index)): ResolvedResource => {
    const url = address.withIndex(index);
    const database = String(index);
    return {
      value: url,
      variables: options.vars === undefined ? { [name]: url } : partVariables(options.vars, { database }),
      parts: { ...partsOf(address), database, url },
      made: {
        ...about,
        index: database,
        thing: `${server} ${index}`,
        shown: `database ${index} of Redis at ${server}`,
        ...(run !== undefined && { marked: 'yes', run }),
      },
      source: null,
      carry: [{ kind: 'redis', server, from: address.index, to: index }],
      detail: `database ${index} of Redis at ${server}`,
    };
  };
  const nothing = { made: { ...about, shown: `a database of Redis at ${server}` }, detail: `a database of Redis at ${server}` };
  // One that the main worktree names by now stays in the ledger, and is no value for the worktree.
  const isFree = known !== null && !main.indexes.has(known.index);
  const own = context.isMain ? address.index : isFree ? known.index : null;
  const resolved = own !== null ? found(own) : unknown(known === null ? nothing : found(known.index), partsOf(address));
  wishes.set(resolved, { name, main, index: { name, target: address, taken: main.indexes, before: known }, found });
  return resolved;
}

function mainIndexes(address: RedisAddress, mainEnv: Record<string, string>): MainIndexes {
  const { server, indexes } = address;
  return { server, indexes: new Set([...indexes, ...indexesNamed(mainEnv, server)]) };
}

function resolveServer(options: Options, context: ResourceContext): ResolvedResource {
  const { name, before, mainEnv } = context;
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
    name,
    main: mainIndexes(address, mainEnv),
    server: { folder: name, port: known, user, password, databases: Math.max(16, ...indexes.map((index) => index + 1)) },
    found,
  });
  return resolved;
}

function partsOf({ host, port, user, password }: RedisAddress): Record<string, string> {
  return { host, port: String(port), user, password };
}

/** What it will be is known once it is made. */
function unknown({ made, detail }: Pick<ResolvedResource, 'made' | 'detail'>, parts: Record<string, string>): ResolvedResource {
  return { value: null, variables: {}, parts, source: null, carry: [], made, detail };
}
