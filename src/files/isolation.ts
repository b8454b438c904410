import path from 'node:path';
import { Failure } from '../outcome.ts';
import type { CarryRule } from '../resources/resource.ts';
import { pointsAtMain } from './carry-over.ts';
import { readEnvFile } from './env-file.ts';
import { standing } from './inside.ts';

/** URLs of services that hold data or pass messages: two worktrees with one value share it. */
const SERVICE =
  /^(jdbc:)?(postgres(ql)?|mysql2?|mariadb|redis|rediss|valkey|mongodb(\+srv)?|amqps?|nats|kafka|sqlserver|memcached?|clickhouse):\/\//i;
/** Files that no program reads: they are for people to copy. */
const SAMPLE = /(^|[._-])(example|sample|template|dist|defaults?|tpl|bak|orig)([._-]|$)/i;

/** What the line of a file begins with that could not be judged. */
export const NOT_LOOKED_AT = 'not looked at: ';

export interface IsolationInput {
  worktree: string;
  /** The env files to read, relative to the worktree. */
  files: string[];
  /** This worktree's own variables. */
  variables: Record<string, string>;
  carry: readonly CarryRule[];
  mainPath: string | null;
  /** Variables meant to be shared. */
  shared: ReadonlySet<string>;
}

/**
 * Reads every env file of the worktree again, as the app's readers would, and lists what still points at the main
 * worktree: a variable of ours with another value, a value that names the main worktree's port, database or folder, and
 * a database or Redis that nobody manages.
 */
export function findShared({ worktree, files, variables, carry, mainPath, shared }: IsolationInput): string[] {
  const found: string[] = [];
  for (const file of [...new Set(files)].sort()) {
    if (SAMPLE.test(path.basename(file))) continue;
    // A branch can commit a folder, a link or worse under such a name.
    if (standing(worktree, file) !== 'file') continue;
    let values: Record<string, string>;
    try {
      values = readEnvFile(path.join(worktree, file));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      found.push(`${NOT_LOOKED_AT}${error.message}`);
      continue;
    }
    for (const [name, value] of Object.entries(values)) {
      if (shared.has(name)) continue;
      const why = reason(name, value, { variables, carry, mainPath, worktree, production: /\.production(\.|$)/.test(file) });
      if (why !== null) found.push(`${why.kind}: ${name} in ${file} (${why.value})`);
    }
  }
  return found;
}

/** What is wrong with a variable of an env file: it names what the main worktree uses, or merely not what this one has. */
interface Finding {
  kind: 'still shared' | "not this worktree's";
  value: string;
}

function reason(
  name: string,
  value: string,
  at: Pick<IsolationInput, 'variables' | 'carry' | 'mainPath' | 'worktree'> & { production: boolean },
): Finding | null {
  const shared = (what: string): Finding => ({ kind: 'still shared', value: what });
  const ours = Object.hasOwn(at.variables, name) ? at.variables[name] : undefined;
  if (ours !== undefined && ours === value) return null;
  const [part] = pointsAtMain(value, at.carry);
  if (part !== undefined) return shared(part);
  if (ours === undefined && Object.values(at.variables).includes(value)) return null;
  if (at.mainPath !== null && namesFolder(value, at.mainPath) && !value.includes(at.worktree)) return shared(at.mainPath);
  // Nobody runs a worktree in production mode: another value there shares nothing.
  if (at.production) return null;
  const own = pointsAtMain(value, at.carry.map(turned)).length > 0;
  if (SERVICE.test(value) && !own) return shared(redact(value));
  // Another app's port, or the tests' database: a resource of this worktree too, by another name.
  if (ours === undefined || own || at.carry.some((rule) => rule.kind === 'port' && String(rule.to) === value)) return null;
  const isBase = at.carry.some((rule) => rule.kind === 'port' && String(rule.from) === value);
  return isBase ? shared(value) : { kind: "not this worktree's", value: redact(value) };
}

/** The rule that leads back: what it finds points at this worktree's own thing. */
function turned(rule: CarryRule): CarryRule {
  return { ...rule, from: rule.to, to: rule.from } as CarryRule;
}

function namesFolder(value: string, folder: string): boolean {
  const at = value.indexOf(folder);
  return at >= 0 && /^([/:;,?"' ]|$)/.test(value.slice(at + folder.length));
}

/** A value fit to be printed: of a URL the host and port, since all else can hold a password; anything else only when it is a short number. */
function redact(value: string): string {
  const [, scheme, rest = ''] = /^((?:jdbc:)?[a-z][a-z0-9+.-]*:\/\/)(.*)$/is.exec(value) ?? [];
  if (scheme !== undefined) {
    // A password may hold any of `/?#@` where nobody has encoded it: then it cannot be told from the rest.
    const [before = '', after, more] = rest.split('@');
    if (more !== undefined || (after !== undefined && before.includes('/'))) return `${scheme}…`;
    const [host] = /^(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?/i.exec(after ?? before) ?? [];
    if (host === undefined) return `${scheme}…`;
    // A database's name, where it is plainly that.
    const [name = ''] = SERVICE.test(value) ? (/^\/[\w-]*(?=$|[?#])/.exec((after ?? before).slice(host.length)) ?? []) : [];
    return `${scheme}${host}${name}`;
  }
  return /^\d{1,5}$/.test(value) ? value : 'another value';
}
