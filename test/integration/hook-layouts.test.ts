import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { bothGits } from '../fixtures/gits.ts';
import { commit, KINDS, type Kind, packages, repositoryOf } from '../fixtures/hook-managers.ts';
import { records } from '../fixtures/ledger.ts';
import { CLI, makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

const FILES = {
  'worktree.config.yaml': 'resources: { PORT: 24900 }\nsteps:\n  once: echo ran >> once.log\n',
  '.gitignore': '.env\n*.log\nnode_modules\n',
};

function kind(name: string): Kind {
  const found = KINDS.find((candidate) => candidate.name === name);
  if (!found) throw new Error(name);
  return found;
}

async function add(world: World, cwd: string, name: string): Promise<{ code: number | null; ran: string; said: string }> {
  const added = await world.run(cwd, 'git', ['worktree', 'add', path.join(world.root, name), '-b', name]);
  const log = path.join(world.root, name, 'once.log');
  return { code: added.code, ran: fs.existsSync(log) ? read(log) : '', said: added.stderr };
}

async function expectReady(world: World, cwd: string, name: string): Promise<string> {
  expect(await add(world, cwd, name)).toMatchObject({ code: 0, ran: 'ran\n' });
  expect(await world.git(path.join(world.root, name), 'status', '--porcelain')).toBe('');
  return path.join(world.root, name);
}

/** What `doctor` says of the hooks, each with what mends it. */
async function problems(world: World, cwd: string): Promise<{ text: string; mend: string }[]> {
  const { results } = JSON.parse((await world.coppice(cwd, 'doctor', '--json')).stdout);
  return results.filter(({ level }: { level: string }) => level === 'problem');
}

describe('a package.json that is not at the root', () => {
  test('husky in frontend/: from the main worktree, from a linked one, from one made by that one', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', {
      ...FILES,
      'frontend/package.json': '{ "devDependencies": { "husky": "9.1.7" } }\n',
      'frontend/.husky/pre-commit': 'true\n',
    });
    await world.coppice(main, 'install', '--uninstall');
    const before = read(main, '.git/config');
    // As its documentation says for a subfolder: "cd .. && husky frontend/.husky".
    const husky = await world.run(main, path.join(packages(), 'node_modules/.bin/husky'), ['frontend/.husky']);
    expect(husky.code, husky.stderr).toBe(0);
    expect((await world.coppice(path.join(main, 'frontend'), 'install')).stderr).toContain('commit frontend/.husky/post-checkout');
    await commit(world, main);
    const a = await expectReady(world, main, 'a');
    expect(fs.existsSync(path.join(a, 'frontend/.husky/_/h'))).toBe(true);
    await expectReady(world, await expectReady(world, path.join(a, 'frontend'), 'b'), 'c');
    for (const name of ['a', 'b', 'c']) await world.coppice(main, 'remove', name);
    await world.coppice(main, 'install', '--uninstall');
    await world.git(main, 'config', '--unset', 'core.hooksPath');
    expect(read(main, '.git/config')).toBe(before);
    expect(fs.existsSync(path.join(main, 'frontend/.husky/post-checkout'))).toBe(false);
  });

  test("a branch's link in the place of husky's folder is never written through", async () => {
    const world = makeWorld();
    const main = await repositoryOf(world, kind('husky 9'), FILES);
    await world.coppice(main, 'install');
    await commit(world, main);
    const outside = path.join(world.root, 'outside');
    fs.mkdirSync(outside);
    await world.git(main, 'switch', '-qc', 'hostile');
    fs.renameSync(path.join(main, '.husky'), path.join(world.root, 'kept'));
    fs.symlinkSync(outside, path.join(main, '.husky'));
    await commit(world, main);
    fs.unlinkSync(path.join(main, '.husky'));
    fs.renameSync(path.join(world.root, 'kept'), path.join(main, '.husky'));
    await world.git(main, '-c', 'core.hooksPath=/dev/null', 'checkout', '-qf', 'main');
    expect((await world.run(main, 'git', ['worktree', 'add', '../h', 'hostile'])).code).toBe(0);
    expect(fs.readdirSync(outside)).toEqual([]);
  });

  test('simple-git-hooks in packages/web', async () => {
    const world = makeWorld();
    const web = '{ "devDependencies": { "simple-git-hooks": "2" }, "simple-git-hooks": {} }\n';
    const main = await world.repository('shop', { ...FILES, 'packages/web/package.json': web });
    await world.coppice(main, 'install', '--uninstall');
    expect((await world.coppice(path.join(main, 'packages/web'), 'install')).stderr).toContain('commit packages/web/package.json');
    const set = await world.run(path.join(main, 'packages/web'), path.join(packages(), 'node_modules/.bin/simple-git-hooks'), []);
    expect(set.code, set.stderr).toBe(0);
    await commit(world, main);
    await expectReady(world, main, 'a');
    await world.coppice(main, 'install', '--uninstall');
    expect(read(main, 'packages/web/package.json')).toBe(web);
  });
});

