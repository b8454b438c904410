import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

const CONFIG = 'resources: { PORT: 24200 }\nsteps:\n  once: echo ran >> once.log\n';
const FILES = { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n*.log\nnode_modules\n' };
const HUSKY = path.resolve('node_modules/husky');

/** Adds a worktree with plain git, and expects that it was set up exactly once. */
async function expectSetUp(world: World, cwd: string, name: string, ...more: string[]): Promise<string> {
  const worktree = path.join(world.root, name);
  const added = await world.run(cwd, 'git', [...more, 'worktree', 'add', worktree, '-b', name]);
  expect(added.code, added.stderr).toBe(0);
  expect(added.stderr).toContain('ready in');
  expect(read(worktree, 'once.log')).toBe('ran\n');
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  return worktree;
}

describe('without a hook manager', () => {
  test('from the main worktree, a linked one, a subdirectory, with -C', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', { ...FILES, 'sub/file': '' });
    const a = await expectSetUp(world, main, 'a');
    const b = await expectSetUp(world, a, 'b');
    const c = await expectSetUp(world, path.join(b, 'sub'), 'c');
    await expectSetUp(world, world.root, 'd', '-C', c);
    expect(new Set(records(world).map(({ slot }) => slot))).toEqual(new Set([1, 2, 3, 4]));
  });

  test('install twice changes nothing the second time, and uninstall restores every byte', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.coppice(main, 'install', '--uninstall');
    await world.git(main, 'config', 'alias.st', 'status');
    const snapshot = () =>
      fs
        .readdirSync(path.join(main, '.git'), { recursive: true, encoding: 'utf8' })
        .filter((name) => !/^(objects|index|logs)/.test(name))
        .sort()
        .map((name) => [
          name,
          fs.statSync(path.join(main, '.git', name)).isFile() ? read(main, '.git', name) : 'folder',
          fs.statSync(path.join(main, '.git', name)).mode,
        ]);
    const before = snapshot();
    await world.coppice(main, 'install');
    const installed = snapshot();
    const again = await world.coppice(main, 'install');
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(snapshot()).toEqual(installed);
    // As a version before wrote it.
    await world.git(main, 'config', 'alias.coppice', '!"$(git rev-parse --git-common-dir)/coppice/launch" git');
    expect((await world.coppice(main, 'install')).code).toBe(0);
    expect(snapshot()).toEqual(installed);
    await world.coppice(main, 'install', '--uninstall');
    expect(snapshot()).toEqual(before);
  });

  test('from a linked worktree and outside git, install changes nothing and exits 0', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
    const config = read(main, '.git/config');
    expect((await world.coppice(path.join(world.root, 'a'), 'install')).code).toBe(0);
    expect((await world.coppice(world.root, 'install')).code).toBe(0);
    expect(read(main, '.git/config')).toBe(config);
  });

  test('an older coppice never replaces the launcher of a newer one', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    const launcher = path.join(main, '.git/coppice/launch');
    const newer = read(launcher).replace(/^# coppice .*$/m, '# coppice 99.0.0');
    fs.writeFileSync(launcher, newer);
    await world.coppice(main, 'install');
    expect(read(launcher)).toBe(newer);
  });

  test('uninstall by the runner that it takes out says all that it did, and what stays', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'worktree', 'add', '../x');
    const first = await world.run(main, 'git', ['coppice', 'install', '--uninstall']);
    expect([first.code, first.stderr]).toEqual([0, expect.stringContaining('1 worktree is still set up')]);
    expect(fs.existsSync(path.join(main, '.git/coppice/launch'))).toBe(false);
    const linked = await world.coppice(path.join(world.root, 'x'), 'install');
    expect([linked.code, linked.stderr]).toEqual([0, expect.stringContaining('nothing is installed in')]);
    expect((await world.coppice(main, 'remove', 'x')).code).toBe(0);
    expect((await world.coppice(main, 'install')).code).toBe(0);
    const second = await world.run(main, 'git', ['coppice', 'install', '--uninstall']);
    expect([second.code, second.stderr]).toEqual([0, expect.stringContaining('launcher')]);
    expect(fs.existsSync(path.join(main, '.git/coppice'))).toBe(false);
  });

  test('uninstall after `down` leaves nothing: the worktree goes on as git made it', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'worktree', 'add', '../x');
    const worktree = path.join(world.root, 'x');
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    const { code, stderr } = await world.run(main, 'git', ['coppice', 'install', '--uninstall']);
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('still set up')]);
    expect([fs.existsSync(path.join(main, '.git/coppice')), records(world)]).toEqual([false, []]);
    expect(fs.existsSync(path.join(main, '.git/worktrees/x/coppice'))).toBe(false);
    await world.coppice(main, 'install');
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect(records(world)).toHaveLength(1);
  });

  test('uninstall takes the hook out whatever the ledger is like', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'worktree', 'add', '../x');
    const [{ repository, id } = { repository: '', id: '' }] = records(world);
    fs.writeFileSync(path.join(world.state, 'repos', repository, 'worktrees', id, 'journal'), 'damaged\n');
    const { code, stderr } = await world.coppice(main, 'install', '--uninstall');
    expect([code, stderr]).toEqual([0, expect.stringContaining('1 worktree is still set up')]);
    expect(fs.existsSync(path.join(main, '.git/hooks/post-checkout'))).toBe(false);
  });

  test('install by the runner that is there, with what it has kept of set-ups, changes nothing', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'worktree', 'add', '../x');
    const runners = () => fs.readdirSync(path.join(main, '.git/coppice/runner'), { recursive: true, encoding: 'utf8' }).sort();
    const before = [runners(), read(main, '.git/coppice/launch')];
    expect(before[0]?.toString()).toContain('config.json');
    const again = await world.run(main, 'git', ['coppice', 'install']);
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect([runners(), read(main, '.git/coppice/launch')]).toEqual(before);
  });

  test('without PATH to node and without the package, the launcher still sets up', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    const bin = path.join(world.root, 'bin');
    fs.mkdirSync(bin);
    for (const tool of ['git', 'sh', 'echo']) fs.symlinkSync((await world.run(main, 'which', [tool])).stdout.trim(), path.join(bin, tool));
    const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a'], { env: { PATH: bin } });
    expect([added.code, added.stderr]).toEqual([0, expect.stringContaining('ready in')]);
  });
});

