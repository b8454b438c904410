import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { heldPorts, records } from '../fixtures/ledger.ts';
import { CLI, isAlive, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const CONFIG = 'resources: { PORT: 24700 }\n';
/** A watcher on which a busy machine plays no trick: see patient.cjs. */
const PATIENT = { NODE_OPTIONS: `--require ${path.resolve(import.meta.dirname, '../fixtures/patient.cjs')}` };
/** As a program adds a worktree that has git, and runs no hooks. */
const WITHOUT_HOOKS = ['-c', 'core.hooksPath=/dev/null', 'worktree', 'add', '-q'];

async function shop(world: World, config = CONFIG, name = 'shop'): Promise<string> {
  return world.repository(name, { 'worktree.config.yaml': config, '.gitignore': '.env\n*.log\n' }, { '.env': 'PORT=24700\n' });
}

/** Starts `coppice watch`, and waits until it watches. @param env to wait for a hook and an index without end: {@link PATIENT} */
async function watching(world: World, cwd: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const watch = start(world, cwd, process.execPath, [CLI, 'watch', ...args], env);
  onTestFailed(() => console.error(watch.output()));
  onTestFinished(async () => {
    watch.child.kill('SIGKILL');
    await watch.ended;
  });
  await until(() => /watching |no repository is known/.test(watch.output()), 'the watcher begins');
  return watch;
}

/** The branches whose set-up came to its end. */
function ready(world: World): (string | null)[] {
  return records(world)
    .filter(({ state }) => state === 'ready')
    .map(({ branch }) => branch)
    .sort();
}

test('a worktree that was added without hooks is set up, and its port is given back when it is removed', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const watch = await watching(world, main);
  // Twice: git takes its folder of worktrees away with the last one, and makes another.
  for (const name of ['a', 'b']) {
    await world.git(main, ...WITHOUT_HOOKS, `../${name}`, '-b', name);
    await until(() => watch.output().includes(`✓ ${name} `), `${name} is set up`);
    expect(watch.output()).toMatch(new RegExp(`✓ ${name} +ready in .*http://localhost:24710`));
    expect(read(world.root, name, '.env')).toContain('PORT=24710');
    await world.git(main, 'worktree', 'remove', `../${name}`);
    await until(() => watch.output().includes(`✓ ${name}              gone; gave back 24710`), `${name} is cleaned up`);
    expect([heldPorts(world), records(world)]).toEqual([[], []]);
  }
});

test('a worktree that is put together by hand, as a library does, is set up when its index is there', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const watch = await watching(world, main, [], PATIENT);
  const admin = path.join(main, '.git/worktrees/made');
  const root = path.join(world.root, 'made');
  await world.git(main, 'branch', 'made');
  fs.mkdirSync(root);
  writeFiles(admin, { gitdir: `${root}/.git\n`, commondir: '../..\n', HEAD: 'ref: refs/heads/made\n' });
  writeFiles(root, { '.git': `gitdir: ${admin}\n`, 'worktree.config.yaml': CONFIG });
  // Another one, added later, is set up meanwhile: this one waits for its index, not for its turn.
  await world.git(main, ...WITHOUT_HOOKS, '../other', '-b', 'other');
  await until(() => ready(world).includes('other'), 'the other is set up');
  expect(ready(world)).toEqual(['other']);
  await world.git(root, 'reset', '-q', '--hard');
  await until(() => ready(world).includes('made'), 'it is set up');
  expect(read(root, '.env')).toContain('PORT=24720');
  expect(watch.output()).not.toContain('✗');
});

test('a worktree that the hook sets up is left to the hook', async () => {
  const world = makeWorld();
  const main = await shop(world, `${CONFIG}steps: { count: 'echo "$COPPICE_SLUG" >> "$COPPICE_MAIN/ran.log"' }\n`);
  const watch = await watching(world, main);
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  expect([added.code, added.stderr]).toEqual([0, expect.stringMatching(/ready/)]);
  await until(() => /[·✓] a /.test(watch.output()), 'the watcher says so');
  await world.git(main, ...WITHOUT_HOOKS, '../b', '-b', 'b');
  await until(() => ready(world).includes('b'), 'b is set up');
  expect(read(main, 'ran.log')).toBe('a\nb\n');
});

