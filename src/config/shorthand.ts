import { ONE_WORD_ACTIONS } from './schema.ts';

type Data = Record<string, unknown>;

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
  expandMap(config, 'env', scalarText);
  expandMap(config, 'files', (entry) => {
    if (typeof entry === 'string' && ONE_WORD_ACTIONS.some((action) => action === entry)) return { action: entry };
    if (isData(entry))
      return withTextMap(
        !('action' in entry) && ('template' in entry || 'text' in entry) ? { action: 'template', ...entry } : entry,
        'set',
      );
    return entry;
  });
  expandMap(config, 'steps', (entry) => withExistsList(withTextMap(command(entry), 'env')));
  expandMap(config, 'teardown', (entry) => withTextMap(command(entry), 'env'));
  return config;
}

/** Maps merge deep, lists and scalars replace, null removes. Both sides have their shorthands expanded. */
export function mergeLocal(base: unknown, local: unknown): unknown {
  if (!isData(base) || !isData(local)) return local;
  const merged: Data = { ...base };
  for (const [key, value] of Object.entries(local)) {
    if (value === null) delete merged[key];
    else merged[key] = key in merged ? mergeLocal(merged[key], value) : value;
  }
  return merged;
}

/** A plain map. */
export function isData(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function expandMap(config: Data, key: string, expand: (entry: unknown) => unknown): void {
  const map = config[key];
  if (isData(map)) config[key] = Object.fromEntries(Object.entries(map).map(([name, entry]) => [name, expand(entry)]));
}

function command(entry: unknown): unknown {
  return typeof entry === 'string' ? { run: entry } : entry;
}

/** Numbers and booleans in a map of variables are their text: `DEBUG: 1`. */
function withTextMap(entry: unknown, key: string): unknown {
  if (!isData(entry) || !isData(entry[key])) return entry;
  return { ...entry, [key]: Object.fromEntries(Object.entries(entry[key]).map(([name, value]) => [name, scalarText(value)])) };
}

function withExistsList(entry: unknown): unknown {
  if (!isData(entry) || !isData(entry.when) || typeof entry.when.exists !== 'string') return entry;
  return { ...entry, when: { ...entry.when, exists: [entry.when.exists] } };
}

function scalarText(value: unknown): unknown {
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
}