describe('a foreign hook', () => {
  const hooks: Record<string, string> = {
    sh: '#!/bin/sh\necho foreign "$3" >> "$FOREIGN_LOG"\n',
    'bash with set -e': '#!/usr/bin/env bash\nset -euo pipefail\necho foreign "$3" >> "$FOREIGN_LOG"\nexit 0\n',
    'sh that ends with exec': '#!/bin/sh\nexec sh -c \'echo foreign "$1" >> "$FOREIGN_LOG"\' sh "$3"\n',
    python: '#!/usr/bin/env python3\nimport os, sys\nopen(os.environ["FOREIGN_LOG"], "a").write("foreign " + sys.argv[3] + "\\n")\n',
  };

  test.for(Object.keys(hooks))('%s, there before coppice: both run, and uninstall restores it', async (kind) => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.coppice(main, 'install', '--uninstall');
    const file = path.join(main, '.git/hooks/post-checkout');
    writeFiles(main, { '.git/hooks/post-checkout': hooks[kind] ?? '' });
    fs.chmodSync(file, 0o755);
    await world.coppice(main, 'install');
    world.env.FOREIGN_LOG = path.join(world.root, 'foreign.log');
    await expectSetUp(world, main, 'a');
    await world.git(main, 'checkout', '-q', '-b', 'other');
    expect(read(world.env.FOREIGN_LOG)).toBe('foreign 1\nforeign 1\n');
    await world.coppice(main, 'install', '--uninstall');
    expect([read(file), fs.statSync(file).mode & 0o777]).toEqual([hooks[kind], 0o755]);
    expect(fs.readdirSync(path.dirname(file)).filter((name) => !name.endsWith('.sample'))).toEqual(['post-checkout']);
  });

  test('added to ours by a later tool: both run, and coppice installed again leaves it', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    const file = path.join(main, '.git/hooks/post-checkout');
    fs.appendFileSync(file, 'echo foreign >> "$FOREIGN_LOG"\n');
    await world.coppice(main, 'install');
    world.env.FOREIGN_LOG = path.join(world.root, 'foreign.log');
    await expectSetUp(world, main, 'a');
    expect(read(world.env.FOREIGN_LOG)).toBe('foreign\n');
  });

  test('a failed set-up is the exit code of git worktree add, and the foreign hook still runs', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', { ...FILES, 'worktree.config.yaml': 'steps: { bad: exit 3 }\n' });
    fs.appendFileSync(path.join(main, '.git/hooks/post-checkout'), 'echo foreign >> "$FOREIGN_LOG"\n');
    world.env.FOREIGN_LOG = path.join(world.root, 'foreign.log');
    const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
    expect(added.code).toBe(1);
    expect(read(world.env.FOREIGN_LOG)).toBe('foreign\n');
  });
});