test('a hook that has fired and takes its time is waited for', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const gate = path.join(world.root, 'gate');
  const hooks = path.join(world.root, 'hooks');
  // As the launcher says that the hook has fired; then the machine is busy for a while.
  writeFiles(hooks, {
    'post-checkout': `#!/bin/sh
dir=$(git rev-parse --git-dir)
: >"$dir/coppice-hook"
while [ ! -e '${gate}' ]; do sleep 0.01; done
exec '${process.execPath}' '${CLI}' hook
`,
  });
  fs.chmodSync(path.join(hooks, 'post-checkout'), 0o755);
  const watch = await watching(world, main, [], PATIENT);
  const adding = start(world, main, 'git', ['-c', `core.hooksPath=${hooks}`, 'worktree', 'add', '../a', '-b', 'a']);
  await until(() => fs.existsSync(path.join(main, '.git/worktrees/a/coppice-hook')), 'the hook fires');
  await world.git(main, ...WITHOUT_HOOKS, '../b', '-b', 'b');
  await until(() => ready(world).includes('b'), 'b, which is added later, is set up');
  expect(ready(world)).toEqual(['b']);
  fs.writeFileSync(gate, '');
  const added = await adding.ended;
  expect([added.code, added.stderr]).toEqual([0, expect.stringContaining('ready in')]);
  await until(() => /[·✓] a /.test(watch.output()), 'the watcher says so');
});

test('a set-up that fails is said once, with its words, and not tried again', async () => {
  const world = makeWorld();
  const main = await shop(
    world,
    `${CONFIG}steps: { broken: 'echo "$COPPICE_SLUG" >> "$COPPICE_MAIN/ran.log"; echo "no such thing" >&2; exit 3' }\n`,
  );
  const watch = await watching(world, main);
  await world.git(main, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  await until(() => watch.output().includes('could not be set up'), 'the failure is said');
  await world.git(main, ...WITHOUT_HOOKS, '../b', '-b', 'b');
  await until(() => watch.output().split('could not be set up').length === 3, 'the second failure is said');
  await world.git(main, 'worktree', 'remove', '--force', '../b');
  await until(() => watch.output().includes('gone; gave back'), 'b is cleaned up');
  expect(watch.output()).toContain('no such thing');
  expect(read(main, 'ran.log')).toBe('a\nb\n');
});

test('a config that is wrong is said once', async () => {
  const world = makeWorld();
  const main = await shop(world, 'resources: { PORT: oracle }\n');
  const watch = await watching(world, main);
  await world.git(main, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  await until(() => watch.output().includes('worktree.config.yaml:1'), 'the problem is said');
  fs.writeFileSync(path.join(main, '.git/worktrees/touched'), '');
  await world.git(main, ...WITHOUT_HOOKS, '../b', '-b', 'b');
  await until(() => watch.output().split('could not be set up').length > 2, 'that of the other too');
  expect(watch.output().split('could not be set up').length).toBe(3);
});

test('a branch without a config is left alone', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'rm', '-q', 'worktree.config.yaml');
  await world.git(main, 'commit', '-qm', 'without');
  const watch = await watching(world, main);
  await world.git(main, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  await until(() => watch.output().includes('has no worktree.config.yaml'), 'it is said');
  expect(records(world)).toEqual([]);
});

test('fifty worktrees that come and go quickly leave nothing behind, and what stays is set up', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const watch = await watching(world, main);
  for (let number = 0; number < 50; number += 1) {
    await world.git(main, ...WITHOUT_HOOKS, `../w${number}`, '-b', `w${number}`);
    if (number % 10 !== 0) await world.git(main, 'worktree', 'remove', '--force', `../w${number}`);
  }
  const stay = ['w0', 'w10', 'w20', 'w30', 'w40'];
  await until(() => ready(world).join() === stay.join() && records(world).length === stay.length, 'those that stay are set up', 60_000);
  expect(heldPorts(world).length).toBe(5);
  for (const name of stay) await world.git(main, 'worktree', 'remove', `../${name}`);
  await until(() => records(world).length === 0 && heldPorts(world).length === 0, 'nothing is left');
  expect(watch.output()).not.toContain('✗');
});

