import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filesBelow } from '../fixtures/canaries.ts';
import { startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { type PostgresServer, startPostgres } from '../fixtures/servers/postgres.ts';
import { endWorktreeServers } from '../fixtures/servers/redis.ts';
import { CLI, makeWorld, read, type World } from '../fixtures/world.ts';

let postgres: PostgresServer;
let mysql: TestServer;
beforeAll(async () => {
  [postgres, mysql] = await Promise.all([startPostgres(), startMariaDb()]);
  await postgres.sql('postgres', 'create database shop');
  await mysql.sql('CREATE DATABASE stock');
});
afterAll(() => mysql?.stop());

const CONFIG = `resources:
  PORT: 23950
  DATABASE_URL: { type: postgres, seed: env }
  DB: { type: mysql, from: "{{main.env.DB}}", seed: seed.sql }
  REDIS_URL: { type: redis, isolate: server }
  TOKEN: { type: command, create: 'echo secret-of-the-service' }
  COMPOSE_PROJECT_NAME: compose
  FILE: { type: sqlite, export: false }
files:
  .env: { action: merge, set: { DATABASE_URL: "{{DATABASE_URL}}", PORT: "{{PORT}}" } }
  .env.local: copy
  .env.staging: { action: copy, mode: '0600' }
  keys: copy
  other.pem: { action: copy, mode: '0600' }
  .env.own: env
  "db/*.sqlite3": sqlite
  secret.txt: { text: "{{main.env.TOKEN}}" }
steps:
  say: env
  later: { run: env, background: true }
teardown: { say: env }
`;

const under = (world: World, umask: string, cwd: string, ...command: string[]) =>
  world.run(cwd, 'sh', ['-c', 'umask "$0"; exec "$@"', umask, ...command]);

describe.each(['000', '077'])('under umask %s', (umask) => {
  test('what holds secrets is its owner’s alone from the moment that it is there', async () => {
    const world = makeWorld();
    endWorktreeServers(world.state);
    const modes = path.join(world.root, 'modes');
    const main = await world.repository(
      'shop',
      {
        'worktree.config.yaml': CONFIG,
        '.gitignore': '.env*\n*.pem\nkeys/\n*.sqlite3\nsecret.txt\n',
        'seed.sql': 'select 1;\n',
        'compose.yaml': 'services: { db: { image: postgres, ports: ["25444:5432"] } }\n',
      },
      {
        '.env': `DATABASE_URL=${postgres.url('shop')}\nDB=${mysql.url('stock')}\nREDIS_URL=redis://:a-password@localhost:6379/0\nFILE=db/own.sqlite3\nTOKEN=a-token-of-main\n`,
        '.env.local': 'A=1\n',
        '.env.staging': 'A=1\n',
        'keys/.env.key': 'A=1\n',
        'keys/a.pem': 'key\n',
        'other.pem': 'key\n',
      },
    );
    fs.mkdirSync(path.join(main, 'db'));
    for (const name of ['a', 'own']) execFileSync('sqlite3', [path.join(main, `db/${name}.sqlite3`), 'create table a (b)']);
    // As an editor under this umask makes them: others can read the main worktree's.
    for (const name of filesBelow(main).filter((file) => !file.includes('/.git/'))) fs.chmodSync(name, 0o666);
    fs.chmodSync(path.join(main, 'keys/a.pem'), 0o600);
    Object.assign(world.env, {
      NODE_OPTIONS: `--require ${path.resolve(import.meta.dirname, '../fixtures/recorder.cjs')}`,
      COPPICE_TEST_MODES: modes,
    });
    const worktree = path.join(world.root, 'a');
    const added = await under(world, umask, main, 'git', 'worktree', 'add', '../a', '-b', 'a');
    expect(added.code, added.stderr).toBe(0);
    const again = await under(world, umask, worktree, process.execPath, CLI, 'up', '--force');
    expect(again.code, again.stderr).toBe(0);

    // Of what is there by now, whoever made it.
    const secret = [
      '.env',
      '.env.local',
      '.env.staging',
      'keys/.env.key',
      'keys/a.pem',
      'other.pem',
      '.env.own',
      'secret.txt',
      'db/a.sqlite3',
      'db/own.sqlite3',
    ];
    const kept = path.join(main, '.git/worktrees/a/coppice-kept');
    const folders = [world.state, path.join(main, '.git/coppice/logs')];
    const all = [...secret.map((name) => path.join(worktree, name)), kept, ...folders.flatMap(filesBelow)];
    const mode = (file: string) => [path.relative(world.root, file), (fs.statSync(file).mode & 0o777).toString(8)];
    expect(all.map(mode)).toEqual(all.map((file) => [path.relative(world.root, file), '600']));
    const below = folders.flatMap((folder) => [folder, ...filesBelow(folder).map((file) => path.dirname(file))]);
    expect([...new Set(below)].map(mode).filter(([, its]) => its !== '700')).toEqual([]);
    for (const part of ['redis.conf', '/state/compose/', '/say.log', '/later.log', '/journal']) expect(all.join('\n')).toContain(part);

    await under(world, umask, worktree, process.execPath, CLI, 'down');
    // Of all that was ever made there, at that moment: temporary files too.
    const isPrivate = (file: string) =>
      [world.state, ...folders].some((folder) => file.startsWith(`${folder}/`)) ||
      secret.some((name) => file === path.join(worktree, name)) ||
      path.basename(file).startsWith('coppice-kept');
    const made = read(modes)
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    const open = made.filter(([its = '', kind, ...file]) => {
      const name = file.join(' ');
      // What is in a folder of its owner's alone is reached by nobody else.
      if (/\/\.coppice-[0-9a-f]{12}\.tmp\/copy$/.test(name)) return false;
      return (isPrivate(name) || /\/\.coppice-[0-9a-f]{12}\.tmp$/.test(name)) && its !== (kind === 'folder' ? '700' : '600');
    });
    expect(open).toEqual([]);
    expect(made.filter(([, , file = '']) => file.endsWith('.tmp')).length).toBeGreaterThan(5);
  });
});

test('a copy of SQLite’s without an engine is its owner’s alone too', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'files: { a.sqlite3: sqlite }\n', '.gitignore': '*.sqlite3\n' },
    { 'a.sqlite3': '' },
  );
  fs.chmodSync(path.join(main, 'a.sqlite3'), 0o666);
  // This Node's own engine, or no sqlite3 on PATH.
  const bin = path.join(world.root, 'bin');
  fs.mkdirSync(bin);
  for (const program of ['git', 'sh', 'cat', 'sed', 'uname', 'env'])
    fs.symlinkSync(execFileSync('which', [program], { encoding: 'utf8' }).trim(), path.join(bin, program));
  world.env.PATH = bin;
  const added = await under(world, '000', main, path.join(bin, 'git'), 'worktree', 'add', '../a', '-b', 'a');
  expect(added.code, added.stderr).toBe(0);
  expect((fs.statSync(path.join(world.root, 'a/a.sqlite3')).mode & 0o777).toString(8)).toBe('600');
});