describe('husky 9', () => {
  /** A repository with husky installed as its own `prepare` does it, then coppice, and what coppice says to commit committed. */
  async function huskyShop(world: World, name = 'shop'): Promise<string> {
    const main = await world.repository(name, { ...FILES, '.husky/pre-commit': 'true\n' });
    await world.coppice(main, 'install', '--uninstall');
    await runHusky(world, main);
    await world.coppice(main, 'install');
    await world.git(main, 'add', '-A');
    await world.git(main, 'commit', '-qm', 'hook');
    return main;
  }
  const runHusky = (world: World, cwd: string) =>
    world.run(cwd, process.execPath, [
      '--input-type=module',
      '-e',
      `import husky from ${JSON.stringify(path.join(HUSKY, 'index.js'))}; husky()`,
    ]);

  test('from the main worktree, from a linked one, and from one made by that one', async () => {
    const world = makeWorld();
    const main = await huskyShop(world);
    expect(await world.git(main, 'config', 'core.hooksPath')).toBe('.husky/_\n');
    const a = await expectSetUp(world, main, 'a');
    const b = await expectSetUp(world, a, 'b');
    await expectSetUp(world, b, 'c');
    await runHusky(world, b);
    await expectSetUp(world, b, 'd');
  });

  test('a linked worktree from before coppice', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', { ...FILES, '.husky/pre-commit': 'true\n' });
    await world.coppice(main, 'install', '--uninstall');
    await runHusky(world, main);
    await world.git(main, 'worktree', 'add', '../old', '-b', 'old');
    await world.coppice(main, 'install');
    await world.git(main, 'add', '-A');
    await world.git(main, 'commit', '-qm', 'hook');
    await world.git(path.join(world.root, 'old'), 'merge', '-q', 'main');
    await expectSetUp(world, path.join(world.root, 'old'), 'a');
  });

  test('from a bare repository', async () => {
    const world = makeWorld();
    const origin = await huskyShop(world, 'origin');
    const bare = path.join(world.root, 'project/.bare');
    await world.git(world.root, 'clone', '-q', '--bare', origin, bare);
    fs.writeFileSync(path.join(world.root, 'project/.git'), 'gitdir: ./.bare\n');
    const main = path.join(world.root, 'project/main');
    await world.git(bare, 'worktree', 'add', main, 'main');
    await runHusky(world, main);
    expect(await world.git(bare, 'config', 'core.hooksPath')).toBe('.husky/_\n');
    const installed = await world.coppice(main, 'install');
    expect(installed.stderr).toContain('launcher');
    await expectSetUp(world, main, 'a');
    await expectSetUp(world, bare, 'b');
    await expectSetUp(world, path.join(world.root, 'project'), 'c');
  });

  test("a branch's own node_modules/.bin is never run by our doing, and a branch without .husky fails nothing", async () => {
    const world = makeWorld();
    const main = await huskyShop(world);
    await world.git(main, 'checkout', '-q', '-b', 'hostile');
    // husky itself calls `sh` with that folder first on PATH; that is husky's doing, and documented.
    for (const tool of ['cp', 'node', 'git', 'coppice', 'echo', 'cat', 'basename', 'dirname']) {
      writeFiles(main, { [`node_modules/.bin/${tool}`]: '#!/bin/sh\necho "$0 $*" >> "$CANARY"\n' });
      fs.chmodSync(path.join(main, 'node_modules/.bin', tool), 0o755);
    }
    fs.rmSync(path.join(main, '.husky/post-checkout'));
    await world.git(main, 'rm', '-qr', '--cached', '.husky');
    await world.git(main, 'add', '-Af', 'node_modules');
    await world.git(main, '-c', 'core.hooksPath=/dev/null', 'commit', '-qm', 'hostile');
    await world.git(main, '-c', 'core.hooksPath=/dev/null', 'checkout', '-qf', 'main');
    world.env.CANARY = path.join(world.root, 'canary');
    const added = await world.run(main, 'git', ['worktree', 'add', '../h', 'hostile']);
    expect(added.code, added.stderr).toBe(0);
    expect(fs.existsSync(world.env.CANARY) ? read(world.env.CANARY) : '').toBe('');
    expect(records(world)).toMatchObject([{ branch: 'hostile', state: 'ready' }]);
  });

  test('HUSKY=0 and COPPICE=0 leave it out', async () => {
    const world = makeWorld();
    const main = await huskyShop(world);
    for (const [index, name] of ['HUSKY', 'COPPICE'].entries()) {
      const added = await world.run(main, 'git', ['worktree', 'add', `../w${index}`, '-b', `w${index}`], { env: { [name]: '0' } });
      expect(added.code).toBe(0);
    }
    expect(records(world)).toEqual([]);
    const up = await world.coppice(path.join(world.root, 'w1'), 'up');
    expect(up.code, up.stderr).toBe(0);
  });

  test('install and uninstall leave the committed hook as it was', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', { ...FILES, '.husky/post-checkout': 'echo mine\n' });
    await world.coppice(main, 'install', '--uninstall');
    await runHusky(world, main);
    const config = read(main, '.git/config');
    await world.coppice(main, 'install');
    expect(read(main, '.husky/post-checkout')).toMatch(/coppice[\s\S]*echo mine\n$/);
    await world.coppice(main, 'install', '--uninstall');
    expect(read(main, '.husky/post-checkout')).toBe('echo mine\n');
    expect(read(main, '.git/config')).toBe(config);
    expect(await world.git(main, 'status', '--porcelain')).toBe('');
  });
});