test('data of a vanished worktree is kept for `keep:`, and destroyed when that is over', async () => {
  const world = makeWorld();
  const stores = path.join(world.root, 'stores');
  fs.mkdirSync(stores);
  world.env.STORES = stores;
  const main = await shop(
    world,
    `keep: 2s
resources:
  PORT: 24700
  STORE: { type: command, create: 'touch "$STORES/$COPPICE_NAME"; echo "$COPPICE_NAME"', destroy: 'rm "$STORES/$COPPICE_NAME"' }
`,
  );
  const watch = await watching(world, main);
  await world.git(main, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  await until(() => ready(world).includes('a'), 'a is set up');
  expect(fs.readdirSync(stores).length).toBe(1);
  await world.git(main, 'worktree', 'remove', '../a');
  await until(() => watch.output().includes('gave back 24710; STORE kept until'), 'its port is given back');
  expect([heldPorts(world), fs.readdirSync(stores).length]).toEqual([[], 1]);
  await until(() => fs.readdirSync(stores).length === 0 && records(world).length === 0, 'its data goes');
});

test('a second watcher of one repository says who is at it and ends with 0; after a kill the next takes over', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const watch = await watching(world, main);
  const second = await world.coppice(main, 'watch');
  expect([second.code, second.stderr]).toEqual([0, `process ${watch.child.pid} watches ${main}/.git already\n`]);
  watch.child.kill('SIGKILL');
  await watch.ended;
  await world.git(main, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  const next = await watching(world, main);
  await until(() => ready(world).includes('a'), 'what was added meanwhile is set up');
  next.child.kill('SIGTERM');
  expect((await next.ended).code).toBe(0);
});

test('Ctrl-C ends the watcher and the set-ups that it started, steps and all', async () => {
  const world = makeWorld();
  const main = await shop(world, `${CONFIG}steps: { long: 'echo $$ > "$COPPICE_MAIN/pid.log"; sleep 600' }\n`);
  const watch = await watching(world, main);
  await world.git(main, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  const file = path.join(main, 'pid.log');
  await until(() => fs.existsSync(file) && read(file) !== '', 'the step runs');
  watch.child.kill('SIGINT');
  expect((await watch.ended).code).toBe(0);
  expect(isAlive(Number(read(file)))).toBe(false);
  expect(records(world)).toMatchObject([{ state: 'failed' }]);
});

test('a repository that vanishes ends its watcher with a sentence, and nothing of it is given back', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '-q', '../a', '-b', 'a');
  const watch = await watching(world, main);
  fs.rmSync(main, { recursive: true });
  const end = await watch.ended;
  expect([end.code, end.stderr]).toEqual([1, expect.stringContaining('is not there any more')]);
  expect(heldPorts(world)).toEqual([24_710]);
});

test('--all watches every known repository, and those that become known', async () => {
  const world = makeWorld();
  const first = await shop(world);
  await world.git(first, 'worktree', 'add', '-q', '../a', '-b', 'a');
  const watch = await watching(world, world.root, ['--all']);
  const second = await shop(world, 'resources: { PORT: 24800 }\n', 'second');
  await world.git(second, 'worktree', 'add', '-q', '../b', '-b', 'b');
  await until(() => watch.output().includes(`watching ${second}/.git`), 'the second is watched');
  fs.rmSync(first, { recursive: true });
  await until(() => watch.output().includes('is not there any more'), 'the first is gone');
  await world.git(second, ...WITHOUT_HOOKS, '../c', '-b', 'c');
  await until(() => ready(world).includes('c'), 'a worktree of the second is set up');
});

test('a repository that was away, or that coppice was taken out of, may be watched again, and the watcher ends well', async () => {
  const world = makeWorld();
  const [main, out] = [await shop(world), await shop(world, CONFIG, 'out')];
  for (const repository of [main, out]) {
    await world.git(repository, 'worktree', 'add', '-q', '../passing', '-b', 'passing');
    expect((await world.coppice(repository, 'remove', 'passing')).code).toBe(0);
  }
  const all = await watching(world, world.root, ['--all']);
  await until(() => (all.output().match(/^watching /gm) ?? []).length === 2, 'both are watched');
  fs.renameSync(main, `${main}-away`);
  await until(() => all.output().includes('is not there any more'), 'the first is gone');
  fs.renameSync(`${main}-away`, main);
  const again = await watching(world, main);
  expect(again.output()).not.toContain('already');
  expect((await world.coppice(out, 'install', '--uninstall')).code).toBe(0);
  all.child.kill('SIGTERM');
  expect([(await all.ended).code, all.output()]).toEqual([0, expect.not.stringContaining('should not')]);
});

test('--once sets up what is not, gives back what is gone, and ends', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '-q', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'remove', '../a');
  await world.git(main, ...WITHOUT_HOOKS, '../b', '-b', 'b');
  const once = await world.coppice(main, 'watch', '--once');
  expect([once.code, once.stderr]).toEqual([0, expect.stringMatching(/gone; gave back 24710[\s\S]*✓ b +ready/)]);
  expect(ready(world)).toEqual(['b']);
  expect(await world.coppice(main, 'watch', '--once')).toMatchObject({ code: 0, stderr: '' });
});

