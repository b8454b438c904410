import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openRepository } from '../../src/git/worktrees.ts';
import { heldPorts, records } from '../fixtures/ledger.ts';
import { makeWorld, read, writeFiles } from '../fixtures/world.ts';

const CONFIG =
  'resources: { PORT: 24800 }\nsteps:\n  facts: printf "%s\\n" "$COPPICE_BRANCH" "$COPPICE_PATH" "$COPPICE_MAIN" "$PWD" > facts.log\n';
const FILES = { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n*.log\n' };

test('a worktree that git moves keeps its slot and its ports', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', FILES);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'move', '../a', '../moved');
  await world.git(main, 'worktree', 'add', '../b', '-b', 'b');
  const up = await world.coppice(path.join(world.root, 'moved'), 'up');
  expect(up.code, up.stderr).toBe(0);
  const byBranch = Object.fromEntries(records(world).map((record) => [record.branch, record]));
  expect(byBranch.a).toMatchObject({ slot: 1, path: path.join(world.root, 'moved'), ports: { PORT: 24_810 } });
  expect(byBranch.b).toMatchObject({ slot: 2 });
});

test('a worktree removed and added again under its name is another worktree', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', FILES);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const [first] = records(world);
  await world.git(main, 'worktree', 'remove', '../a');
  await world.git(main, 'worktree', 'add', '../a', 'a');
  const all = records(world);
  expect(all.length).toBe(1);
  expect(all[0]?.id).not.toBe(first?.id);
  expect(all[0]).toMatchObject({ slot: 1, state: 'ready' });
  expect(heldPorts(world)).toEqual([24_810]);
});

test('a worktree moved by hand and repaired is the same worktree', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', FILES);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  fs.renameSync(path.join(world.root, 'a'), path.join(world.root, 'b'));
  await world.coppice(main, 'gc');
  await world.git(path.join(world.root, 'b'), 'worktree', 'repair');
  const up = await world.coppice(path.join(world.root, 'b'), 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(records(world)).toMatchObject([{ slot: 1, path: path.join(world.root, 'b') }]);
});

describe('names and places', () => {
  const branches = [
    "'; DROP TABLE x; --",
    '$(touch canary)',
    '`touch canary`',
    'a&b|c>d;e',
    '#hash',
    '{{PORT}}',
    '${HOME}',
    'ünïcödé/日本語',
    'a"b\'c',
    'x'.repeat(180),
    '-dash'.replace('-', 'a-'),
    'right\u202eleft',
  ];
  test.for(branches)('a branch named %s is only ever a value', async (branch) => {
    const world = makeWorld();
    const main = await world.repository("it's a shop ünï", {
      ...FILES,
      'worktree.config.yaml': `${CONFIG}files:\n  .env: merge\n  note.md: { text: "{{branch}}" }\n`,
    });
    const worktree = path.join(world.root, 'wörk tree $(touch canary)');
    // git refuses some of these characters in a branch's name; those are taken out.
    const name = branch.replace(/[ ~^:?*[\\]|\.\.|@\{/g, '_');
    const added = await world.run(main, 'git', ['worktree', 'add', worktree, '-b', name]);
    expect(added.code, added.stderr).toBe(0);
    expect(read(worktree, 'facts.log')).toBe(`${name}\n${worktree}\n${main}\n${worktree}\n`);
    expect(read(worktree, 'note.md')).toBe(name);
    expect(records(world)[0]?.slug).toMatch(/^[a-z0-9][a-z0-9-]*$/);
    expect(added.stderr.replace(/^Preparing worktree.*$/m, '')).not.toMatch(/\u202e/);
    for (const folder of [world.root, main, worktree]) expect(fs.readdirSync(folder)).not.toContain('canary');
    expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  });

  test('two branches with one slug get two slugs', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'worktree', 'add', '../a', '-b', 'feature/x');
    await world.git(main, 'worktree', 'add', '../b', '-b', 'feature-x');
    const slugs = records(world).map(({ slug }) => slug);
    expect(new Set(slugs).size).toBe(2);
    expect(slugs).toContain('feature-x');
  });

  test('a detached HEAD takes its slug from the folder', async () => {
    const world = makeWorld();
    const main = await world.repository('shop', FILES);
    await world.git(main, 'worktree', 'add', '--detach', '../My Probe');
    expect(records(world)).toMatchObject([{ slug: 'my-probe', branch: null, state: 'ready' }]);
    expect(JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees).toMatchObject([{ branch: null, state: 'ready' }]);
  });

  test('a repository and a worktree behind symbolic links', async () => {
    const world = makeWorld();
    const main = await world.repository('real', FILES);
    fs.symlinkSync(main, path.join(world.root, 'link'));
    await world.git(path.join(world.root, 'link'), 'worktree', 'add', '../a', '-b', 'a');
    const up = await world.coppice(path.join(world.root, 'link'), 'up', 'a');
    expect(up.code, up.stderr).toBe(0);
    expect(records(world)).toMatchObject([{ state: 'ready' }]);
  });

  test('a worktree inside the main worktree', async () => {
    const world = makeWorld();
    const main = await world.repository(
      'shop',
      { ...FILES, 'worktree.config.yaml': `${CONFIG}files: { "**/*.pem": copy }\n` },
      { 'certs/a.pem': 'a' },
    );
    await world.git(main, 'worktree', 'add', '.trees/a', '-b', 'a');
    await world.git(main, 'worktree', 'add', '.trees/b', '-b', 'b');
    expect(fs.readdirSync(path.join(main, '.trees/b')).sort()).toEqual([
      '.git',
      '.gitignore',
      'certs',
      'facts.log',
      'worktree.config.yaml',
    ]);
  });
});

