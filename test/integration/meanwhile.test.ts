import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fault } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { stopped } from '../fixtures/stopped.ts';
import { makeYard } from '../fixtures/trust.ts';
import { CLI, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const CONFIG = 'resources: { PORT: 24000 }\nfiles: { .env: merge }\n';

async function shop(world: World, more = '', files: Record<string, string> = {}): Promise<string> {
  const committed = { 'worktree.config.yaml': CONFIG + more, '.gitignore': '.env\n*.log\n', ...files };
  return world.repository('shop', committed, { '.env': 'PORT=24000\n' });
}

/** A worktree that nobody has set up yet. */
async function add(world: World, main: string, name: string): Promise<string> {
  await world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name], { env: { COPPICE: '0' } });
  return path.join(world.root, name);
}

describe('a hook of the user that is no shell script', () => {
  const HOOKS = {
    'a script': (file: string) => fs.writeFileSync(file, '#!/usr/bin/env python3\nopen("ran.log", "a").write("ran\\n")\n', { mode: 0o755 }),
    'a link': (file: string) => {
      fs.writeFileSync(path.join(path.dirname(file), 'own'), '#!/bin/sh\necho ran >> ran.log\n', { mode: 0o755 });
      fs.symlinkSync('own', file);
    },
  };
  const kinds = Object.keys(HOOKS) as (keyof typeof HOOKS)[];

  async function withHook(kind: keyof typeof HOOKS) {
    const world = makeWorld();
    const main = await shop(world);
    await world.coppice(main, 'install', '--uninstall');
    const file = path.join(main, '.git/hooks/post-checkout');
    HOOKS[kind](file);
    const what = () => [fs.lstatSync(file).isSymbolicLink(), read(file), fs.existsSync(`${file}.before-coppice`)];
    const before = what();
    return {
      world,
      main,
      /** Both hooks run, and what was there comes back. */
      async expectWhole() {
        expect((await world.coppice(main, 'install')).code).toBe(0);
        await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
        expect(read(world.root, 'x/ran.log')).toBe('ran\n');
        expect(records(world)).toMatchObject([{ state: 'ready' }]);
        expect((await world.coppice(main, 'remove', 'x', '--force')).code).toBe(0);
        expect((await world.coppice(main, 'install', '--uninstall')).code).toBe(0);
        expect(what()).toEqual(before);
      },
    };
  }

  const MOMENTS = ['^(link|symlink|rename) .*before-coppice$', '^rename .*post-checkout$'];
  const cases = kinds.flatMap((kind) => MOMENTS.map((at) => [kind, at] as const));

  test.for(cases)('%s is kept by an install that is killed at %s', async ([kind, at]) => {
    const { world, main, expectWhole } = await withHook(kind);
    const killed = await world.run(main, process.execPath, [CLI, 'install'], { env: fault({ at, nth: 1, how: 'kill-before' }) });
    expect(killed.signal).toBe('SIGKILL');
    expect(fs.existsSync(path.join(main, '.git/hooks/post-checkout'))).toBe(true);
    await expectWhole();
  });

  test.for(cases)('%s is kept when another install comes in between, at %s', async ([kind, at]) => {
    const { world, main, expectWhole } = await withHook(kind);
    const first = await stopped(world, main, 'install', { at, nth: 1 });
    expect((await world.coppice(main, 'install')).code).toBe(0);
    first.goOn();
    expect((await first.ended).code, first.output()).toBe(0);
    await expectWhole();
  });

  test('is moved aside where it cannot have a second name', async () => {
    const { world, main, expectWhole } = await withHook('a script');
    const env = fault({ at: '^link .*before-coppice$', nth: 1, how: 'EPERM' });
    expect((await world.run(main, process.execPath, [CLI, 'install'], { env })).code).toBe(0);
    await expectWhole();
  });
});

