import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { LOCAL_NAME } from '../../src/config/find.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problems.ts';
import type { Config } from '../../src/config/schema.ts';

async function load(committed: string, local?: string, name = 'worktree.config.yaml'): Promise<Config> {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-config-'));
  onTestFinished(() => fs.rmSync(root, { recursive: true }));
  fs.writeFileSync(path.join(root, name), committed);
  if (local !== undefined) fs.writeFileSync(path.join(root, LOCAL_NAME), local);
  const loaded = await loadConfig(root, root);
  if (loaded.state !== 'ok') throw new Error(loaded.state === 'wrong' ? loaded.problems.map(formatProblem).join('\n') : 'absent');
  expect(loaded.file).toBe(name);
  return loaded.config;
}

const PORT = { type: 'port', base: 3000, step: 10, export: true };
const STEP = { timeout: '30m', retries: 0, variables: true, background: false };

describe('short forms', () => {
  test.each<[string, string, Partial<Config>]>([
    ['a number is a port', 'resources: { PORT: 3000 }', { resources: { PORT: PORT as never } }],
    ['a word is a type', 'resources: { DB: sqlite }', { resources: { DB: { type: 'sqlite', data: 'clone', export: true } } }],
    [
      'a word is an action',
      'files: { .env: merge, a: copy, b: link, c: sqlite, d: env }',
      {
        files: {
          '.env': { action: 'merge' },
          a: { action: 'copy' },
          b: { action: 'link' },
          c: { action: 'sqlite' },
          d: { action: 'env', format: 'dotenv' },
        },
      },
    ],
    [
      '`text` and `template` are the action template',
      'files: { a: { text: x, mode: "600" }, b: { text: y, action: template } }',
      {
        files: { a: { action: 'template', text: 'x', mode: '600' }, b: { action: 'template', text: 'y' } },
      },
    ],
    ['text is a command', 'steps: { a: npm ci }', { steps: { a: { ...STEP, run: 'npm ci' } } }],
    ['also in a teardown', 'teardown: { a: docker compose down }', { teardown: { a: { run: 'docker compose down', timeout: '30m' } } }],
    [
      'one path is a list of one',
      'steps: { a: { run: x, when: { exists: seeds } } }',
      { steps: { a: { ...STEP, run: 'x', when: { exists: ['seeds'] } } } },
    ],
  ])('%s', async (_name, text, wanted) => {
    expect(await load(text)).toMatchObject(wanted);
  });

  test('the values of variables are text as it is written, not what YAML makes of it', async () => {
    const written = '{ A: 1.10, B: 007, C: true, D: True, E: 1e3, F: 0x1F, G: -0, H: .5, I: "3", J: yes, K: 12345678901234567890 }';
    const text = {
      A: '1.10',
      B: '007',
      C: 'true',
      D: 'True',
      E: '1e3',
      F: '0x1F',
      G: '-0',
      H: '.5',
      I: '3',
      J: 'yes',
      K: '12345678901234567890',
    };
    const config = await load(
      `env: ${written}\nfiles: { .env: { action: merge, set: ${written} } }\nsteps: { a: { run: x, env: ${written} } }\nteardown: { b: { run: x, env: ${written} } }\n`,
    );
    expect(config.env).toEqual(text);
    expect(config.files?.['.env']).toEqual({ action: 'merge', set: text });
    expect(config.steps.a?.env).toEqual(text);
    expect(config.teardown.b?.env).toEqual(text);
  });

  test('null in a step’s `env` takes a variable away', async () => {
    expect((await load('steps: { a: { run: x, env: { A: null, B: "" } } }')).steps.a?.env).toEqual({ A: null, B: '' });
  });
});

test('a config of nothing but one key has the defaults of everything else', async () => {
  expect(await load('project: shop\n')).toEqual({
    project: 'shop',
    resources: {},
    env: {},
    steps: {},
    teardown: {},
    envFiles: ['.env', '.env.local'],
    shared: [],
    keep: '1d',
    background: false,
  });
});

test('order is that of the file', async () => {
  const names = ['z', 'a', 'm', '_1', 'B'];
  expect(Object.keys((await load(`steps:\n${names.map((name) => `  ${name}: x\n`).join('')}`)).steps)).toEqual(names);
});

test('JSON gives the config that YAML gives', async () => {
  const data = {
    project: 'shop',
    url: 'http://localhost:{{PORT}}',
    resources: { PORT: 3000, DB: 'sqlite', API: { type: 'port', base: 4001, step: 2 } },
    env: { APP_URL: 'http://localhost:{{PORT}}', DEBUG: true, RATIO: 0.5 },
    files: { '.env': 'merge', 'note.md': { text: 'On {{branch}}\n' } },
    steps: { install: 'npm ci', seed: { run: 'npm run seed', needs: ['install', 'DB'], env: { A: null } } },
    teardown: { stop: 'docker compose down' },
    keep: '2d',
  };
  const json = await load(JSON.stringify(data, null, 2), undefined, 'worktree.config.json');
  expect(json).toEqual(await load(stringify(data)));
  expect(json).toEqual(await load(stringify(data), undefined, 'worktree.config.yml'));
  expect(json.env).toEqual({ APP_URL: 'http://localhost:{{PORT}}', DEBUG: 'true', RATIO: '0.5' });
});