test('verbs find the worktree from a subdirectory, by branch, slug, folder and path; the alias too', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { ...FILES, 'sub/deep/file': '' });
  await world.git(main, 'worktree', 'add', '../folder', '-b', 'feature/x');
  const worktree = path.join(world.root, 'folder');
  for (const name of ['feature/x', 'feature-x', 'folder', worktree, '../folder'])
    expect((await world.coppice(main, 'up', name)).code, name).toBe(0);
  expect((await world.coppice(path.join(worktree, 'sub/deep'), 'up')).code).toBe(0);
  const alias = await world.run(path.join(main, 'sub/deep'), 'git', ['coppice', 'up', '../../../folder']);
  expect(alias.code, alias.stderr).toBe(0);
  const unknown = await world.coppice(main, 'up', 'nope');
  expect([unknown.code, unknown.stderr]).toEqual([2, 'There is no worktree `nope` here. Worktrees: feature/x.\n']);
  const inMain = await world.coppice(main, 'up');
  expect([inMain.code, inMain.stderr]).toEqual([2, expect.stringContaining('main worktree, which coppice never changes')]);
});

describe('a bare layout', () => {
  test('the worktree on the default branch plays the main part, and keeps it', async () => {
    const world = makeWorld();
    const origin = await world.repository('origin', FILES);
    const bare = path.join(world.root, 'project/.bare');
    await world.git(world.root, 'clone', '-q', '--bare', origin, bare);
    const main = path.join(world.root, 'project/main');
    await world.git(bare, 'worktree', 'add', main, 'main');
    writeFiles(main, { '.env': 'PORT=24800\nKEY=k\n' });
    expect((await world.coppice(main, 'install')).code).toBe(0);
    await world.git(bare, 'worktree', 'add', '../a', '-b', 'a');
    await world.git(main, 'switch', '-qc', 'elsewhere');
    await world.git(main, 'worktree', 'add', '../b', '-b', 'b');
    expect(read(world.root, 'project/a/.env')).toBe('PORT=24810\nKEY=k\n');
    expect(read(world.root, 'project/b/.env')).toBe('PORT=24820\nKEY=k\n');
    expect(read(main, '.env')).toBe('PORT=24800\nKEY=k\n');
    expect(records(world)[0]?.project).toBe('project');
    const status = JSON.parse((await world.coppice(bare, 'status', '--json')).stdout);
    expect(status.worktrees.map(({ branch }: { branch: string }) => branch).sort()).toEqual(['a', 'b']);
    // Every verb knows the worktree that plays the part.
    for (const words of [['install'], ['status'], ['env'], ['doctor'], ['up', 'a'], ['gc'], ['remove', 'a', '--force']]) {
      const done = await world.coppice(main, ...words);
      expect(done.code, `${words.join(' ')}: ${done.stderr}${done.stdout}`).toBe(0);
    }
  });
});

test('several programs at once choose the worktree that plays the main part in a bare repository', async () => {
  const world = makeWorld();
  const origin = await world.repository('origin', FILES);
  const bare = path.join(world.root, 'bare.git');
  await world.git(world.root, 'clone', '-q', '--bare', origin, bare);
  await world.git(bare, 'worktree', 'add', '-q', '../trunk', 'main');
  for (let round = 0; round < 5; round += 1) {
    const found = await Promise.all(Array.from({ length: 8 }, () => openRepository(bare)));
    expect(found.map(({ main }) => main)).toEqual(found.map(() => path.join(world.root, 'trunk')));
    await world.git(bare, 'config', '--unset', 'coppice.main');
  }
});

describe('submodules', () => {
  test('a worktree of a superproject is set up, its submodule is not taken for one', async () => {
    const world = makeWorld();
    const library = await world.repository('library', FILES);
    const main = await world.repository('shop', FILES);
    await world.git(main, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', library, 'lib');
    await world.git(main, 'commit', '-qm', 'submodule');
    await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
    await world.git(path.join(world.root, 'a'), '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'update', '--init');
    expect(records(world).map(({ path: worktree }) => worktree)).toEqual([path.join(world.root, 'a')]);
  });

  test('a worktree of a submodule is set up beside its main worktree', async () => {
    const world = makeWorld();
    const library = await world.repository('library', FILES);
    const main = await world.repository('shop', {});
    await world.git(main, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', library, 'lib');
    const submodule = path.join(main, 'lib');
    writeFiles(submodule, { '.env': 'KEY=k\n' });
    expect((await world.coppice(submodule, 'install')).code).toBe(0);
    await world.git(submodule, 'worktree', 'add', path.join(world.root, 'lib-a'), '-b', 'a');
    expect(read(world.root, 'lib-a/.env')).toContain('KEY=k\n');
    expect(read(world.root, 'lib-a/.env')).toContain('PORT=24810\n');
  });
});

test('a child never inherits what ties a process to one repository', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    ...FILES,
    'worktree.config.yaml':
      'steps:\n  env: env | grep -E "^GIT_(DIR|INDEX_FILE|PREFIX|CONFIG_PARAMETERS|WORK_TREE)=" > git.log || true\n  init: mkdir inner && cd inner && git init -q\n',
  });
  const added = await world.run(main, 'git', ['-c', 'user.name=x', 'worktree', 'add', '../a', '-b', 'a'], {
    env: { GIT_INDEX_FILE: path.join(main, '.git/index'), GIT_AUTHOR_NAME: 'Kept' },
  });
  expect(added.code, added.stderr).toBe(0);
  expect(read(world.root, 'a/git.log')).toBe('');
  expect(fs.existsSync(path.join(world.root, 'a/inner/.git/HEAD'))).toBe(true);
});
