import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { fromRegistry } from '../fixtures/cache.ts';
import { records } from '../fixtures/ledger.ts';
import { packed } from '../fixtures/packed.ts';
import { makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

const FILES = {
  'worktree.config.yaml': 'resources: { PORT: 24700 }\nsteps:\n  once: echo ran >> once.log\n',
  '.gitignore': '.env\n*.log\nnode_modules\n',
};
const DIST = path.resolve('dist');

async function expectReady(world: World, cwd: string, name: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const git = (await world.run(cwd, 'which', ['git'])).stdout.trim();
  const added = await world.run(cwd, git, ['worktree', 'add', path.join(world.root, name), '-b', name], { env });
  expect([added.code, added.stderr]).toEqual([0, expect.stringContaining('ready in')]);
  expect(read(world.root, name, 'once.log')).toBe('ran\n');
}

/** The launcher as it is on a machine that has Node in none of the machine's own places. */
function withoutPlaces(launcher: string): void {
  fs.writeFileSync(
    launcher,
    read(launcher).replace(/^( +)(for candidate in )?\/(usr|opt|home|snap|run)\/\S*node/gm, '$1$2/nonexistent/node'),
  );
}

/** Node as one of its version managers keeps it. @returns the program */
function nodeIn(folder: string): string {
  const node = path.join(folder, 'bin/node');
  fs.mkdirSync(path.dirname(node), { recursive: true });
  fs.copyFileSync(process.execPath, node, fs.constants.COPYFILE_FICLONE);
  return node;
}

describe('Node', () => {
  test('from a desktop program, with no PATH at all', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await expectReady(world, main, 'a', { PATH: '' });
    await expectReady(world, main, 'b', { PATH: '/nonexistent', HOME: '/nonexistent' });
  });

  test('that nvm has removed: another that is new enough is found, an older one is passed over', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    const versions = path.join(world.env.HOME ?? '', '.nvm/versions/node');
    const gone = nodeIn(path.join(versions, 'v22.0.0'));
    await world.coppice(main, 'install', '--uninstall');
    await world.run(main, gone, [path.join(DIST, 'cli.cjs'), 'install']);
    const launcher = path.join(main, '.git/coppice/launch');
    expect(read(launcher)).toContain(gone);
    withoutPlaces(launcher);
    fs.rmSync(path.join(versions, 'v22.0.0'), { recursive: true });
    writeFiles(versions, { 'v8.17.0/bin/node': '#!/bin/sh\necho "SyntaxError" >&2\nexit 1\n', 'v9.0.0/bin/node': 'no program' });
    for (const version of ['v8.17.0', 'v9.0.0']) fs.chmodSync(path.join(versions, version, 'bin/node'), 0o755);
    nodeIn(path.join(versions, 'v20.20.2'));
    await expectReady(world, main, 'a', { PATH: '/usr/bin:/bin', NVM_DIR: path.join(world.env.HOME ?? '', '.nvm') });
  });

  test('nowhere: one line says what to do, and git worktree add succeeds', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    const launcher = path.join(main, '.git/coppice/launch');
    fs.writeFileSync(launcher, read(launcher).replace(/^node=.*$/m, "node='/it is/gone'"));
    withoutPlaces(launcher);
    const git = (await world.run(main, 'which', ['git'])).stdout.trim();
    const added = await world.run(main, git, ['worktree', 'add', '-q', '../a', '-b', 'a'], { env: { PATH: '/nonexistent' } });
    expect(added).toMatchObject({
      code: 0,
      stderr: `coppice: Node.js is not where it was (${process.execPath}), and no other of 20.19, 22.12 or later was found. Run \`npx coppice install\` in the main worktree, then \`git coppice up\` here.\n`,
    });
    const up = await world.run(main, git, ['coppice', 'status'], { env: { PATH: '/nonexistent' } });
    expect([up.code, up.stderr.split('\n').length]).toEqual([1, 2]);
    expect((await world.coppice(main, 'install')).code).toBe(0);
    await expectReady(world, main, 'b');
  });

  test('relative entries of PATH are not looked in: a branch may bring a node of its own', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'switch', '-qc', 'hostile');
    writeFiles(main, { 'node_modules/.bin/node': '#!/bin/sh\necho hostile >> "$CANARY"\n' });
    fs.chmodSync(path.join(main, 'node_modules/.bin/node'), 0o755);
    await world.git(main, 'add', '-Af', 'node_modules');
    await world.git(main, 'commit', '-qm', 'hostile');
    const launcher = path.join(main, '.git/coppice/launch');
    fs.writeFileSync(launcher, read(launcher).replace(/^node=.*$/m, "node='/gone'"));
    const env = { PATH: `node_modules/.bin:${world.env.PATH}`, CANARY: path.join(world.root, 'canary') };
    await expectReady(world, main, 'a', env);
    expect(fs.existsSync(env.CANARY)).toBe(false);
  });
});

