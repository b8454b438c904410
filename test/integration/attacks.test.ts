import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { heldPorts, records } from '../fixtures/ledger.ts';
import { CLI, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const port = (base: number) => ({ 'worktree.config.yaml': `resources: { PORT: ${base} }\n`, '.gitignore': '.env\n' });

function portOf(world: World, branch: string): number | undefined {
  return records(world).find((record) => record.branch === branch)?.ports.PORT;
}

describe('one port never has two worktrees', () => {
  test('when a repository is copied with its .git', async () => {
    const world = makeWorld();
    const main = await world.repository('m', port(25_200));
    await world.git(main, 'worktree', 'add', '../z', '-b', 'z');
    execFileSync('cp', ['-a', main, path.join(world.root, 'copy')]);
    await world.git(main, 'worktree', 'add', '../w', '-b', 'w');
    await world.git(path.join(world.root, 'copy'), 'worktree', 'add', '../cw', '-b', 'cw');
    expect(new Set(['z', 'w', 'cw'].map((branch) => portOf(world, branch))).size).toBe(3);
    expect(
      JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees.map(({ state }: { state: string }) => state),
    ).toEqual(['ready', 'ready']);
  });

  test('and gc in a copy that has lost its worktrees gives nothing of the first one back', async () => {
    const world = makeWorld();
    const bye = path.join(world.root, 'destroyed');
    const config = `resources:\n  PORT: 25200\n  THING: { type: command, create: echo made, destroy: "touch ${bye}" }\nkeep: 0s\n`;
    const main = await world.repository('m', { 'worktree.config.yaml': config, '.gitignore': '.env\n' });
    await world.git(main, 'worktree', 'add', '../z', '-b', 'z');
    const copy = path.join(world.root, 'copy');
    execFileSync('cp', ['-a', main, copy]);
    fs.rmSync(path.join(copy, '.git/worktrees'), { recursive: true });
    const before = [records(world), heldPorts(world)];
    for (const words of [['gc'], ['gc', '--expired'], ['install', '--uninstall'], ['install'], ['gc']]) {
      const done = await world.coppice(copy, ...words);
      expect(done.code, done.stderr).toBe(0);
    }
    expect([records(world), heldPorts(world), fs.existsSync(bye)]).toEqual([...before, false]);
    expect((await world.coppice(main, 'remove', 'z')).code).toBe(0);
    expect(fs.existsSync(bye)).toBe(true);
  });

  test('when another repository stands where the first one was', async () => {
    const world = makeWorld();
    const main = await world.repository('m', port(25_220));
    await world.git(main, 'worktree', 'add', '../w', '-b', 'w');
    fs.renameSync(main, path.join(world.root, 'old'));
    await world.git(path.join(world.root, 'old'), 'worktree', 'repair', '../w');
    await world.git(world.root, 'clone', '-q', 'old', 'm');
    await world.coppice(main, 'install');
    const gc = await world.coppice(main, 'gc', '--all');
    expect(gc.stderr).toContain('another repository');
    await world.git(main, 'worktree', 'add', '../n', '-b', 'n');
    expect(heldPorts(world)).toEqual([25_230, 25_240]);
  });

  test('when a release is killed before it is written down', async () => {
    const world = makeWorld();
    writeFiles(world.root, {
      'kill.cjs':
        "const fs = require('node:fs'); const unlink = fs.unlinkSync; fs.unlinkSync = (file) => { unlink(file); if (/port-/.test(file)) process.kill(process.pid, 'SIGKILL'); };",
    });
    const one = await world.repository('one', port(25_240));
    await world.git(one, 'worktree', 'add', '../a', '-b', 'a');
    const killed = await world.run(path.join(world.root, 'a'), process.execPath, [
      '--require',
      path.join(world.root, 'kill.cjs'),
      CLI,
      'down',
    ]);
    expect(killed.signal).toBe('SIGKILL');
    const two = await world.repository('two', port(25_240));
    await world.git(two, 'worktree', 'add', '../b', '-b', 'b');
    const up = await world.coppice(path.join(world.root, 'a'), 'up');
    expect(up.code, up.stderr).toBe(0);
    expect([portOf(world, 'b'), portOf(world, 'a')]).toEqual([25_250, 25_260]);
  });
});

describe('down leaves a database that it did not make', () => {
  const config = { 'worktree.config.yaml': 'resources: { DB: sqlite }\nfiles: {}\n', '.gitignore': '*.db\n.env\n' };
  async function shop(world: World) {
    const main = await world.repository('m', config, { '.env': 'DB=file:./dev.db\n' });
    await world.run(main, 'sqlite3', ['dev.db', 'create table t(a)']);
    await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
    return { main, worktree: path.join(world.root, 'a') };
  }

  test('made by the user after an earlier down', async () => {
    const world = makeWorld();
    const { worktree } = await shop(world);
    await world.coppice(worktree, 'down');
    writeFiles(worktree, { 'dev.db': 'mine' });
    await world.coppice(worktree, 'up');
    await world.coppice(worktree, 'down');
    expect(read(worktree, 'dev.db')).toBe('mine');
  });

  test('put by the user where the copy was', async () => {
    const world = makeWorld();
    const { worktree } = await shop(world);
    writeFiles(worktree, { 'new.db': 'mine' });
    fs.renameSync(path.join(worktree, 'new.db'), path.join(worktree, 'dev.db'));
    await world.coppice(worktree, 'down');
    expect(read(worktree, 'dev.db')).toBe('mine');
  });

  test('committed by the user', async () => {
    const world = makeWorld();
    const { worktree } = await shop(world);
    await world.git(worktree, 'add', '-f', 'dev.db');
    await world.git(worktree, 'commit', '-qm', 'database');
    await world.coppice(worktree, 'down');
    expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  });
});

test('folders, links, pipes and devices under the names of env files do no harm', async () => {
  const world = makeWorld();
  const main = await world.repository('m', { ...port(25_280), '.envs/.local/.django': 'A=1\n' });
  for (const [name, target] of [
    ['.env.zero', '/dev/zero'],
    ['.env.loop', '.env.loop'],
    ['.env.dangling', 'nowhere'],
  ])
    fs.symlinkSync(target ?? '', path.join(main, name ?? ''));
  await world.git(main, 'add', '-Af');
  await world.git(main, 'commit', '-qm', 'odd');
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  expect(read(world.root, 'a/.env')).toContain('PORT=25290\n');
  execFileSync('mkfifo', [path.join(main, '.env.local')]);
  const added = await world.run(main, 'git', ['worktree', 'add', '../b', '-b', 'b']);
  expect([added.code, added.stderr]).toEqual([1, expect.stringContaining('is not a plain file')]);
});

test('a worktree removed and added again at its path gets nothing of the old set-up', async () => {
  const world = makeWorld();
  const main = await world.repository('m', {
    'worktree.config.yaml':
      'background: true\nresources: { PORT: 25300 }\nfiles: {}\nsteps:\n  one: while ! test -f $COPPICE_PATH/../go; do sleep 0.02; done\n  two: echo "$COPPICE_BRANCH" >> who.log\n',
    '.gitignore': '*.log\n',
  });
  await world.git(main, 'worktree', 'add', '../r', '-b', 'old');
  await until(() => (records(world)[0]?.steps.one?.process ?? null) !== null, 'the first step');
  await world.git(main, 'worktree', 'remove', '--force', '../r');
  await world.git(main, 'worktree', 'add', '../r', '-b', 'new');
  await until(() => records(world).filter(({ steps }) => (steps.one?.process ?? null) !== null).length === 2, 'both first steps');
  writeFiles(world.root, { go: '' });
  expect((await world.coppice(path.join(world.root, 'r'), 'up')).code).toBe(0);
  await until(() => (records(world).find(({ branch }) => branch === 'old')?.state ?? 'failed') === 'failed', 'the end of the old one');
  expect(read(world.root, 'r/who.log')).toBe('new\n');
});

test('a folder that holds worktrees is copied without them', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'm',
    { 'worktree.config.yaml': 'files: { ignored: copy }\n', '.worktreeinclude': 'ignored/\n', '.gitignore': 'ignored/\n' },
    { 'ignored/secret': 's' },
  );
  for (const name of ['a', 'b']) await world.git(main, 'worktree', 'add', `ignored/${name}`, '-b', name);
  expect(fs.readdirSync(path.join(main, 'ignored/b/ignored'))).toEqual(['secret']);
});

test('a reader that goes away does not leave steps running', async () => {
  const world = makeWorld();
  const main = await world.repository('m', {
    'worktree.config.yaml':
      'files: {}\nsteps:\n  a: { run: "true", needs: [] }\n  b: { run: while ! test -f go.log; do sleep 0.02; done; echo done > b.log, needs: [] }\n',
    '.gitignore': '*.log\n',
  });
  await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a'], { env: { COPPICE: '0' } });
  const worktree = path.join(world.root, 'a');
  const up = start(world, worktree, process.execPath, [CLI, 'up']);
  up.child.stderr.destroy();
  await until(() => records(world)[0]?.steps.a?.state === 'ok', 'the first step');
  writeFiles(worktree, { 'go.log': '' });
  expect((await up.ended).code).toBe(0);
  expect(records(world)).toMatchObject([{ state: 'ready' }]);
});