describe('one person’s override', () => {
  const BASE = `project: shop
resources:
  PORT: 3000
  DB: { type: sqlite, from: dev.db, data: empty }
files:
  .env: { action: merge, from: .env.example, set: { A: a, B: b } }
steps:
  install: npm ci
  seed: { run: npm run seed, needs: [install], env: { X: x, Y: y } }
envFiles: [.env, .env.local]
`;

  test('merges maps deep', async () => {
    const config = await load(BASE, 'files: { .env: { set: { B: mine, C: c } } }\nsteps: { seed: { env: { Y: mine } } }\n');
    expect(config.files?.['.env']).toEqual({ action: 'merge', from: '.env.example', set: { A: 'a', B: 'mine', C: 'c' } });
    expect(config.steps.seed).toMatchObject({ run: 'npm run seed', needs: ['install'], env: { X: 'x', Y: 'mine' } });
    expect(config.project).toBe('shop');
  });

  test('expands short forms first, so that a short one changes a long one and a long one a short one', async () => {
    const config = await load(BASE, 'resources: { PORT: { step: 100 } }\nsteps: { seed: true --dry, install: { timeout: 1m } }\n');
    expect(config.resources.PORT).toEqual({ ...PORT, step: 100 });
    expect(config.steps.seed).toMatchObject({ run: 'true --dry', needs: ['install'] });
    expect(config.steps.install).toMatchObject({ run: 'npm ci', timeout: '1m' });
  });

  test('replaces lists and single values', async () => {
    const config = await load(BASE, 'project: mine\nenvFiles: [.env.mine]\nsteps: { seed: { needs: [] } }\n');
    expect(config.project).toBe('mine');
    expect(config.envFiles).toEqual(['.env.mine']);
    expect(config.steps.seed?.needs).toEqual([]);
  });

  test('removes with null: an entry, a key, a section', async () => {
    const config = await load(
      BASE,
      'resources: { PORT: null }\nfiles: null\nsteps: { seed: { needs: null, env: { X: null } } }\nenvFiles: null\nurl: null\n',
    );
    expect(Object.keys(config.resources)).toEqual(['DB']);
    expect(config.files).toBeUndefined();
    expect(config.steps.seed?.needs).toBeUndefined();
    expect(config.steps.seed?.env).toEqual({ Y: 'y' });
    expect(config.envFiles).toEqual(['.env', '.env.local']);
  });

  test('adds entries, behind those that are there; null in them removes nothing and is no value', async () => {
    const config = await load(
      BASE,
      'resources: { API_PORT: { type: port, base: 4001, step: null } }\nsteps: { mine: { run: x, cwd: null, env: { A: null } } }\n',
    );
    expect(config.resources.API_PORT).toEqual({ ...PORT, base: 4001 });
    expect(Object.keys(config.steps)).toEqual(['install', 'seed', 'mine']);
    expect(config.steps.mine).toEqual({ ...STEP, run: 'x', env: { A: null } });
  });

  test('replaces an entry when it has another type or action: its keys would mean nothing', async () => {
    const config = await load(BASE, 'resources: { DB: 4001, PORT: sqlite }\nfiles: { .env: copy }\n');
    expect(config.resources).toEqual({ PORT: { type: 'sqlite', data: 'clone', export: true }, DB: { ...PORT, base: 4001 } });
    expect(config.files).toEqual({ '.env': { action: 'copy' } });
  });

  test('keeps an entry of the same type or action', async () => {
    const config = await load(BASE, 'resources: { DB: sqlite, PORT: 3100 }\nfiles: { .env: merge }\n');
    expect(config.resources).toEqual({
      PORT: { ...PORT, base: 3100 },
      DB: { type: 'sqlite', from: 'dev.db', data: 'empty', export: true },
    });
    expect(config.files?.['.env']).toMatchObject({ from: '.env.example' });
  });

  test('can mend what is wrong in the committed file', async () => {
    expect((await load('resources: { PORT: 99999 }', 'resources: { PORT: 3000 }')).resources.PORT).toEqual(PORT);
  });

  test('is read from the main worktree alone', async () => {
    const [root, main] = ['root', 'main'].map((name) => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), `coppice-${name}-`));
      onTestFinished(() => fs.rmSync(folder, { recursive: true }));
      fs.writeFileSync(path.join(folder, LOCAL_NAME), `project: of-${name}\n`);
      return folder;
    }) as [string, string];
    fs.writeFileSync(path.join(root, 'worktree.config.yaml'), 'project: shop\n');
    expect(await loadConfig(root, main)).toMatchObject({ config: { project: 'of-main' } });
    expect(await loadConfig(root, null)).toMatchObject({ config: { project: 'shop' } });
  });
});