describe('while a worktree is removed', () => {
  /** A git whose `worktree remove` waits for a file, as if there were a hundred thousand to remove. */
  function slowGit(world: World) {
    const bin = path.join(world.root, 'bin');
    writeFiles(bin, {
      git: '#!/bin/sh\ncase "$*" in *"worktree remove"*) touch "$REMOVING"; until [ -e "$GO" ]; do sleep 0.05; done ;; esac\nPATH=${PATH#*:} exec git "$@"\n',
    });
    fs.chmodSync(path.join(bin, 'git'), 0o755);
    return { PATH: `${bin}:${world.env.PATH}`, REMOVING: path.join(world.root, 'removing'), GO: path.join(world.root, 'go') };
  }

  test.for(['up', 'remove'])('`%s` waits, and hears that it is gone: nothing is made in it any more', async (verb) => {
    const world = makeWorld();
    const main = await shop(world, `steps: { once: 'echo ran >> "$STEPS"' }\nteardown: { bye: 'echo bye >> "$STEPS"' }\n`);
    world.env.STEPS = path.join(world.root, 'steps');
    await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
    const env = slowGit(world);
    const remove = start(world, main, process.execPath, [CLI, 'remove', 'x'], env);
    await until(() => fs.existsSync(env.REMOVING), 'git is at it');
    const worktree = path.join(world.root, 'x');
    const other = start(world, worktree, process.execPath, [CLI, ...(verb === 'up' ? ['up'] : ['remove', worktree])]);
    await until(() => other.output().includes('waiting for the `remove`'), 'the word that it waits');
    fs.writeFileSync(env.GO, '');
    expect([(await other.ended).code, other.output()]).toEqual([1, expect.stringContaining('removed meanwhile')]);
    expect((await remove.ended).code, remove.output()).toBe(0);
    expect([read(world.env.STEPS), records(world), fs.existsSync(path.join(world.root, 'x'))]).toEqual(['ran\nbye\n', [], false]);
  });

  test.for(['^link x/|^link shop/.git/worktrees/x/coppice$', '^create record/', '^write .*journal$'])(
    'a set-up that is at %s ends with a sentence',
    async (at) => {
      const world = makeWorld();
      const main = await shop(world);
      const up = await stopped(world, await add(world, main, 'x'), 'up', { at, nth: 1 });
      await world.git(main, 'worktree', 'remove', '--force', '../x');
      up.goOn();
      const { code, stderr } = await up.ended;
      expect([code, stderr]).toEqual([1, expect.stringMatching(/removed (or moved )?meanwhile/)]);
      expect(stderr).not.toMatch(/should not|^\s+at /m);
      expect((await world.coppice(main, 'gc')).code).toBe(0);
      expect(records(world)).toEqual([]);
    },
  );

  test('what its dying set-up still makes is not forgotten by one who looked before', async () => {
    const world = makeWorld();
    const thing = `THING: { type: command, create: echo a thing, destroy: 'true' }`;
    const main = await world.repository('shop', { 'worktree.config.yaml': CONFIG.replace(' }', `, ${thing} }`), '.gitignore': '.env\n' });
    await world.git(main, 'worktree', 'add', '../whole', '-b', 'whole');
    const [whole] = records(world);
    const journal = read(world.state, 'repos', whole?.repository ?? '', 'worktrees', whole?.id ?? '', 'journal').split('\n');
    const nth = journal.findIndex((line) => line.includes('"THING"') && line.includes('"creating"'));
    const [dying, other] = [await add(world, main, 'dying'), await add(world, main, 'other')];
    const first = await stopped(world, dying, 'up', { at: '^write record/journal$', nth });
    await world.git(main, 'worktree', 'remove', '--force', '../dying');
    // It has read the record, in which nothing is made yet, and not taken the right to it.
    const second = await stopped(world, other, 'up', { at: '^readFile record/owner$', nth: 2 });
    first.goOn();
    await first.ended;
    second.goOn();
    expect((await second.ended).code, second.output()).toBe(0);
    const branches = () =>
      records(world)
        .map(({ branch }) => branch)
        .sort();
    expect(branches()).toEqual(['dying', 'other', 'whole']);
    expect((await world.coppice(main, 'gc')).code).toBe(0);
    expect(branches()).toEqual(['other', 'whole']);
  });
});

