import fs from 'node:fs';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { generatedFiles } from '../../scripts/generated.ts';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { judgeConfig } from '../../src/config/load.ts';
import { expandShorthands } from '../../src/config/shorthand.ts';
import { parseSource } from '../../src/config/source.ts';

const EXAMPLE = fs.readFileSync('worktree.config.yaml.example', 'utf8');
const accepts = new Ajv({ allowUnionTypes: true }).compile(configJsonSchema());

test.each(Object.entries(generatedFiles()))('%s is what `npm run schema` writes', (file, text) => {
  expect(fs.readFileSync(file, 'utf8')).toBe(text);
});

describe('worktree.config.yaml.example', () => {
  test('is a right config', async () => {
    const source = parseSource(EXAMPLE, 'worktree.config.yaml.example');
    if ('problems' in source) throw new Error(source.problems[0]?.message);
    const judged = await judgeConfig(expandShorthands(source.source.value), [source.source], null);
    expect('problems' in judged ? judged.problems : []).toEqual([]);
  });

  test('passes the schema that editors use', () => {
    expect(accepts(parse(EXAMPLE)), JSON.stringify(accepts.errors)).toBe(true);
  });

  test('shows every key, resource type and action that there is', () => {
    const shown = keysIn(expandShorthands(parse(EXAMPLE)));
    const { keys, constants } = fixedNames(configJsonSchema());
    expect(keys.filter((key) => !shown.has(key))).toEqual([]);
    expect(constants.filter((constant) => !new RegExp(`\\b${constant}\\b`).test(EXAMPLE))).toEqual([]);
  });
});

function keysIn(value: unknown): Set<string> {
  if (typeof value !== 'object' || value === null) return new Set();
  return new Set([...Object.keys(value), ...Object.values(value).flatMap((inner) => [...keysIn(inner)])]);
}

/** The keys that a JSON Schema names, and the values that stand for a type or an action. */
function fixedNames(node: unknown): { keys: string[]; constants: string[] } {
  if (typeof node !== 'object' || node === null) return { keys: [], constants: [] };
  const inner = Object.values(node).map(fixedNames);
  const properties = 'properties' in node && typeof node.properties === 'object' ? Object.keys(node.properties ?? {}) : [];
  return {
    keys: [...properties, ...inner.flatMap(({ keys }) => keys)],
    constants: [...('const' in node ? [String(node.const)] : []), ...inner.flatMap(({ constants }) => constants)],
  };
}

describe('the schema that editors use refuses', () => {
  test.each([
    ['an unknown key', 'resource: {}'],
    ['an unknown resource type', 'resources: { DATABASE_URL: oracle }'],
    ['a port without a base', 'resources: { PORT: { type: port } }'],
    ['a port above 65535', 'resources: { PORT: 70000 }'],
    ['a name that begins with a digit', 'resources: { 1PORT: 3000 }'],
    ['an unknown action', 'files: { .env: mrge }'],
    ['an unknown key of an action', 'files: { .env: { action: copy, set: {} } }'],
    ['permissions that are no text', 'files: { a: { action: copy, mode: 600 } }'],
    ['a step without a command', 'steps: { build: { needs: [] } }'],
    ['a time without a unit', 'steps: { build: { run: make, timeout: 5 } }'],
    ['too many retries', 'steps: { build: { run: make, retries: 11 } }'],
  ])('%s', (_, text) => {
    expect(accepts(parse(text))).toBe(false);
  });
});
