import path from 'node:path';
import { readIfThere } from '../ledger/document.ts';
import type { CarryRule } from '../resources/resource.ts';
import { pointsAtMain } from './carry-over.ts';
import { readEnvText } from './env-text.ts';

/** URLs of services that hold data or pass messages: two worktrees with one value share it. */
const SERVICE =
  /^(jdbc:)?(postgres(ql)?|mysql2?|mariadb|redis|rediss|valkey|mongodb(\+srv)?|amqps?|nats|kafka|sqlserver|memcached?|clickhouse):\/\//i;
/** Files that no program reads: they are for people to copy. */
const SAMPLE = /(^|[._-])(example|sample|template|dist|defaults?|tpl|bak|orig)([._-]|$)/i;

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
    const text = readIfThere(path.join(worktree, file));
    if (text === null) continue;
    for (const [name, value] of Object.entries(readEnvText(text))) {
      if (shared.has(name)) continue;
      const why = reason(name, value, { variables, carry, mainPath, worktree, production: /\.production(\.|$)/.test(file) });
      if (why !== null) found.push(`still shared: ${name} in ${file} (${why})`);
    }
  }
  return found;
}

function reason(
  name: string,
  value: string,
  at: Pick<IsolationInput, 'variables' | 'carry' | 'mainPath' | 'worktree'> & { production: boolean },
): string | null {
  const ours = Object.hasOwn(at.variables, name) ? at.variables[name] : undefined;
  if (ours !== undefined) {
    if (ours === value) return null;
    // Nobody runs a worktree in production mode: another value there shares nothing, unless it names the main worktree's.
    if (!at.production) return redact(value);
  }
  const [part] = pointsAtMain(value, at.carry);
  if (part !== undefined) return part;
  if (Object.values(at.variables).includes(value)) return null;
  if (at.mainPath !== null && namesFolder(value, at.mainPath) && !value.includes(at.worktree)) return at.mainPath;
  return SERVICE.test(value) && !at.production ? redact(value) : null;
}

function namesFolder(value: string, folder: string): boolean {
  const at = value.indexOf(folder);
  return at >= 0 && /^([/:;,?"' ]|$)/.test(value.slice(at + folder.length));
}

/** A value fit to be printed: a URL without its password and query; anything else only when it is a short number. */
function redact(value: string): string {
  const [, scheme, rest = ''] = /^((?:jdbc:)?[a-z][a-z0-9+.-]*:\/\/)(.*)$/is.exec(value) ?? [];
  if (scheme !== undefined) {
    // A password may hold any of `/?#@` where nobody has encoded it: then it cannot be told from the rest.
    const [before = '', after, more] = rest.split('@');
    if (more !== undefined || (after !== undefined && before.includes('/'))) return `${scheme}…`;
    return `${scheme}${(after ?? before).replace(/[?#].*$/s, '')}`;
  }
  return /^\d{1,5}$/.test(value) ? value : 'another value';
}