test.for([
  ['half made', ''],
  ['half taken away', 'gone/../..\n'],
] as const)('another worktree that is %s, of which git itself dies, is waited for', async ([, halfway]) => {
  const world = makeWorld();
  const main = await shop(world);
  await add(world, main, 'x');
  const file = path.join(main, '.git/worktrees/x/commondir');
  const whole = read(file);
  const git = (await world.run(main, 'sh', ['-c', 'command -v git'])).stdout.trim();
  const died = path.join(world.root, 'died');
  writeFiles(world.root, { 'bin/git': `#!/bin/sh\n'${git}' "$@"\ncode=$?\n[ $code != 128 ] || : > '${died}'\nexit $code\n` });
  fs.chmodSync(path.join(world.root, 'bin/git'), 0o755);
  fs.writeFileSync(file, halfway);
  const PATH = `${world.root}/bin:${world.env.PATH}`;
  const status = start(world, main, process.execPath, [CLI, 'status'], { PATH });
  await until(() => fs.existsSync(died), 'git dies');
  fs.writeFileSync(file, whole);
  const { code, stdout } = await status.ended;
  expect(code, stdout).toBe(0);
});

describe('who waits for a set-up', () => {
  test('does not take a single step for the whole', async () => {
    const world = makeWorld();
    const worktree = await add(world, await shop(world, 'steps: { one: echo one >> one.log, two: echo two >> two.log }\n'), 'x');
    const first = await stopped(world, worktree, ['up', '--step', 'one'], { at: '^rename record/owner$', nth: 1 });
    const second = start(world, worktree, process.execPath, [CLI, 'up']);
    await until(() => second.output().includes('waiting for the `up --step`'), 'the word that it waits');
    first.goOn();
    expect([(await first.ended).code, (await second.ended).code], second.output()).toEqual([0, 0]);
    expect([read(worktree, 'one.log'), read(worktree, 'two.log')]).toEqual(['one\n', 'two\n']);
  });
});

test('a person who says that work from outside may go on is not overruled by one who looked before', async () => {
  const { world, main } = await makeYard();
  const gift = path.join(world.root, 'gift');
  await world.git(world.root, 'clone', '-q', main, gift);
  writeFiles(gift, { 'gift.txt': 'a gift\n' });
  await world.git(gift, 'add', '-A');
  await world.git(gift, 'commit', '-qm', 'gift');
  await world.git(main, 'fetch', '-q', gift, 'HEAD');
  await world.run(main, 'git', ['worktree', 'add', '--detach', '../x', 'FETCH_HEAD'], { env: { COPPICE: '0' } });
  const worktree = path.join(world.root, 'x');
  const status = await stopped(world, worktree, 'status', { at: '^(link|rename) .*coppice-held$', nth: 1 });
  const held = await world.coppice(worktree, 'up');
  const [digest = ''] = /sha256:[0-9a-f]+/.exec(held.stderr) ?? [];
  expect([held.code, digest]).toEqual([3, expect.stringContaining('sha256:')]);
  expect((await world.coppice(worktree, 'trust', '--digest', digest)).code).toBe(0);
  status.goOn();
  expect((await status.ended).code).toBe(0);
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
});

test('a first approval that was cut off approves nothing, until the next', async () => {
  const world = makeWorld(onTestFinished, { asks: true });
  const main = await shop(world);
  fs.rmSync(world.state, { recursive: true });
  const killed = await world.run(main, process.execPath, [CLI, 'install'], {
    env: fault({ at: 'approvals/first$', nth: 1, how: 'kill-before' }),
  });
  expect(killed.signal).toBe('SIGKILL');
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  expect([added.code, added.stderr]).toEqual([0, expect.stringContaining('nothing of this repository was approved on this machine yet')]);
  expect((await world.coppice(main, 'install')).code).toBe(0);
  const up = await world.coppice(path.join(world.root, 'x'), 'up');
  expect(up.code, up.stderr).toBe(0);
});

test('several installs at once, while runners of earlier versions go', async () => {
  const world = makeWorld();
  const main = await shop(world);
  for (let round = 0; round < 4; round += 1) {
    for (const name of ['0.0.1-a', '0.0.1-b', '0.0.1-c']) writeFiles(path.join(main, '.git/coppice/runner', name), { 'main.cjs': '' });
    fs.rmSync(path.join(main, '.git/coppice/launch'));
    const ends = await Promise.all(Array.from({ length: 8 }, () => world.coppice(main, 'install')));
    expect(ends.map(({ code, stderr }) => (code === 0 ? 0 : stderr))).toEqual(ends.map(() => 0));
    expect(fs.readdirSync(path.join(main, '.git/coppice/runner')).length).toBeLessThanOrEqual(2);
  }
});

