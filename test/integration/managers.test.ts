import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { commit, KINDS, type Kind, repositoryOf } from '../fixtures/hook-managers.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

const FILES = {
  'worktree.config.yaml': 'resources: { PORT: 24500 }\nsteps:\n  once: echo ran >> once.log\n',
  '.gitignore': '.env\n*.log\nnode_modules\n',
};

/** Everything of a repository that a person or git reads, with its mode; what git and lefthook note of their own work left out. */
function snapshot(main: string): [string, string, number][] {
  const left = /^\.git\/(objects|index|logs|info\/lefthook\.checksum|COMMIT_EDITMSG|lfs|worktrees)|^node_modules/;
  return fs
    .readdirSync(main, { recursive: true, encoding: 'utf8' })
    .filter((name) => !left.test(name))
    .sort()
    .map((name) => {
      const stat = fs.lstatSync(path.join(main, name));
      return [name, stat.isFile() ? fs.readFileSync(path.join(main, name), 'latin1') : 'no file', stat.mode];
    });
}

/** The part of it that an install may change. */
function installed(main: string) {
  return snapshot(main).filter(([name]) => !name.startsWith('.git/') || /^\.git\/(hooks|info|config$)/.test(name));
}

async function install(world: World, main: string, ...more: string[]): Promise<string> {
  const installed = await world.coppice(main, 'install', ...more);
  expect(installed.code, installed.stderr).toBe(0);
  return installed.stderr;
}

/** Adds a worktree: it is set up once, and the hook of the manager's users runs as often as git calls it, once. */
async function expectBoth(world: World, kind: Kind, main: string, name: string): Promise<void> {
  const log = world.env.OWN_LOG ?? '';
  fs.rmSync(log, { force: true });
  const added = await world.run(main, 'git', ['worktree', 'add', path.join(world.root, name), '-b', name]);
  expect(added.code, added.stderr).toBe(0);
  const once = path.join(world.root, name, 'once.log');
  expect(fs.existsSync(once) ? read(once) : added.stderr).toBe('ran\n');
  expect(fs.existsSync(log) ? read(log) : '').toBe(kind.own ? 'own\n' : '');
}

/** What git-lfs's users do where its install refuses; others' reinstall is their install. */
async function reinstall(world: World, kind: Kind, main: string): Promise<void> {
  if (kind.name !== 'git-lfs') return void (await kind.install(world, main));
  expect((await world.run(main, 'git', ['lfs', 'install', '--local'])).code).toBe(2);
}

describe.concurrent.each(KINDS)('$name', (kind) => {
  test('install twice, then --uninstall: every byte is as before', async ({ onTestFinished }) => {
    const world = makeWorld(onTestFinished);
    const main = await repositoryOf(world, kind, FILES);
    const before = snapshot(main);
    expect(await install(world, main)).not.toBe('');
    const after = snapshot(main);
    expect(await install(world, main)).toBe('');
    expect(snapshot(main)).toEqual(after);
    await install(world, main, '--uninstall');
    expect(snapshot(main)).toEqual(before);
  });

  test('its own install again, after coppice: both fire', async ({ onTestFinished }) => {
    const world = makeWorld(onTestFinished);
    const main = await repositoryOf(world, kind, FILES);
    const before = installed(main);
    await install(world, main);
    await commit(world, main);
    await expectBoth(world, kind, main, 'a');
    await reinstall(world, kind, main);
    await expectBoth(world, kind, main, 'b');
    await install(world, main);
    await expectBoth(world, kind, main, 'c');
    expect((await world.coppice(main, 'doctor')).stdout).toContain('fires for a worktree added from the main worktree');
    for (const name of ['a', 'b', 'c']) expect((await world.coppice(main, 'remove', name)).code).toBe(0);
    await install(world, main, '--uninstall');
    expect(installed(main)).toEqual(before);
    await world.run(main, 'git', ['worktree', 'add', '../d', '-b', 'd']);
    expect(fs.existsSync(path.join(world.root, 'd/once.log'))).toBe(false);
  });

  test('coppice first, then it: both fire', async ({ onTestFinished }) => {
    const world = makeWorld(onTestFinished);
    const bare: Kind = { ...kind, install: async () => {} };
    const main = await repositoryOf(world, bare, FILES);
    await install(world, main);
    await commit(world, main);
    if (kind.name === 'git-lfs') {
      await world.run(main, 'git', ['lfs', 'install', '--local']);
      const doctor = JSON.parse((await world.coppice(main, 'doctor', '--json')).stdout);
      const { mend } = doctor.results.find(({ about }: { about: string }) => about === 'git-lfs');
      expect(mend).toBe('git lfs update --force && npx coppice install');
      await world.git(main, 'lfs', 'update', '--force');
    } else await kind.install(world, main);
    // What `prepare` does at the next `npm install`.
    await install(world, main);
    await commit(world, main);
    const { own: _, ...without } = kind;
    await expectBoth(world, kind.name === 'a hook that is there' ? without : kind, main, 'a');
    if (kind.name === 'git-lfs') expect(read(main, '.git/hooks/post-checkout')).toContain('git lfs post-checkout');
    expect((await world.coppice(main, 'doctor')).code).toBe(0);
  });
});
