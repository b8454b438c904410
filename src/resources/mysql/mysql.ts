import { Failure } from '../../outcome.ts';
import { ownName, sourceAddress } from '../address.ts';
import { derivedPatterns, whose } from '../database.ts';
import type { ResourceContext, ResourceType } from '../resource.ts';
import { makerAccess } from './access.ts';
import { create } from './create.ts';
import { destroy } from './destroy.ts';
import { isHere } from './identity.ts';
import { ENGINE, LEARNT, MAX_NAME_BYTES, type MysqlOptions, named, SPARE_BYTES } from './names.ts';
import { serverOf, withServer } from './server.ts';

const SYSTEM = ['mysql', 'information_schema', 'performance_schema', 'sys'];

/** A database of the worktree's own on the server of the main worktree's. */
export const mysql: ResourceType<MysqlOptions> = {
  parts: ['url', 'host', 'port', 'user', 'password', 'database'],
  filledBySteps: true,
  outside: 'data',
  resolve(options, context) {
    const { address, origin } = sourceAddress(options, context, ENGINE);
    const server = serverOf(address);
    const source = address.database;
    if (source === '')
      throw new Failure(`\`${context.name}\` names no database: \`mysql://user:password@localhost:3306/name\` is expected.`);
    const wanted = wantedName(options, context, source);
    const before = previous(context.before, { server, source, wanted });
    const admin = options.admin === undefined ? undefined : JSON.stringify(sourceAddress({ from: options.admin }, context, ENGINE).origin);
    const made = {
      server,
      source,
      wanted,
      thing: [context.name, server, source, wanted].join(' '),
      origin: JSON.stringify(origin),
      owns: JSON.stringify(derivedPatterns(options.owns, context.name)),
      ...(admin && { admin }),
      ...Object.fromEntries(LEARNT.flatMap((key) => (before?.[key] === undefined ? [] : [[key, before[key]]]))),
    };
    return named(before?.database ?? wanted, address, made, options, context.name);
  },
  examine: async (options, resolved) => (await import('./examine.ts')).examine(options, resolved),
  async intact(options, resolved, effects) {
    const { made } = resolved;
    const isThere = await withServer(
      await makerAccess(options.admin, resolved),
      async (server) => {
        const there = await server.find(made.database ?? '');
        return there !== null && whose(there, made, effects.worktreeId, false) === 'ours' && isHere(made, server, effects.worktreeId);
      },
      effects,
    );
    if (isThere && made.data !== undefined && made.data !== options.data)
      effects.say(`${made.database} was made with \`data: ${made.data}\`; \`git coppice down\`, then \`git coppice up\` makes it anew`);
    return isThere;
  },
  create,
  destroy,
};

function previous(before: Record<string, string> | null, now: Record<string, string>): Record<string, string> | null {
  return before !== null && Object.entries(now).every(([key, value]) => before[key] === value) ? before : null;
}

function wantedName(options: MysqlOptions, context: ResourceContext, source: string): string {
  if (context.isMain) return source;
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
