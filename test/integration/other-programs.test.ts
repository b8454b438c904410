import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { fromRegistry } from '../fixtures/cache.ts';
import { records } from '../fixtures/ledger.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

// They know nothing of coppice: each calls `git worktree add` in its own way, and the worktree must come out ready.

const FILES = {
  'worktree.config.yaml': 'resources: { PORT: 25100 }\nsteps:\n  once: echo ran >> once.log\n',
  '.gitignore': '.env\n*.log\n.worktrees\nnode_modules\n',
};
const program = (name: string) =>
  path.join(fromRegistry('other-programs', { branchlet: '1.2.0', '@tokenbooks/wt': '0.6.1' }), 'node_modules/.bin', name);

function expectReady(world: World, worktree: string): void {
  expect(read(worktree, 'once.log')).toBe('ran\n');
  expect(records(world)).toMatchObject([{ path: worktree, state: 'ready', slot: 1 }]);
}

describe("branchlet, which copies the main worktree's .env* over those that are there", () => {
  async function feature(settings: object): Promise<{ world: World; worktree: string }> {
    const world = makeWorld();
    const files = { ...FILES, '.branchlet.json': JSON.stringify(settings) };
    const main = await world.repository('shop', files, { '.env': 'PORT=25100\nKEY=k\n' });
    const made = await world.run(main, program('branchlet'), ['create', '-n', 'feature', '-s', 'main']);
    expect(made.code, made.stdout + made.stderr).toBe(0);
    const worktree = path.join(world.root, 'shop.worktree/feature');
    expectReady(world, worktree);
    return { world, worktree };
  }

  test('told to copy none: its worktree comes out ready', async () => {
    const { worktree } = await feature({ worktreeCopyPatterns: [] });
    expect(read(worktree, '.env')).toBe('PORT=25110\nKEY=k\n');
  });

  test('told to run `git coppice up` as its last command: its worktree comes out ready', async () => {
    const { worktree } = await feature({ postCreateCmd: ['git coppice up'] });
    expect(read(worktree, '.env')).toBe('PORT=25110\nKEY=k\n');
  });

  test('told nothing: doctor says what is shared', async () => {
    const { world, worktree } = await feature({});
    const doctor = await world.coppice(worktree, 'doctor');
    expect([doctor.code, doctor.stdout]).toEqual([1, expect.stringContaining('PORT in .env')]);
  });
});

describe('@tokenbooks/wt', async () => {
  const postgres = await startPostgres();

  test('with a database of its own making: its worktree comes out ready', async () => {
    const world = makeWorld();
    const config = {
      baseDatabaseName: 'shop',
      baseWorktreePath: '.worktrees',
      portStride: 100,
      services: [{ name: 'web', defaultPort: 3000 }],
      dockerServices: [],
      envFiles: [{ source: '.env', patches: [{ var: 'DATABASE_URL', type: 'database' }] }],
    };
    await postgres.sql('postgres', 'create database shop');
    const main = await world.repository(
      'shop',
      { ...FILES, 'worktree.config.yaml': `${FILES['worktree.config.yaml']}files: {}\n`, 'wt.config.json': JSON.stringify(config) },
      { '.env': `DATABASE_URL=${postgres.url('shop')}\nPORT=25100\n` },
    );
    const made = await world.run(main, program('wt'), ['new', 'feature', '--no-install']);
    expect(made.code, made.stdout + made.stderr).toBe(0);
    const worktree = path.join(main, '.worktrees/feature');
    expectReady(world, worktree);
    expect(await postgres.databases()).toContain('shop_wt1');
    expect(read(worktree, '.env')).toContain('shop_wt1');
  });
});

describe('a script', () => {
  test('that captures what git says, in a subshell, from a linked worktree', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    writeFiles(world.root, {
      'new-worktree': [
        '#!/usr/bin/env bash',
        'set -euo pipefail',
        'root=$(git rev-parse --path-format=absolute --git-common-dir)',
        'path=$(dirname "$(dirname "$root")")/$1',
        'output=$(git worktree add "$path" -b "$1" 2>&1) || { echo "failed: $output"; exit 1; }',
        'echo "$path"',
        '',
      ].join('\n'),
    });
    const script = path.join(world.root, 'new-worktree');
    fs.chmodSync(script, 0o755);
    const made = await world.run(main, script, ['feature']);
    expect([made.code, made.stdout]).toEqual([0, `${path.join(world.root, 'feature')}\n`]);
    expectReady(world, path.join(world.root, 'feature'));
  });
});