describe('what is no new worktree', () => {
  test('clone, checkout, switch, rebase, restore and switch --orphan set nothing up', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', { ...FILES, file: '1' });
    const a = await expectSetUp(world, main, 'a');
    await world.git(main, 'switch', '-q', '-c', 'b');
    writeFiles(main, { file: '2' });
    await world.git(main, 'commit', '-qam', 'two');
    await world.git(main, 'checkout', '-q', 'main', '--', 'file');
    await world.git(main, 'checkout', '-qf', 'main');
    await world.git(main, 'rebase', '-q', 'b');
    await world.git(world.root, 'clone', '-q', main, 'clone');
    await world.git(a, 'switch', '-q', '--orphan', 'empty');
    await world.git(a, 'switch', '-q', 'a');
    expect(records(world).length).toBe(1);
    expect(read(a, 'once.log')).toBe('ran\n');
  });

  test('a branch without a config: nothing happens, exit 0, state none', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', { file: '' });
    const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
    expect([added.code, added.stderr]).toEqual([0, "Preparing worktree (new branch 'a')\n"]);
    expect(JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees).toMatchObject([
      { state: 'none', id: null, branch: 'a' },
    ]);
    const up = await world.coppice(path.join(world.root, 'a'), 'up');
    expect([up.code, up.stderr]).toEqual([0, expect.stringContaining('nothing to set up')]);
  });

  test('a clone in which coppice is not installed says so in one line, and git worktree add succeeds', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    fs.rmSync(path.join(main, '.git/coppice'), { recursive: true });
    for (const name of ['yaml', 'yml', 'json']) {
      const [before = ''] = fs.readdirSync(main).filter((file) => file.startsWith('worktree.config.'));
      fs.renameSync(path.join(main, before), path.join(main, `worktree.config.${name}`));
      await world.git(main, 'add', '-A');
      await world.git(main, 'commit', '-q', '--allow-empty', '-m', name);
      const added = await world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name]);
      expect([added.code, added.stderr.split('\n').length]).toEqual([0, 3]);
      expect(added.stderr).toContain('Run `npx coppice install`');
    }
  });
});
