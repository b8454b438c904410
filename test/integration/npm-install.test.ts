import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { packed } from '../fixtures/packed.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

const FILES = {
  'worktree.config.yaml': 'resources: { PORT: 24600 }\nsteps:\n  once: echo ran >> once.log\n',
  '.gitignore': '.env\n*.log\nnode_modules\npackage-lock.json\n',
};
const NPM = ['install', '--no-audit', '--no-fund', '--prefer-offline'];

interface Package {
  scripts: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

/** A repository that a colleague has set up with the package as it is published: commits what `install` says to commit. */
async function colleagues(world: World, manifest: Package, files: Record<string, string> = {}): Promise<string> {
  const main = await world.repository('colleague', { ...FILES, ...files, 'package.json': `${JSON.stringify(manifest, null, 2)}\n` });
  await world.coppice(main, 'install', '--uninstall');
  await npm(world, main);
  await npm(world, main);
  await world.git(main, 'add', '-A');
  await world.git(main, '-c', 'core.hooksPath=/dev/null', 'commit', '-q', '--allow-empty', '-m', 'hook');
  return main;
}

async function npm(world: World, cwd: string, ...more: string[]): Promise<void> {
  const done = await world.run(cwd, 'npm', [...NPM, ...more]);
  expect(done.code, done.stdout + done.stderr).toBe(0);
}

async function cloneOf(world: World, origin: string): Promise<string> {
  await world.git(world.root, 'clone', '-q', origin, 'clone');
  return path.join(world.root, 'clone');
}

async function expectReady(world: World, cwd: string, name: string): Promise<string> {
  const worktree = path.join(world.root, name);
  const added = await world.run(cwd, 'git', ['worktree', 'add', worktree, '-b', name]);
  expect(added.code, added.stderr).toBe(0);
  expect(fs.existsSync(path.join(worktree, 'once.log')) ? read(worktree, 'once.log') : added.stderr).toBe('ran\n');
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  return worktree;
}

describe('clone, npm install, git worktree add', () => {
  const managers: Record<string, (archive: string) => [Package, Record<string, string>?]> = {
    none: (archive) => [{ scripts: { prepare: 'coppice install || true' }, devDependencies: { coppice: archive } }],
    'husky 9': (archive) => [
      { scripts: { prepare: 'husky; coppice install || true' }, devDependencies: { husky: '9.1.7', coppice: archive } },
    ],
    'husky 9, after coppice': (archive) => [
      { scripts: { prepare: 'coppice install || true; husky' }, devDependencies: { husky: '9.1.7', coppice: archive } },
      { '.husky/pre-commit': 'true\n' },
    ],
    'lefthook 2': (archive) => [
      { scripts: { prepare: 'lefthook install; coppice install || true' }, devDependencies: { lefthook: '2.2.2', coppice: archive } },
      { 'lefthook.yml': 'post-checkout:\n  jobs:\n    - run: "true"\n' },
    ],
    'simple-git-hooks': (archive) => [
      {
        scripts: { prepare: 'simple-git-hooks; coppice install || true' },
        devDependencies: { 'simple-git-hooks': '2.14.0', coppice: archive },
        'simple-git-hooks': { 'pre-commit': 'true' },
      } as Package,
    ],
  };

  test.for(Object.keys(managers))('%s: the worktree is ready, with no other step', async (name) => {
    const world = makeWorld();
    const [manifest, files] = managers[name]?.(`file:${await packed(world)}`) ?? [{ scripts: {} }];
    const clone = await cloneOf(world, await colleagues(world, manifest, files));
    await npm(world, clone);
    await expectReady(world, await expectReady(world, clone, 'a'), 'b');
    expect(await world.git(clone, 'status', '--porcelain')).toBe('');
  });

  test('npm install --omit=dev, coppice a dependency and husky for development: the worktree is ready', async () => {
    const world = makeWorld();
    const coppice = `file:${await packed(world)}`;
    const manifest = {
      scripts: { prepare: 'husky; coppice install || true' },
      dependencies: { coppice },
      devDependencies: { husky: '9.1.7' },
    };
    const clone = await cloneOf(world, await colleagues(world, manifest));
    await npm(world, clone, '--omit=dev');
    expect(fs.existsSync(path.join(clone, 'node_modules/husky'))).toBe(false);
    await expectReady(world, clone, 'a');
    expect(await world.git(clone, 'status', '--porcelain')).toBe('');
  });

  test('npm install --omit=dev, both for development: it succeeds, and so does git worktree add', async () => {
    const world = makeWorld();
    const coppice = `file:${await packed(world)}`;
    const manifest = { scripts: { prepare: 'husky; coppice install || true' }, devDependencies: { husky: '9.1.7', coppice } };
    const clone = await cloneOf(world, await colleagues(world, manifest));
    await npm(world, clone, '--omit=dev');
    const added = await world.run(clone, 'git', ['worktree', 'add', '../a', '-b', 'a']);
    expect([added.code, records(world)], added.stderr).toEqual([0, []]);
  });
});

test('20 npm installs at once in 20 worktrees: nothing fails, and the repository is as it was', { timeout: 1_200_000 }, async () => {
  const world = makeWorld();
  const coppice = `file:${await packed(world)}`;
  const main = await colleagues(world, {
    scripts: { prepare: 'husky && coppice install' },
    devDependencies: { husky: '9.1.7', coppice },
  });
  const names = Array.from({ length: 20 }, (_, index) => `w${index}`);
  for (const name of names) await world.git(main, 'worktree', 'add', '--no-checkout', path.join(world.root, name), '-b', name);
  for (const name of names) await world.git(path.join(world.root, name), '-c', 'core.hooksPath=/dev/null', 'reset', '-q', '--hard');
  const config = read(main, '.git/config');
  const launcher = read(main, '.git/coppice/launch');
  const done = await Promise.all(names.map((name) => world.run(path.join(world.root, name), 'npm', NPM)));
  // husky writes core.hooksPath without a second try, and `prepare` is the user's: of coppice nothing fails.
  const failed = done.filter(({ code }) => code !== 0).map(({ stdout, stderr }) => stdout + stderr);
  expect(failed.filter((said) => !said.includes('could not lock config file'))).toEqual([]);
  expect([read(main, '.git/config'), read(main, '.git/coppice/launch')]).toEqual([config, launcher]);
  const [whole = ''] = names.filter((_, index) => done[index]?.code === 0);
  await expectReady(world, path.join(world.root, whole), 'after');
});

test('20 installs at once in the main worktree: each succeeds, and there is one of everything', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', FILES);
  await world.coppice(main, 'install', '--uninstall');
  const done = await Promise.all(Array.from({ length: 20 }, () => world.coppice(main, 'install')));
  for (const { code, stderr } of done) expect(code, stderr).toBe(0);
  for (const key of ['alias.coppice', 'hook.coppice.command', 'hook.coppice.event'])
    expect((await world.git(main, 'config', '--get-all', key)).trim().split('\n').length, key).toBe(1);
  expect(fs.readdirSync(path.join(main, '.git/hooks')).filter((name) => name.includes('tmp'))).toEqual([]);
  await expectReady(world, main, 'a');
});