test('--once that is ended ends the set-ups that it began, and says so by its exit code', async () => {
  const world = makeWorld();
  const main = await shop(world, `${CONFIG}steps: { slow: 'echo > begun.log; exec sleep 300' }\n`);
  await world.git(main, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  const once = start(world, main, process.execPath, [CLI, 'watch', '--once']);
  await until(() => fs.existsSync(path.join(world.root, 'a/begun.log')), 'the step');
  once.child.kill('SIGTERM');
  expect((await once.ended).code).toBe(143);
  expect(records(world)[0]?.state).toBe('failed');
});

test('a bare repository: the worktree that plays the main one is never touched', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(world.root, 'clone', '-q', '--bare', main, 'bare.git');
  const bare = path.join(world.root, 'bare.git');
  const watch = await watching(world, bare);
  await world.git(bare, ...WITHOUT_HOOKS, '../trunk', 'main');
  await world.git(bare, ...WITHOUT_HOOKS, '../a', '-b', 'a');
  await until(() => ready(world).includes('a'), 'a is set up');
  expect(ready(world)).toEqual(['a']);
  expect(fs.existsSync(path.join(world.root, 'trunk/.env'))).toBe(false);
  expect(watch.output()).not.toContain('✗');
});

test('when the system allows no more watches, a sentence says which setting', async () => {
  const world = makeWorld();
  const main = await shop(world);
  // Limits of a user namespace of its own.
  for (const [limit, setting] of [
    ['watches', 'fs.inotify.max_user_watches'],
    ['instances', 'fs.inotify.max_user_instances'],
  ]) {
    const script = `echo 0 > /proc/sys/user/max_inotify_${limit} && exec "$@"`;
    const watch = await world.run(main, 'unshare', ['-U', '--map-root-user', 'sh', '-c', script, 'sh', process.execPath, CLI, 'watch']);
    expect([watch.code, watch.stderr]).toEqual([1, expect.stringContaining(`sudo sysctl -w ${setting}=`)]);
  }
});

test('the systemd units of docs/watch.md are right, and what they start works without a shell of ours', async () => {
  const world = makeWorld();
  const main = await shop(world, CONFIG, 'home/src/shop');
  await world.git(main, 'worktree', 'add', '-q', '../first', '-b', 'first');
  const page = read(path.resolve('docs/watch.md'));
  const names = ['coppice-watch.service', 'coppice-shop.path', 'coppice-shop.service'];
  const blocks = [...page.matchAll(/```ini\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  expect(blocks.length).toBe(names.length);
  const units = path.join(world.root, 'units');
  writeFiles(units, Object.fromEntries(names.map((name, index) => [name, blocks[index] ?? ''])));
  fs.mkdirSync(path.join(world.root, 'run'), { mode: 0o700 });
  const verified = await world.run(units, 'systemd-analyze', ['--user', 'verify', ...names.map((name) => `./${name}`)], {
    env: { XDG_RUNTIME_DIR: path.join(world.root, 'run') },
  });
  expect(verified).toMatchObject({ code: 0, stdout: '', stderr: '' });

  const home = path.join(world.root, 'home');
  const command = (unit: string) => /^ExecStart=(.*)$/m.exec(read(units, unit))?.[1]?.replaceAll('%h', home).split(' ') ?? [];
  const bare = ['-i', `HOME=${home}`, 'PATH=/usr/bin:/bin', `COPPICE_STATE_DIR=${world.state}`];
  await world.git(main, ...WITHOUT_HOOKS, '../once', '-b', 'once');
  const once = await world.run(main, 'env', [...bare, ...command('coppice-shop.service')]);
  expect([once.code, ready(world)], once.stderr).toEqual([0, ['first', 'once']]);
  const service = start(world, home, 'env', [...bare, ...command('coppice-watch.service')]);
  onTestFinished(async () => {
    service.child.kill('SIGKILL');
    await service.ended;
  });
  await until(() => service.output().includes('watching '), 'the service watches');
  await world.git(main, ...WITHOUT_HOOKS, '../third', '-b', 'third');
  await until(() => ready(world).includes('third'), 'the service sets it up');
});

test('a worktree that was added without a checkout is looked at again when its files come, however late', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const watch = await watching(world, main);
  await world.git(main, 'worktree', 'add', '-q', '--no-checkout', '../late', '-b', 'late');
  await until(() => /late +has no files yet/.test(watch.output()), 'it is given up for now');
  await world.git(main, ...WITHOUT_HOOKS, '../other', '-b', 'other');
  await until(() => ready(world).includes('other'), 'another');
  await world.git(path.join(world.root, 'late'), 'reset', '-q', '--hard');
  await until(() => ready(world).includes('late'), 'its set-up');
  // `--once` does not wait for files that may never come.
  await world.git(main, 'worktree', 'add', '-q', '--no-checkout', '../never', '-b', 'never');
  watch.child.kill('SIGTERM');
  await watch.ended;
  expect((await world.coppice(main, 'watch', '--once')).code).toBe(0);
});
