import { Failure } from '../outcome.ts';
import {
  type Address,
  addressOf,
  fitName,
  type Origin,
  ownName,
  parseAddress,
  partVariables,
  serverName,
  sourceAddress,
} from './address.ts';
import { whose } from './database.ts';
import { create } from './mysql-create.ts';
import { destroy } from './mysql-destroy.ts';
import { withServer } from './mysql-server.ts';
import type { ResolvedResource, ResourceContext, ResourceType } from './resource.ts';
import type { ResourceOptions } from './schemas.ts';

export type MysqlOptions = ResourceOptions<'mysql'>;

const ENGINE = { title: 'MySQL', schemes: ['mysql', 'mysql2', 'mariadb'], port: 3306, scheme: 'mysql' };
/** The server counts characters and refuses more. */
const MAX_NAME_BYTES = 64;
/** For test runners, which make names of their own from ours. */
const SPARE_BYTES = 16;
const SYSTEM = ['mysql', 'information_schema', 'performance_schema', 'sys'];

/** What only `create` knows, of the database of one name, and a later run goes on from. */
const LEARNT = ['nonce', 'created', 'whole', 'loader', 'account', 'there'];

/** A database of the worktree's own on the server of the main worktree's. */
export const mysql: ResourceType<MysqlOptions> = {
  parts: ['url', 'host', 'port', 'user', 'password', 'database'],
  filledBySteps: true,
  outside: 'data',
  resolve(options, context) {
    const { address, origin } = sourceAddress(options, context, ENGINE);
    const server = serverName(address);
    const source = address.database;
    if (source === '')
      throw new Failure(`\`${context.name}\` names no database: \`mysql://user:password@localhost:3306/name\` is expected.`);
    const wanted = wantedName(options, context, source);
    const before = previous(context.before, { server, source, wanted });
    const admin = options.admin === undefined ? undefined : adminOrigin(options.admin, server, context);
    const made = {
      server,
      source,
      wanted,
      origin: JSON.stringify(origin),
      owns: JSON.stringify(patterns(options, context.name)),
      ...(admin && { admin }),
      ...Object.fromEntries(LEARNT.flatMap((key) => (before?.[key] === undefined ? [] : [[key, before[key]]]))),
    };
    return named(before?.database ?? wanted, address, made, options, context.name);
  },
  async intact(_options, resolved, effects) {
    const { made } = resolved;
    return withServer(addressIn(resolved), async (server) => {
      const there = await server.find(made.database ?? '');
      return there !== null && whose(there, made, effects.worktreeId, false) === 'ours';
    });
  },
  create,
  destroy,
};

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
    carry: [{ kind: 'database', server: { host, port }, from: source, to: database }],
    detail: `${database} on ${server}`,
  };
}

/** The names to try: the plain one, and one with a hash for when that is taken by anyone. */
export function candidates({ database = '', wanted = '' }: Record<string, string>, worktreeId: string, name: string): string[] {
  return [...new Set([database, wanted, fitName(wanted, MAX_NAME_BYTES - SPARE_BYTES, `${worktreeId} ${name}`)])];
}

/** The resource's own address, as its URL has it. */
export function addressIn({ value }: ResolvedResource): Address {
  const address = parseAddress(value ?? '', ENGINE.port);
  if (address === null) throw new Error('a resource of MySQL without its URL');
  return address;
}

/** Who makes and drops it: the one that `admin:` names, else the app's own user. @throws {Failure} when it cannot be known any more */
export function ownerAddress({ origin, admin }: Record<string, string>): Promise<Address> {
  return addressOf(JSON.parse(admin ?? origin ?? '') as Origin, ENGINE);
}

/** A URL that the config has without a template holds what the ledger may not. */
export function literalAdmin({ admin }: MysqlOptions): Address | null {
  return admin === undefined || admin.includes('{{') ? null : parseAddress(admin, ENGINE.port);
}

function previous(before: Record<string, string> | null, now: Record<string, string>): Record<string, string> | null {
  return before !== null && Object.entries(now).every(([key, value]) => before[key] === value) ? before : null;
}

function wantedName(options: MysqlOptions, context: ResourceContext, source: string): string {
  if (options.name === undefined) return ownName(source, context.slug, MAX_NAME_BYTES - SPARE_BYTES, null);
  const name = context.text(options.name);
  if (name === '' || name.trimEnd() !== name || Buffer.byteLength(name) > MAX_NAME_BYTES || /[\0\u{10000}-\u{10ffff}]/u.test(name))
    throw new Failure(
      `${context.name}: \`name:\` gives \`${name}\`, which MySQL does not take: 1 to ${MAX_NAME_BYTES} bytes, with no space at the end.`,
    );
  if (name === source || SYSTEM.includes(name.toLowerCase()))
    throw new Failure(`${context.name}: \`name:\` gives \`${name}\`, which is not a worktree's own. Put \`{{slug_}}\` into it.`);
  return name;
}

function adminOrigin(admin: string, server: string, context: ResourceContext): string {
  const { address, origin } = sourceAddress({ from: admin }, context, ENGINE);
  if (serverName(address) !== server)
    throw new Failure(`${context.name}: \`admin:\` names the server ${serverName(address)}, and its database is on ${server}.`);
  return JSON.stringify(origin);
}

function patterns({ owns }: MysqlOptions, name: string): string[] {
  for (const pattern of owns) {
    if (!pattern.includes('{database}'))
      throw new Failure(
        `${name}: \`owns:\` has \`${pattern}\`, which would name databases of others. Put \`{database}\` into it: \`test_{database}*\`.`,
      );
  }
  return owns;
}
