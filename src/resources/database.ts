import { claimedNames } from '../ledger/claims.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { type Address, addressOf, claimOn, type Engine, type Origin, parseAddress } from './address.ts';
import type { ResolvedResource } from './resource.ts';

/** When the command of a `seed:` is ended, in milliseconds. */
export const SEED_MS = 30 * 60_000;

/** What tells whose a database is. A worktree's id, and a random text of its own for each that is made. */
export function markOf(worktreeId: string, nonce: string): string {
  return `coppice ${worktreeId} ${nonce}`;
}

/** What a server says of a database. */
export interface Seen {
  name: string;
  /** Its comment; null where the server has none for databases. Empty: it bears no mark. */
  comment: string | null;
}

/** What the ledger has of a database that was meant. */
export interface Meant {
  /** Chosen when it was written down that it will be made, at which moment there was no database of that name. */
  nonce?: string | undefined;
  /** `yes` as soon as the server has said that it made it. */
  created?: string | undefined;
}

/**
 * Whose a database is that stands under a name of ours.
 *
 * The name was free when the nonce was written down, and is claimed on this machine. So after a crash that left no word of
 * success, what stands there was made by us or, in the same moment, by somebody who is not coppice on this machine. A server
 * with comments tells: what we make is born with ours. Without them only this is certain: we fill it after success was written
 * down, so one that holds anything is not ours; one that holds nothing is taken for ours, and nothing is lost with it.
 *
 * Once success is written down it is ours, unless it bears another's comment: a missing one is no proof against it, because
 * migration tools drop a database and make it again.
 */
export function whose(there: Seen, meant: Meant, worktreeId: string, holdsNothing: boolean): 'ours' | 'foreign' {
  if (meant.nonce === undefined) return 'foreign';
  if (there.comment) return there.comment === markOf(worktreeId, meant.nonce) ? 'ours' : 'foreign';
  if (meant.created === 'yes') return 'ours';
  return there.comment === null && holdsNothing ? 'ours' : 'foreign';
}

/** Whether a `seed` names a file; else it is a command. */
export function isSqlFile(seed: string): boolean {
  return /^\S+\.sql$/.test(seed);
}

/** A database's own address, as its URL has it: with the password, which the ledger has not. */
export function addressIn({ value }: ResolvedResource, engine: Engine): Address {
  const address = parseAddress(value ?? '', engine.port);
  if (address === null) throw new Error(`a resource of ${engine.title} without its URL`);
  return address;
}

/**
 * Who makes and drops databases, by the ledger: the one that `admin:` names, else the app's own user.
 * @throws {Failure} when it cannot be known any more
 */
export function ownerAddress({ origin, admin }: Record<string, string>, engine: Engine): Promise<Address> {
  return addressOf(JSON.parse(admin ?? origin ?? '') as Origin, engine);
}

/** What `owns:` says. @throws {Failure} when a pattern would name databases of others */
export function derivedPatterns(owns: string[], name: string): string[] {
  for (const pattern of owns) {
    if (!pattern.includes('{database}'))
      throw new Failure(
        `${name}: \`owns:\` has \`${pattern}\`, which would name databases of others. Put \`{database}\` into it: \`test_{database}*\`.`,
      );
  }
  return owns;
}

/**
 * What could ever count as derived from a database of this name, whatever `owns:` says by then: of these, what is there before
 * ours is made is another's.
 */
export function namesHolding(ours: string, existing: readonly string[]): string[] {
  return existing.filter((name) => name !== ours && name.includes(ours));
}

/**
 * The databases that test runners have derived from ours. What belongs to somebody else, and what could as well be derived from
 * that, is not.
 * @param patterns e.g. `test_{database}*`
 * @param existing all names at the server
 * @param others the names that belong to somebody else for certain: the source, what was there before ours, what is claimed on this machine, what bears a mark
 */
export function derivedFrom(ours: string, patterns: readonly string[], existing: readonly string[], others: ReadonlySet<string>): string[] {
  const fits = (database: string, name: string) => patterns.some((pattern) => expression(pattern, database).test(name));
  const isDerived = (name: string) => name !== ours && !others.has(name) && fits(ours, name);
  // `shop__ab` is not derived from `shop__a`, and what is derived from it is not ours either.
  const neighbours = [...new Set([...existing, ...others])].filter((name) => name.length > ours.length && !isDerived(name));
  return existing.filter((name) => isDerived(name) && !neighbours.some((neighbour) => fits(neighbour, name)));
}

function expression(pattern: string, database: string): RegExp {
  const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  const parts = pattern.split('{database}').map((part) => part.split('*').map(literal).join('.*'));
  return new RegExp(`^${parts.join(literal(database))}$`, 's');
}

/** The names of databases that worktrees of this machine have claimed at a server; those that were cut are left out. */
export function claimedDatabases(server: string): string[] {
  const start = claimOn('database', server, '');
  return [...claimedNames(openStateDir())].flatMap((name) => (name.startsWith(start) ? decoded(name.slice(start.length)) : []));
}

function decoded(text: string): string[] {
  try {
    return [decodeURIComponent(text)];
  } catch (error) {
    if (error instanceof URIError) return [];
    throw error;
  }
}
