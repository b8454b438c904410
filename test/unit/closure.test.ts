import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { Config } from '../../src/config/schema.ts';
import { expandShorthands } from '../../src/config/shorthand.ts';
import { parseSource } from '../../src/config/source.ts';
import { closureOf } from '../../src/trust/closure.ts';
import type { Tree } from '../../src/trust/tree.ts';

type Data = { [key: string]: unknown };

/** A branch in memory. */
interface Branch {
  config: Data;
  include: string[];
  files: Record<string, string>;
}

function treeOf({ include, files }: Branch, comment = ''): Tree {
  const all: Record<string, string> = { ...files, '.worktreeinclude': `${comment}${include.join('\n')}\n` };
  return {
    read: async (name) => (Object.hasOwn(all, name) ? Buffer.from(all[name] ?? '') : null),
    carried: async (names) => new Set(names),
    glob: async (patterns) =>
      Object.keys(files)
        .filter((name) => patterns.includes(name))
        .sort(),
  };
}

async function digestOf(text: string, branch: Branch, comment?: string): Promise<string> {
  const read = parseSource(text, 'worktree.config.yaml');
  if ('problems' in read) throw new Error(`${read.problems[0]?.message}\n${text}`);
  const base = expandShorthands(read.source.value);
  // The parts that are looked at; the schema's own work is no matter here.
  const config = { resources: {}, steps: {}, ...(base as object) } as Config;
  return (await closureOf(config, base, treeOf(branch, comment))).digest;
}

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_-]{0,8}$/).filter((text) => text !== '__proto__');
const word = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme-ascii' }).filter((text) => !text.includes('{{'));
const duration = fc.integer({ min: 1, max: 59 }).map((minutes) => `${minutes}m`);
const named = <T>(value: fc.Arbitrary<T>) => fc.dictionary(name, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
const step = fc.oneof(
  word,
  fc.record(
    {
      run: word,
      timeout: duration,
      retries: fc.nat(9),
      cwd: word,
      background: fc.boolean(),
      env: named(fc.option(word)),
      inputs: fc.constant(['in.sh']),
    },
    { requiredKeys: ['run'], noNullPrototype: true },
  ),
);
const resource = fc.oneof(
  fc.integer({ min: 1, max: 60_000 }),
  fc.constant('postgres'),
  fc.record(
    { type: fc.constant('postgres'), from: word, name: word, seed: fc.constantFrom('seed.sql', 'make seed'), owns: fc.array(word) },
    { requiredKeys: ['type'], noNullPrototype: true },
  ),
  fc.record(
    { type: fc.constant('command'), create: word, destroy: word, keep: fc.array(word) },
    { requiredKeys: ['type', 'create'], noNullPrototype: true },
  ),
);
const file = fc.oneof(
  fc.constantFrom('merge', 'env', 'copy', 'link', 'sqlite'),
  fc.constant({ template: 'note.hbs' }),
  fc.record(
    { action: fc.constant('merge'), from: word, set: named(word), mode: fc.constantFrom('600', '644') },
    { requiredKeys: ['action'], noNullPrototype: true },
  ),
);
const branch: fc.Arbitrary<Branch> = fc.record({
  config: fc.record(
    {
      project: fc.constantFrom('shop', 'app'),
      url: word,
      resources: named(resource),
      env: named(word),
      files: fc.dictionary(fc.stringMatching(/^[a-z]{1,6}\/[a-z.]{1,6}[a-z]$/), file, { maxKeys: 3, noNullPrototype: true }),
      steps: named(step),
      teardown: named(fc.oneof(word, fc.record({ run: word, timeout: duration }, { noNullPrototype: true }))),
      shared: fc.array(word, { maxLength: 3 }),
      keep: duration,
    },
    { requiredKeys: ['steps'], noNullPrototype: true },
  ),
  include: fc.array(fc.stringMatching(/^[a-z*/!]{1,6}[a-z]$/), { maxLength: 3 }),
  files: fc.record({ 'in.sh': word, 'note.hbs': word, 'seed.sql': word }, { noNullPrototype: true }),
});

const IN_ORDER = ['resources', 'env', 'files', 'steps', 'teardown'];

/** The same config as another person would have written it. */
function rewritten({ config }: Branch, seed: number): string {
  const turn = <T>(items: T[]): T[] => (items.length > 1 && seed % 2 === 1 ? [...items.slice(1), ...items.slice(0, 1)] : items);
  const options = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(turn(Object.entries(value)).map(([key, inner]) => [key, options(inner)]))
      : value;
  const data = Object.fromEntries(
    turn(Object.entries(config)).map(([section, value]) => [
      section,
      IN_ORDER.includes(section)
        ? Object.fromEntries(
            Object.entries(value as Data).map(([key, entry]) => [key, options(seed % 3 === 0 ? long(section, entry) : entry)]),
          )
        : options(value),
    ]),
  );
  const text =
    seed % 5 === 0
      ? JSON.stringify(data, null, seed % 4)
      : stringify(data, {
          defaultStringType: seed % 2 ? 'QUOTE_DOUBLE' : 'PLAIN',
          indent: 2 + (seed % 4),
          lineWidth: 0,
          aliasDuplicateObjects: false,
        });
  return seed % 5 === 0 ? text : `# of ${seed}\n\n${text}# the end\n`;
}

function long(section: string, entry: unknown): unknown {
  if (section === 'resources')
    return typeof entry === 'number' ? { base: entry, type: 'port' } : typeof entry === 'string' ? { type: entry } : entry;
  if (section === 'steps' || section === 'teardown') return typeof entry === 'string' ? { run: entry } : entry;
  if (section === 'files' && typeof entry === 'string') return { action: entry };
  return entry;
}

/** One change of something that runs or directs what runs. */
function edited(original: Branch, pick: number, text: string): Branch {
  const copy = structuredClone(original);
  const places: (() => void)[] = [];
  const visit = (value: unknown, set: (changed: unknown) => void, path: string[]) => {
    if (Array.isArray(value)) {
      places.push(() => set([...value, text]));
      if (value.length > 1 && value[0] !== value.at(-1)) places.push(() => set(value.toReversed()));
    } else if (typeof value === 'object' && value !== null) {
      const map = value as Data;
      for (const key of Object.keys(map))
        visit(
          map[key],
          (changed) => {
            map[key] = changed;
          },
          [...path, key],
        );
      const keys = Object.keys(map);
      if (path.length === 1 && keys.length > 1) places.push(() => set(Object.fromEntries(Object.entries(map).toReversed())));
    } else if (typeof value === 'number') places.push(() => set(value > 1 ? value - 1 : 2));
    else if (typeof value === 'boolean') places.push(() => set(!value));
    else if (value === null) places.push(() => set(text));
    else if (path.includes('project')) places.push(() => set(value === 'shop' ? 'app' : 'shop'));
    else if (path.includes('keep') && path.length === 1) places.push(() => set(value === '7m' ? '8m' : '7m'));
    else if (path.at(-1) === 'timeout') places.push(() => set(value === '7m' ? '8m' : '7m'));
    else if (path.at(-1) === 'mode') places.push(() => set(value === '600' ? '644' : '600'));
    else if (['type', 'action', 'template'].includes(path.at(-1) ?? '') || value === 'postgres' || path[0] === 'files') {
      if (path[0] === 'files' && path.length === 2) places.push(() => set(value === 'copy' ? 'link' : 'copy'));
    } else places.push(() => set(`${value}${text}`));
  };
  visit(copy.config, () => {}, []);
  places.push(() => copy.include.push('more'));
  const used = JSON.stringify(copy.config);
  for (const known of ['in.sh', 'note.hbs', 'seed.sql'])
    if (used.includes(`"${known}"`))
      places.push(() => {
        copy.files[known] = `${copy.files[known]}${text}`;
      });
  places[pick % places.length]?.();
  return copy;
}

test('10,000 edits: the digest is the same exactly when nothing that runs, or directs what runs, has changed', async () => {
  const property = fc.asyncProperty(branch, fc.nat(), word, async (original, pick, text) => {
    const plain = await digestOf(JSON.stringify(original.config), original);
    expect(await digestOf(rewritten(original, pick), original, `# a comment ${pick}\n\n`)).toBe(plain);
    const other = edited(original, pick, text);
    expect(await digestOf(JSON.stringify(other.config), other)).not.toBe(plain);
  });
  await fc.assert(property, { numRuns: 5000 });
}, 900_000);

test('a digest is a SHA-256 over a text that another program could write as well', async () => {
  const include: string[] = [];
  const text = JSON.stringify({ config: { steps: { a: { run: 'true' } } }, include, files: {} });
  expect(await digestOf('steps: { a: "true" }', { config: {}, include, files: {} })).toBe(
    `sha256:${createHash('sha256').update(text).digest('hex')}`,
  );
});