describe('the runner', () => {
  test('after the worktree that it was installed from is gone', async () => {
    const world = makeWorld();
    const origin = await world.repository('origin', FILES);
    const bare = path.join(world.root, 'project/.bare');
    await world.git(world.root, 'clone', '-q', '--bare', origin, bare);
    const [main, other] = ['main', 'other'].map((name) => path.join(world.root, 'project', name)) as [string, string];
    await world.git(bare, 'worktree', 'add', main, 'main');
    fs.cpSync(DIST, path.join(main, 'node_modules/coppice/dist'), { recursive: true });
    expect((await world.run(main, process.execPath, ['node_modules/coppice/dist/cli.cjs', 'install'])).code).toBe(0);
    await world.git(bare, '-c', 'core.hooksPath=/dev/null', 'worktree', 'add', other, '-b', 'other');
    await world.git(bare, 'worktree', 'remove', '--force', main);
    await expectReady(world, other, 'a');
  });

  test('of a global install that is gone', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.coppice(main, 'install', '--uninstall');
    const prefix = path.join(world.root, 'global');
    const put = await world.run(world.root, 'npm', ['install', '-g', '--prefix', prefix, '--no-audit', '--no-fund', await packed(world)]);
    expect(put.code, put.stderr).toBe(0);
    expect((await world.run(main, path.join(prefix, 'bin/coppice'), ['install'])).code).toBe(0);
    await expectReady(world, main, 'a');
    fs.rmSync(prefix, { recursive: true });
    await expectReady(world, main, 'b');
  });

  test('gone itself: one line says what to do, and git worktree add succeeds', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    fs.rmSync(path.join(main, '.git/coppice/runner'), { recursive: true });
    const added = await world.run(main, 'git', ['worktree', 'add', '-q', '../a', '-b', 'a']);
    expect([added.code, added.stderr]).toEqual([0, expect.stringMatching(/^coppice: its runner is gone.*npx coppice install.*\n$/)]);
    expect(records(world)).toEqual([]);
  });
});

describe('package managers', () => {
  const program = (name: string) =>
    path.join(fromRegistry('package-managers', { pnpm: '10.34.9', yarn: '1.22.22', '@yarnpkg/cli-dist': '4.18.1' }), 'node_modules', name);
  const managers: Record<string, { run: string[]; files?: Record<string, string>; env?: NodeJS.ProcessEnv }> = {
    pnpm: { run: [program('pnpm/bin/pnpm.cjs'), 'install'] },
    'yarn classic': { run: [program('yarn/bin/yarn.js'), 'install'] },
    "yarn, Plug'n'Play": {
      run: [program('@yarnpkg/cli-dist/bin/yarn.js'), 'install'],
      files: { '.yarnrc.yml': 'nodeLinker: pnp\nenableTelemetry: false\n' },
      env: { YARN_ENABLE_IMMUTABLE_INSTALLS: 'false' },
    },
    'yarn, node_modules': {
      run: [program('@yarnpkg/cli-dist/bin/yarn.js'), 'install'],
      files: { '.yarnrc.yml': 'nodeLinker: node-modules\nenableTelemetry: false\n' },
      env: { YARN_ENABLE_IMMUTABLE_INSTALLS: 'false' },
    },
  };

  test.for(Object.keys(managers))('%s: its install puts the hook in, and a worktree without packages is ready', async (name) => {
    const { run: [script = '', ...args] = [], files = {}, env = {} } = managers[name] ?? {};
    const world = makeWorld();
    const archive = await packed(world);
    // yarn knows no `prepare`; both of its kinds run `postinstall` of the project itself.
    const scripts = { [name.startsWith('yarn') ? 'postinstall' : 'prepare']: 'coppice install || true' };
    const manifest = { name: 'shop', version: '1.0.0', private: true, scripts, devDependencies: { coppice: `file:${archive}` } };
    const main = await world.repository('shop', {
      ...FILES,
      ...files,
      '.gitignore': `${FILES['.gitignore']}.yarn\n.pnp.*\n*.lock\n*-lock.*\n`,
      'package.json': JSON.stringify(manifest),
    });
    await world.coppice(main, 'install', '--uninstall');
    // yarn classic leaves its temporary folders.
    const done = await world.run(main, process.execPath, [script, ...args], { env: { ...env, TMPDIR: world.root } });
    expect(done.code, done.stdout + done.stderr).toBe(0);
    await expectReady(world, main, 'a');
    expect(read(main, '.git/coppice/launch')).toContain('# coppice ');
  });
});