test('several set-ups at once in a worktree that lacks husky’s runner: it is put there whole, and once', async () => {
  const world = makeWorld();
  const runner = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`.husky/_/hook-${index}`, '#!/bin/sh\n']));
  const main = await shop(world, '', { '.husky/pre-commit': 'true\n' });
  writeFiles(main, { ...runner, '.husky/_/h': '#!/bin/sh\n', '.husky/_/.gitignore': '*' });
  await world.git(main, 'config', 'core.hooksPath', '.husky/_');
  const worktree = await add(world, main, 'x');
  for (let round = 0; round < 3; round += 1) {
    fs.rmSync(path.join(worktree, '.husky/_'), { recursive: true, force: true });
    const ends = await Promise.all(Array.from({ length: 6 }, () => world.coppice(worktree, 'up')));
    expect(ends.map(({ code, stderr }) => (code === 0 ? 0 : stderr))).toEqual(ends.map(() => 0));
    expect(fs.readdirSync(path.join(worktree, '.husky/_'))).toHaveLength(42);
    expect(fs.readdirSync(path.join(worktree, '.husky')).sort()).toEqual(['_', 'pre-commit']);
  }
});

test('files that come and go in a folder while it is copied, or looked at for inputs, fail nothing', async () => {
  const world = makeWorld();
  const files = '{ .env: merge, storage: copy }';
  const config = `resources: { PORT: 24000 }\nfiles: ${files}\nsteps: { build: { run: "true", inputs: ["**/*.txt"] } }\n`;
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\nstorage\n', 'a.txt': '1' });
  const churn = `const fs = require('fs'); for (let n = 0; ; n++) for (const end of ['a', 'b', 'c']) {
    const folder = 'storage/' + end + n % 7; fs.mkdirSync(folder, { recursive: true }); fs.writeFileSync(folder + '/x.txt', 'x');
    fs.rmSync('storage/' + end + (n + 3) % 7, { recursive: true, force: true }); }`;
  fs.mkdirSync(path.join(main, 'storage'));
  const busy = start(world, main, process.execPath, ['-e', churn]);
  onTestFinished(async () => {
    busy.child.kill('SIGKILL');
    await busy.ended;
  });
  for (let round = 0; round < 6; round += 1) {
    const added = await world.run(main, 'git', ['worktree', 'add', `../x${round}`, '-b', `x${round}`]);
    expect(added.code, added.stderr).toBe(0);
    const checked = await world.coppice(main, 'check');
    expect(checked.code, checked.stderr).toBe(0);
  }
});

// Only root can be somebody else.
describe.skipIf(process.getuid?.() !== 0)('another user of the clone', () => {
  test('reads what a set-up has left, and may look at it', async () => {
    const world = makeWorld();
    const main = await shop(world);
    await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
    const other = path.join(world.root, 'other');
    fs.mkdirSync(other);
    fs.chownSync(other, 65_534, 65_534);
    fs.chmodSync(world.root, 0o755);
    const safe = path.join(other, 'gitconfig');
    fs.writeFileSync(safe, `[safe]\n\tdirectory = *\n${read(world.env.GIT_CONFIG_GLOBAL ?? '')}`, { mode: 0o644 });
    const env = { HOME: other, COPPICE_STATE_DIR: path.join(other, 'state'), GIT_CONFIG_GLOBAL: safe };
    const launcher = path.join(main, '.git/coppice/launch');
    const as = ['--reuid=65534', '--regid=65534', '--clear-groups', launcher, 'git'];
    for (const cwd of [main, path.join(world.root, 'x')]) {
      const { code, stdout, stderr } = await world.run(cwd, 'setpriv', [...as, 'status'], { env });
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toContain('x');
    }
  });

  test('has a folder at the root that we may not look into: `install` installs all the same', async () => {
    const world = makeWorld();
    const main = await shop(world);
    await world.coppice(main, 'install', '--uninstall');
    fs.mkdirSync(path.join(main, 'pgdata'), { mode: 0o700 });
    await world.run(world.root, 'chown', ['-R', '65534:65534', world.root]);
    fs.chownSync(path.join(main, 'pgdata'), 0, 0);
    const { code, stderr } = await world.run(main, 'setpriv', [
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      process.execPath,
      CLI,
      'install',
    ]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('.git/hooks/post-checkout');
  });
});
