import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { judgeConfig } from '../../src/config/load.ts';
import { didYouMean } from '../../src/config/nearest.ts';
import { parseSource } from '../../src/config/source.ts';
import { checkTemplate, loadHandlebars } from '../../src/config/templates.ts';

const RECIPE = path.resolve(import.meta.dirname, '../fixtures/generated/rolldown.config.ts');
/** More come with `npm run bench`. */
const COUNT = 20_000;
const PROCESSES = 2;
/** In megabytes; what a process needs before it judges anything is in it. */
const MOST_MEMORY = 200;
/** One config takes milliseconds. Who is at one for so long will not end; in milliseconds. */
const HANGS = 60_000;

beforeAll(() => {
  execFileSync('npx', ['rolldown', '-c', RECIPE, '--log-level', 'silent'], { stdio: 'ignore' });
});

/** Judges generated configs in a process of its own; one that does not come to its end is ended, and what it was at is told. */
async function judge(seed: number, count: number): Promise<{ count: number; ok: number; wrong: number; rendered: number }> {
  const folder = fs.mkdtempSync(path.join(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'coppice-generated-'));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  const program = 'node_modules/.cache/coppice/generated/judge.js';
  const child = spawn(process.execPath, [
    `--max-old-space-size=${MOST_MEMORY}`,
    '--stack-trace-limit=1',
    program,
    folder,
    String(seed),
    String(count),
  ]);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const watch = setInterval(() => {
    // The folder changes with every config.
    if (Date.now() - fs.statSync(folder).mtimeMs > HANGS) child.kill('SIGKILL');
  }, 1000);
  const code = await new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  clearInterval(watch);
  const at = fs
    .readdirSync(folder)
    .flatMap((name) =>
      name.includes('config') ? [`${name}: ${JSON.stringify(fs.readFileSync(path.join(folder, name), 'latin1').slice(0, 400))}`] : [],
    );
  expect(code, `seed ${seed}: ${output}\nIt was at:\n${at.join('\n')}`).toBe(0);
  return JSON.parse(output);
}

test(`${COUNT} generated configs come to a config or to problems: no crash, no hang, none needs ${MOST_MEMORY} MB`, {
  timeout: 2_400_000,
}, async () => {
  const seed = Math.floor(Math.random() * 2 ** 30);
  const each = COUNT / PROCESSES;
  const ends = await Promise.all(Array.from({ length: PROCESSES }, (_, index) => judge(seed + index * each, each)));
  for (const { count, ok, wrong, rendered } of ends) {
    expect(ok + wrong).toBe(count);
    // The generators make what they are for: many right ones, whose templates were filled in, and many wrong ones.
    for (const kind of [ok, wrong, rendered]) expect(kind).toBeGreaterThan(count / 10);
  }
});

/** What is told of a config. */
async function told(text: string): Promise<string[]> {
  const read = parseSource(text, 'c.yaml');
  const judged = 'problems' in read ? read : await judgeConfig(read.source.value, [read.source], null);
  return 'problems' in judged ? judged.problems.map(({ line, message }) => `${line}: ${message}`) : [];
}

const times = (count: number, unit: (index: number) => string) => Array.from({ length: count }, (_, index) => unit(index)).join('');

test.each([
  ['ten thousand keys', `{${times(10_000, (index) => `k${index},`)}}`, ['1: has more than 1000 keys and values']],
  ['ten thousand strings in a row', `a: ${'""'.repeat(10_000)}`, ['1: has more than 1000 keys and values']],
  ['twenty thousand tags', '!a '.repeat(20_000), [...Array(20).fill('1: a tag (`!a`) is not allowed'), '0: has 19980 more problems']],
  ['addresses without an end', `url: "${'x://a:'.repeat(10_000)}"\nx`, expect.anything()],
  ['a template of ten thousand blocks', `url: "${'{{#if slug}}'.repeat(5000)}"`, ['1: the template has more than 500 expressions']],
  ['calls within calls', `url: "{{upper ${'('.repeat(60)}"`, ['1: an expression has more than 20 calls within calls']],
])('%s are told at once', { timeout: HANGS }, async (_, text, says) => {
  expect(await told(text)).toEqual(says);
});

test('of ports that all clash, and of a thousand other mistakes, the first twenty are told and the others counted', async () => {
  const ports = `resources:\n${times(300, (index) => `  P${index}: { type: port, base: 3000 }\n`)}`.replaceAll(/ \{.*\}/g, ' 1');
  expect(await told(ports)).toHaveLength(21);
  const same = `resources:\n${times(150, (index) => `  P${index}: { type: port, base: 3000 }\n`)}`;
  const lines = await told(same);
  expect(lines.filter((line) => line.includes('has the same base'))).toHaveLength(20);
});

test('where a template is too large is told by its line', async () => {
  const [problem] = checkTemplate(await loadHandlebars(), `${'{{slug}}\n'.repeat(500)}  {{slug}}`, {
    variables: new Set(),
    parts: new Map(),
  });
  expect(problem).toMatchObject({ line: 501, column: 3 });
});

test('a long name that is like no other is not taken for one', () => {
  expect(didYouMean('database_connection_pool', ['port', 'project'])).toBe('Known: port, project.');
  expect(didYouMean('database_conection_pol', ['port', 'database_connection_pool'])).toBe('Did you mean `database_connection_pool`?');
});
