import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { CLI, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

/** What only the app may know. */
const CANARY = 'canary-4f1d9c';

/**
 * A service: a folder of the test outside of every worktree, in which each thing is a file under its name. `log` says what was asked of
 * it, in order. Its secret is in a file, as a token is in a login.
 */
async function shop(world: World, resources: string, more: Record<string, string> = {}) {
  const service = path.join(world.root, 'service');
  fs.mkdirSync(service);
  writeFiles(world.root, { 'secret.txt': `${CANARY}\n` });
  Object.assign(world.env, { SERVICE: service, SECRET_FILE: path.join(world.root, 'secret.txt'), TMPDIR: path.join(world.root, 'tmp') });
  fs.mkdirSync(path.join(world.root, 'tmp'));
  const config = `project: My_Shop\nresources:\n${resources}`;
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n', ...more }, { '.env': 'DATABASE_URL=main\n' });
  const things = () => fs.readdirSync(service).filter((name) => !name.startsWith('.'));
  const asked = () => (fs.existsSync(path.join(service, '.asked')) ? read(service, '.asked').trim().split('\n') : []);
  return { main, service, things, asked, worktree: path.join(world.root, 'a') };
}

const SERVICE = `    create: |
      echo create >> "$SERVICE/.asked"
      echo "making $COPPICE_NAME" >&2
      touch "$SERVICE/$COPPICE_NAME"
      echo "db://me:$(cat "$SECRET_FILE")@host/$COPPICE_NAME"
    destroy: |
      echo destroy >> "$SERVICE/.asked"
      rm -f "$SERVICE/$COPPICE_NAME"
`;
const DATABASE = `  DATABASE_URL:\n    type: command\n${SERVICE}`;
const CHECKED = `${DATABASE}    check: 'echo check >> "$SERVICE/.asked"; test -e "$SERVICE/$COPPICE_NAME"'\n`;

function add(world: World, main: string, branch = 'a') {
  return world.run(main, 'git', ['worktree', 'add', '../a', '-b', branch]);
}

async function variables(world: World, worktree: string): Promise<Record<string, string>> {
  const result = await world.coppice(worktree, 'env', '--json');
  if (result.code !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout);
}

/** The files of a folder that hold a text. */
function holding(folder: string, text: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => fs.lstatSync(path.join(folder, name)).isFile() && fs.readFileSync(path.join(folder, name)).includes(text));
}

test('what create prints is the value; a second up makes nothing; down destroys it, and up makes it again', async () => {
  const world = makeWorld();
  const { main, worktree, things, asked } = await shop(world, DATABASE);
  const added = await add(world, main);
  expect(added.code, added.stderr).toBe(0);
  const [name = ''] = things();
  expect(name).toMatch(/^my-shop-a-[0-9a-f]{8}$/);
  const value = `db://me:${CANARY}@host/${name}`;
  expect(await variables(world, worktree)).toEqual({ DATABASE_URL: value });
  expect(read(worktree, '.env')).toContain(value);
  const again = await world.coppice(worktree, 'up');
  expect([again.code, asked()]).toEqual([0, ['create']]);
  expect((await variables(world, main)).DATABASE_URL).toBe('main');

  const down = await world.coppice(worktree, 'down');
  expect([down.code, down.stderr, things()]).toEqual([0, expect.stringContaining(`${name} destroyed`), []]);
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect([things(), asked()]).toEqual([[name], ['create', 'destroy', 'create']]);
});
