import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LOCAL_NAME } from '../../src/config/find.ts';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problems.ts';
import { readSource } from '../../src/config/source.ts';

const NAME = 'worktree.config.yaml';

function folder(): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-hostile-'));
  onTestFinished(() => fs.rmSync(root, { recursive: true }));
  return root;
}

/** The first line of each problem. */
function told(loaded: LoadedConfig): string[] {
  if (loaded.state !== 'wrong') return [loaded.state];
  return loaded.problems.map((problem) => formatProblem(problem).split('\n')[0] ?? '');
}

async function load(content: string | Buffer): Promise<LoadedConfig> {
  const root = folder();
  fs.writeFileSync(path.join(root, NAME), content);
  return loadConfig(root, root);
}

const DEEP = 10_000;

describe('a file that is built to hurt is told of at once', () => {
  test.each<[string, string, RegExp]>([
    ['1 MB', `url: "${'x'.repeat(1024 * 1024)}"`, /^worktree\.config\.yaml {2}is 1048583 bytes long; at most 65536 are read$/],
    ['1 MB of line ends', '\n'.repeat(1024 * 1024), /at most 65536 are read$/],
    [
      'maps in lines, as deep as 64 KiB allow',
      Array.from({ length: 350 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''),
      /:41:41 {2}is nested more than 40 levels deep$/,
    ],
    ['lists in lines', Array.from({ length: 350 }, (_, depth) => `${' '.repeat(depth)}-\n`).join(''), /nested more than 40/],
    ['ten thousand lists in one line', `${'- '.repeat(DEEP)}x`, /nested more than 40/],
    ['ten thousand flow lists', `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`, /nested more than 40/],
    ['64 KiB of `[`', '['.repeat(64 * 1024), /nested more than 40/],
    ['64 KiB of `{`', '{'.repeat(64 * 1024), /nested more than 40/],
    ['ten thousand flow maps', '{a: '.repeat(DEEP), /nested more than 40/],
    ['ten thousand maps in one line', 'a: '.repeat(DEEP), /nested more than 40/],
    ['ten thousand keys that are keys', '? '.repeat(DEEP), /nested more than 40/],
    ['flow maps as keys', '{? '.repeat(DEEP), /nested more than 40/],
    ['lists and maps in turn', '[{'.repeat(DEEP), /nested more than 40/],
  ])('%s', async (_name, text, says) => {
    // The time of this process alone: the machine may be busy.
    const started = process.cpuUsage();
    const [first] = told(await load(text));
    expect(first).toMatch(says);
    // A tenth of this is usual; quadratic work would take minutes.
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(10);
  });

  const LONG = 60_000;
  test.each<[string, string, RegExp]>([
    [
      'twenty names behind a text of 60 KB',
      `url: "{{default '${'a b'.repeat(LONG / 3)}' 'x'}}${Array.from({ length: 20 }, (_, index) => `{{zz${index}}}`).join('')}"`,
      /:1:60027 {2}there is no variable named `zz0` here$/,
    ],
    ['a name of 60 KB', `url: "{{${'a'.repeat(LONG)}}}"`, /:1:6 {2}there is no variable named `a+` here$/],
    ['a name of 60 KB of parts', `url: "{{${'a.'.repeat(LONG / 2)}a}}"`, /:1:6 {2}there is no variable named `a` here$/],
    ['a name that is nothing', "url: \"{{'' ''}}\"", /:1:6 {2}there is no helper named ``$/],
  ])('%s', async (_name, text, says) => {
    expect(told(await load(text))[0]).toMatch(says);
  });

  test('one mistake made ten thousand times is told twenty times, and counted', async () => {
    const lines = told(await load('!a '.repeat(DEEP)));
    expect(lines).toHaveLength(21);
    expect(lines[0]).toBe(`${NAME}:1:1  a tag (\`!a\`) is not allowed`);
    expect(lines[20]).toBe(`${NAME}  has 9980 more problems`);
  });
});

describe('what has no use in a config is refused where it stands', () => {
  test.each<[string, string, string[]]>([
    [
      'an anchor and its alias',
      'env:\n  A: &x y\n  B: *x\n',
      [`${NAME}:2:6  an anchor (\`&x\`) is not allowed`, `${NAME}:3:6  an alias (\`*x\`) is not allowed`],
    ],
    ['an anchor on a key', '&x env: {}\n', [`${NAME}:1:1  an anchor (\`&x\`) is not allowed`]],
    ['an alias to nothing', 'env: *x\n', [`${NAME}:1:6  an alias (\`*x\`) is not allowed`]],
    [
      'a thousand laughs',
      'a: &a [x]\nb: &b [*a, *a]\n',
      [
        `${NAME}:1:4  an anchor (\`&a\`) is not allowed`,
        `${NAME}:2:4  an anchor (\`&b\`) is not allowed`,
        `${NAME}:2:8  an alias (\`*a\`) is not allowed`,
        `${NAME}:2:12  an alias (\`*a\`) is not allowed`,
      ],
    ],
    [
      'a merge key',
      'resources:\n  <<: { PORT: 3000 }\n',
      [`${NAME}:2:3  \`<<\` cannot be a name: letters, digits, _ and -, not beginning with a digit`],
    ],
    ['a tag of JavaScript', 'url: !!js/function "x"\n', [`${NAME}:1:6  a tag (\`!!js/function\`) is not allowed`]],
    ['a tag of one’s own', 'url: !secret x\n', [`${NAME}:1:6  a tag (\`!secret\`) is not allowed`]],
    ['a tag that builds an object', 'url: !!binary aGk=\n', [`${NAME}:1:6  a tag (\`!!binary\`) is not allowed`]],
    ['a tag that builds a date', 'url: !!timestamp 2020-01-01\n', [`${NAME}:1:6  a tag (\`!!timestamp\`) is not allowed`]],
    ['a tag written out', 'env: !<tag:yaml.org,2002:omap> [A: b]\n', [`${NAME}:1:6  a tag (\`!<tag:yaml.org,2002:omap>\`) is not allowed`]],
    ['a directive that makes `no` false', '%YAML 1.1\n---\nproject: no\n', [`${NAME}:1:1  a directive (\`%YAML\`) is not allowed`]],
    ['a directive for tags', '%TAG ! tag:x,2000:\n---\nurl: x\n', [`${NAME}:1:1  a directive (\`%TAG\`) is not allowed`]],
    ['a second document', 'url: x\n---\nurl: y\n', [`${NAME}:2:1  a second document starts here; one file holds one config`]],
    ['`__proto__`', '__proto__: { resources: {} }\n', [`${NAME}:1:1  \`__proto__\` cannot be used as a key`]],
    ['`constructor`, deep inside', 'env:\n  constructor: x\n', [`${NAME}:2:3  \`constructor\` cannot be used as a key`]],
    ['`__proto__` with an escape', '"__\\u0070roto__": x\n', [`${NAME}:1:1  \`__proto__\` cannot be used as a key`]],
    ['a key that is a list', '? [a]\n: b\n', [`${NAME}:1:3  a key must be plain text`]],
    ['a key that is nothing', ': b\n', [`${NAME}:1:1  a key must be plain text`]],
    ['a key that stands twice', 'env: {}\nenv: {}\n', [`${NAME}:2:1  \`env\` stands here a second time`]],
    [
      'keys like integers, which would change their order',
      'steps:\n  install: x\n  10: y\n  2: z\n',
      [
        `${NAME}:3:3  \`10\` cannot be a name: letters, digits, _ and -, not beginning with a digit`,
        `${NAME}:4:3  \`2\` cannot be a name: letters, digits, _ and -, not beginning with a digit`,
      ],
    ],
    ['a NUL', 'steps: { a: "x\\0y" }\n', [`${NAME}:1:13  has a NUL character in it, which nothing can hold`]],
    ['half of a character', 'url: "\\ud800"\n', [`${NAME}:1:6  has half of a character in it (a lone surrogate)`]],
    ['a tab', 'env:\n\tA: b\n', [`${NAME}:2:1  a tab stands where spaces should`]],
    ['a template as a bare value', 'url: {{PORT}}\n', [`${NAME}:1:6  a value that begins with \`{{\` must be in quotes`]],
    ['nothing', '', [`${NAME}  is empty`]],
    ['only spaces and line ends', ' \n\n ', [`${NAME}  is empty`]],
    ['only comments', '# resources:\n#   PORT: 3000\n', [`${NAME}  is empty`]],
    ['`null`', 'null\n', [`${NAME}:1:1  a config is a map`]],
    ['`~`', '~', [`${NAME}:1:1  a config is a map`]],
    ['a list', '- PORT\n', [`${NAME}:1:1  a config is a map`]],
    ['a word', 'PORT\n', [`${NAME}:1:1  a config is a map`]],
    ['a number', '3000', [`${NAME}:1:1  a config is a map`]],
  ])('%s', async (_name, text, says) => {
    expect(told(await load(text))).toEqual(says);
  });

  test('bytes that are not UTF-8', async () => {
    expect(told(await load(Buffer.from([0x75, 0x72, 0x6c, 0x3a, 0x20, 0xff])))).toEqual([`${NAME}  is not valid UTF-8`]);
    expect(told(await load(Buffer.from('url: x\n', 'utf16le')))).not.toEqual(['ok']);
  });

  test('no prototype is changed by anything above', () => {
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(({} as Record<string, unknown>).resources).toBeUndefined();
  });
});

describe('what is only unusual is read', () => {
  test.each<[string, string]>([
    ['a byte order mark', '\uFEFFresources:\n  PORT: 3000\n'],
    ['CRLF', 'resources:\r\n  PORT: 3000\r\n'],
    ['no final line end', 'resources:\n  PORT: 3000'],
    ['document marks', '---\nresources: { PORT: 3000 }\n...\n'],
    ['comments everywhere', '# a\nresources: # b\n  # c\n  PORT: 3000 # d\n'],
    ['tabs between a key and its value', 'resources:\n  PORT:\t3000\n'],
    ['quotes around keys', '"resources":\n  \'PORT\': 3000\n'],
  ])('%s', async (_name, text) => {
    expect(await load(text)).toMatchObject({ state: 'ok', config: { resources: { PORT: { type: 'port', base: 3000 } } } });
  });

  test('CRLF and a byte order mark do not move the caret', async () => {
    expect(told(await load('\uFEFFresources:\r\n  PORT: 99999\r\n'))).toEqual([
      `${NAME}:2:9  \`resources.PORT.base\` must be at most 65535, not 99999`,
    ]);
  });

  test('`{{` in a command is for another program', async () => {
    expect(await load("steps:\n  id: docker inspect -f '{{.Id}}' web\n")).toMatchObject({ state: 'ok' });
  });
});

describe('what is no plain file is not read', () => {
  async function toldOf(make: (file: string) => void, name = NAME): Promise<string[]> {
    const root = folder();
    if (name !== NAME) fs.writeFileSync(path.join(root, NAME), 'project: x\n');
    make(path.join(root, name));
    return told(await loadConfig(root, root));
  }

  test.each([NAME, LOCAL_NAME])('%s', async (name) => {
    expect(await toldOf((file) => fs.mkdirSync(file), name)).toEqual([`${name}  is a folder`]);
    expect(await toldOf((file) => fs.symlinkSync('/etc/passwd', file), name)).toEqual([`${name}  is a symbolic link, and is not followed`]);
    expect(await toldOf((file) => fs.symlinkSync('nowhere', file), name)).toEqual([`${name}  is a symbolic link, and is not followed`]);
    expect(await toldOf((file) => fs.symlinkSync(path.basename(file), file), name)).toEqual([
      `${name}  is a symbolic link, and is not followed`,
    ]);
    expect(await toldOf((file) => execFileSync('mkfifo', [file]), name)).toEqual([`${name}  is not a plain file`]);
  });

  test('a file without permission', () => {
    const root = folder();
    const file = path.join(root, NAME);
    fs.writeFileSync(file, 'project: x\n', { mode: 0o000 });
    fs.chmodSync(root, 0o755);
    // Permissions do not stop root: the read is done as somebody else.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      expect(readSource(file, NAME)).toMatchObject({ problems: [{ message: 'cannot be read (EACCES)', hint: 'Check its permissions.' }] });
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});

const VALID = `project: shop
url: "http://localhost:{{PORT}}"
resources:
  PORT: 3000
  VITE_PORT: { type: port, base: 5173, step: 5 }
  DATABASE_URL: sqlite
  SEED_URL: { type: sqlite, from: "file:./seed.db", data: empty, export: false }
env:
  APP_URL: "http://localhost:{{PORT}}/{{upper slug}}"
  DEBUG: true
  VERSION: 1.10
files:
  .env: merge
  config/master.key: { action: copy, mode: "600" }
  apps/web/.env: { action: merge, from: .env.example, set: { PORT: "{{VITE_PORT}}" } }
  note.md:
    text: |
      {{#if branch}}{{branch}}{{else}}none{{/if}}
steps:
  install: { run: npm ci, inputs: [package-lock.json], needs: [] }
  migrate: npm run db:migrate
  seed: { run: npm run seed, needs: [migrate, DATABASE_URL], timeout: 10m, retries: 2, when: { exists: seeds }, env: { A: null } }
teardown:
  stop: docker compose down -v
envFiles: [.env]
shared: [REDIS_URL]
keep: 2d
background: false
`;

describe('thousands of broken configs come to problems or to a config, never to a crash', () => {
  test('the config that they are made from is right', async () => {
    expect(told(await load(VALID))).toEqual(['ok']);
  });

  const INTERNALS = /undefined|\[object|NaN|native code|Invalid input/;

  async function judged(root: string, text: string): Promise<void> {
    fs.writeFileSync(path.join(root, NAME), text);
    const loaded = await loadConfig(root, root);
    if (loaded.state !== 'wrong') {
      expect(loaded.state).toBe('ok');
      return;
    }
    expect(loaded.problems.length).toBeGreaterThan(0);
    for (const problem of loaded.problems) {
      // What the text itself says may be quoted.
      if (!INTERNALS.test(text)) expect(formatProblem(problem)).not.toMatch(INTERNALS);
      expect(problem.message).not.toBe('');
      if (problem.source !== null) expect(problem.column).toBeLessThanOrEqual(problem.source.length + 1);
    }
  }

  test('by changes of the text', async () => {
    const root = folder();
    const piece = fc.oneof(
      fc.constantFrom(
        ...'{}[]:,-#&*!|>\'"%@`?~ \t\n\r\0\uFEFF\u2028',
        '  ',
        '- ',
        ': ',
        '{{',
        '}}',
        '{{#if',
        '<<: ',
        '---\n',
        '!!set ',
        '3000',
        'null',
        'true',
        'toString',
        'constructor',
        '..',
        '.git',
      ),
      fc.string({ maxLength: 4 }),
      fc.constantFrom(...VALID.split('\n').map((line) => `${line}\n`)),
    );
    const change = fc.tuple(fc.nat(VALID.length), fc.oneof(fc.constant(0), fc.nat(6), fc.nat(80)), piece);
    const mutated = fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
      let text = VALID;
      for (const [at, length, insert] of changes) text = text.slice(0, at) + insert + text.slice(at + length);
      return text;
    });
    await fc.assert(
      fc.asyncProperty(mutated, (text) => judged(root, text)),
      { numRuns: 2000 },
    );
  });

  test('by other data in place of a part', async () => {
    const root = folder();
    const data = {
      project: 'shop',
      url: 'http://localhost:{{PORT}}',
      resources: { PORT: { type: 'port', base: 3000, step: 10, export: true }, DB: { type: 'sqlite', from: 'x', data: 'clone' } },
      env: { A: '{{upper slug}}' },
      files: { '.env': { action: 'merge', from: 'x', set: { A: 'b' }, mode: '600' }, b: { action: 'template', text: 'x' } },
      steps: {
        a: {
          run: 'x',
          needs: ['PORT'],
          timeout: '1s',
          retries: 1,
          when: { exists: ['x'] },
          env: { A: null },
          cwd: 'x',
          inputs: ['x'],
          background: false,
        },
      },
      teardown: { a: { run: 'x', env: {}, timeout: '1s', cwd: 'x' } },
      envFiles: ['.env'],
      shared: ['A'],
      keep: '1d',
      background: true,
    };
    const paths: string[][] = [];
    const walk = (node: unknown, at: string[]): void => {
      paths.push(at);
      if (typeof node === 'object' && node !== null) for (const [key, value] of Object.entries(node)) walk(value, [...at, key]);
    };
    walk(data, []);
    const other = fc.oneof(
      fc.constantFrom<unknown>(
        null,
        true,
        -1,
        0,
        3000.5,
        1e300,
        '',
        ' ',
        [],
        {},
        [null],
        [[]],
        [{}],
        { type: null },
        { type: [] },
        { action: {} },
        'toString',
        '__proto__',
        '{{nope}}',
        '../x',
        { a: { b: {} } },
      ),
      fc.jsonValue({ maxDepth: 3 }),
    );
    const key = fc.constantFrom('', 'extra', 'type', 'base', 'run', 'action', 'toString', 'valueOf', '1', 'a b', 'needs', 'reuse');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...paths), other, fc.option(key)), { minLength: 1, maxLength: 3 }),
        async (changes) => {
          let changed: unknown = structuredClone(data);
          for (const [at, value, added] of changes) {
            const last = added ?? at.at(-1);
            const parent = (added === null ? at.slice(0, -1) : at).reduce<unknown>(
              (node, step) => (typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[step] : undefined),
              changed,
            );
            // A copy each: a value that was put into itself would be no data.
            if (last === undefined) changed = structuredClone(value);
            else if (typeof parent === 'object' && parent !== null) (parent as Record<string, unknown>)[last] = structuredClone(value);
          }
          await judged(root, JSON.stringify(changed) ?? 'null');
        },
      ),
      { numRuns: 2000 },
    );
  });
});