describe('submodules', () => {
  async function superproject(world: World): Promise<{ main: string; submodule: string }> {
    const library = await world.repository('library', { ...FILES, '.husky/pre-commit': 'true\n' });
    const main = await world.repository('shop', FILES);
    await world.git(main, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', library, 'lib');
    await world.git(main, 'commit', '-qm', 'submodule');
    return { main, submodule: path.join(main, 'lib') };
  }

  test('install inside a submodule with husky: its worktrees are set up, the superproject is as it was', async () => {
    const world = makeWorld();
    const { main, submodule } = await superproject(world);
    const config = read(main, '.git/config');
    const husky = await world.run(submodule, path.join(packages(), 'node_modules/.bin/husky'), []);
    expect(husky.code, husky.stderr).toBe(0);
    expect((await world.coppice(submodule, 'install')).stderr).toContain('commit .husky/post-checkout');
    await commit(world, submodule);
    expect([read(main, '.git/config'), fs.existsSync(path.join(main, '.git/modules/lib/coppice/launch'))]).toEqual([config, true]);
    await expectReady(world, await expectReady(world, submodule, 'a'), 'b');
    await expectReady(world, main, 'c');
  });

  test('install inside a submodule of a linked worktree changes that clone alone', async () => {
    const world = makeWorld();
    const { main } = await superproject(world);
    const linked = await expectReady(world, main, 'a');
    await world.git(linked, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'update', '--init');
    const config = read(main, '.git/config');
    expect((await world.coppice(path.join(linked, 'lib'), 'install')).code).toBe(0);
    expect(read(main, '.git/config')).toBe(config);
    await expectReady(world, path.join(linked, 'lib'), 'lib-b');
    expect(
      records(world)
        .map(({ path: worktree }) => path.basename(worktree))
        .sort(),
    ).toEqual(['a', 'lib-b']);
  });
});

describe('git 2.54 and later', () => {
  /** A world with that git. */
  function withConfigHooks(): World {
    const world = makeWorld();
    world.env.PATH = `${bothGits().since.bin}:${world.env.PATH}`;
    return world;
  }

  test('whatever core.hooksPath says, and from a branch without husky', async () => {
    const world = withConfigHooks();
    const main = await repositoryOf(world, kind('husky 9'), FILES);
    const branch = path.join(world.root, 'without');
    await world.git(main, '-c', 'core.hooksPath=/dev/null', 'worktree', 'add', '-q', branch, '-b', 'without');
    await world.git(branch, 'rm', '-qr', '.husky');
    await commit(world, branch);
    await world.coppice(main, 'install');
    await commit(world, main);
    await expectReady(world, branch, 'a');
    await world.git(main, 'config', 'core.hooksPath', '/dev/null');
    await expectReady(world, main, 'b');
    // That one was added with no hook at all, which is said of it.
    expect((await problems(world, main)).filter(({ mend }) => mend !== 'git coppice up without')).toEqual([]);
  });

  test('a set-up that fails is tried once, and its exit code is that of git worktree add', async () => {
    const world = withConfigHooks();
    const main = await world.repository('shop', { ...FILES, 'worktree.config.yaml': 'resources: { PORT: nonsense }\n' });
    const { code, said } = await add(world, main, 'a');
    expect([code, said.match(/The worktree is there but not set up/g)?.length ?? said]).toEqual([1, 1]);
  });

  test('install and uninstall at any moment leave no event without a command, which would be fatal', async () => {
    const world = withConfigHooks();
    const main = await world.repository('shop', FILES);
    const log = path.join(world.root, 'calls.log');
    const bin = path.join(world.root, 'bin');
    writeFiles(bin, {
      git: `#!/bin/sh\n${bothGits().since.bin}/git "$@"\ncode=$?\ncase " $* " in *' config --local '*) ${bothGits().since.bin}/git worktree add -q --detach ${world.root}/p$$ >>'${log}' 2>&1 || echo failed >>'${log}'; ${bothGits().since.bin}/git worktree remove --force ${world.root}/p$$ ;; esac\nexit $code\n`,
    });
    fs.chmodSync(path.join(bin, 'git'), 0o755);
    const env = { PATH: `${bin}:${world.env.PATH}`, COPPICE: '0' };
    for (const more of [['--uninstall'], [], ['--uninstall']]) {
      const done = await world.run(main, process.execPath, [CLI, 'install', ...more], { env });
      expect(done.code, done.stderr).toBe(0);
    }
    expect(read(log)).not.toMatch(/failed|fatal/);
  });
});

describe('doctor says so, where git before 2.54', () => {
  function oldGit(): World {
    const world = makeWorld();
    world.env.PATH = `${bothGits().before.bin}:${world.env.PATH}`;
    return world;
  }

  test.for(['husky 9', 'relative core.hooksPath, committed'])('adds from a branch without the hook: %s', async (name) => {
    const world = oldGit();
    const main = await repositoryOf(world, kind(name), FILES);
    const old = path.join(world.root, 'old');
    await world.git(main, '-c', 'core.hooksPath=/dev/null', 'worktree', 'add', '-q', old, '-b', 'old');
    await world.coppice(main, 'install');
    await commit(world, main);
    expect(await add(world, old, 'a')).toMatchObject({ code: 0, ran: '' });
    const [found] = (await problems(world, main)).filter(({ text }) => text.includes(old));
    expect(found?.mend).toMatch(/^git -C \S+ checkout main -- \S+\/post-checkout( && cp -R \S+\/_ \S+\/)?$/);
    const mended = await world.run(main, 'sh', ['-c', found?.mend ?? '']);
    expect(mended.code, mended.stderr).toBe(0);
    await world.git(old, '-c', 'core.hooksPath=/dev/null', 'commit', '-qm', 'hook');
    await expectReady(world, old, 'b');
  });

  test('has another core.hooksPath since coppice was installed', async () => {
    const world = oldGit();
    const main = await world.repository('shop', FILES);
    fs.mkdirSync(path.join(world.root, 'agents'));
    await world.git(main, 'config', 'core.hooksPath', path.join(world.root, 'agents'));
    expect(await add(world, main, 'a')).toMatchObject({ code: 0, ran: '' });
    expect((await problems(world, main))[0]).toMatchObject({ mend: 'npx coppice install', text: expect.stringContaining('agents') });
    expect((await world.coppice(main, 'doctor', '--fix')).code).toBe(0);
    await expectReady(world, main, 'b');
    await world.coppice(main, 'remove', 'b');
    await world.coppice(main, 'install', '--uninstall');
    expect([fs.readdirSync(path.join(world.root, 'agents')), fs.existsSync(path.join(main, '.git/hooks/post-checkout'))]).toEqual([
      [],
      false,
    ]);
  });

  test.for(['lefthook 2 with a post-checkout', 'simple-git-hooks'])('its own install dropped ours: %s', async (name) => {
    const world = oldGit();
    const main = await repositoryOf(world, kind(name), FILES);
    await world.coppice(main, 'install');
    // A branch from before coppice: its file has no entry.
    await world.git(main, 'checkout', '-q', '--', '.');
    await kind(name).install(world, main);
    expect(await add(world, main, 'a')).toMatchObject({ code: 0, ran: '' });
    const found = await problems(world, main);
    expect(found[0]?.mend).toContain('npx coppice install, and commit');
    await world.coppice(main, 'install');
    await kind(name).install(world, main);
    await commit(world, main);
    await expectReady(world, main, 'b');
  });
});
