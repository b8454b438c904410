import { type Data, isData } from './data.ts';
import { ONE_WORD_ACTIONS } from './schema.ts';

/**
 * Expands every short form of a config: `PORT: 3000`, `DATABASE_URL: sqlite`, `.env: merge`, `{ text: … }`,
 * `migrate: npm run migrate`. What has no short form is left as it is for the schema to judge.
 */
export function expandShorthands(value: unknown): unknown {
  if (!isData(value)) return value;
  const config: Data = { ...value };
  expandMap(config, 'resources', (entry) => {
    if (typeof entry === 'number') return { type: 'port', base: entry };
    if (typeof entry === 'string') return { type: entry };
    return entry;
  });
  expandMap(config, 'files', (entry) => {
    if (typeof entry === 'string' && ONE_WORD_ACTIONS.some((action) => action === entry)) return { action: entry };
    if (isData(entry) && !('action' in entry) && ('template' in entry || 'text' in entry)) return { action: 'template', ...entry };
    return entry;
  });
  expandMap(config, 'steps', (entry) => withExistsList(command(entry)));
  expandMap(config, 'teardown', (entry) => command(entry));
  return config;
}

/**
 * Maps merge deep, lists and scalars replace, null removes. Both sides have their shorthands expanded. An entry of another
 * type or action replaces: the keys of the one mean nothing to the other.
 */
export function mergeLocal(base: unknown, local: unknown, at: readonly string[] = []): unknown {
  if (!isData(local)) return local;
  const merged: Data = isData(base) && !isOtherKind(base, local, at) ? { ...base } : {};
  for (const [key, value] of Object.entries(local)) {
    const there = Object.hasOwn(merged, key);
    // In a step's `env` null is a value: it takes a variable away.
    if (value !== null || (!there && at.length === 3 && at[2] === 'env')) merged[key] = mergeLocal(merged[key], value, [...at, key]);
    else delete merged[key];
  }
  return merged;
}

function isOtherKind(base: Data, local: Data, [section, , ...deeper]: readonly string[]): boolean {
  const tag = deeper.length > 0 ? undefined : section === 'resources' ? 'type' : section === 'files' ? 'action' : undefined;
  return tag !== undefined && local[tag] !== undefined && local[tag] !== base[tag];
}

function expandMap(config: Data, key: string, expand: (entry: unknown) => unknown): void {
  const map = config[key];
  if (isData(map)) config[key] = Object.fromEntries(Object.entries(map).map(([name, entry]) => [name, expand(entry)]));
}

function command(entry: unknown): unknown {
  return typeof entry === 'string' ? { run: entry } : entry;
}

function withExistsList(entry: unknown): unknown {
  if (!isData(entry) || !isData(entry.when) || typeof entry.when.exists !== 'string') return entry;
  return { ...entry, when: { ...entry.when, exists: [entry.when.exists] } };
}
