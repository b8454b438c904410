import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { CLI, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

async function add(world: World, config: string, more: Record<string, string> = {}) {
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n*.log\n', ...more });
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  return { main, added, worktree: path.join(world.root, 'a') };
}

test('a failing step: exit 1, the worktree stays, the end of its log and how to go on; what does not need it was done', async () => {
  const world = makeWorld();
  const { added, worktree, main } = await add(
    world,
    `resources: { PORT: 24900 }
steps:
  good: echo ran >> good.log
  bad: seq 1 50; echo "the reason"; test -f mended.log
  after: echo ran >> after.log
  apart: { run: echo ran >> apart.log, needs: [PORT] }
`,
  );
  expect(added.code).toBe(1);
  expect(added.stderr).toMatch(/✗ bad .*exit code 1/);
  expect(added.stderr).toContain('    the reason\n');
  expect(added.stderr).not.toContain('    10\n');
  expect(added.stderr).toContain('git coppice up');
  expect(['good.log', 'apart.log', 'after.log'].map((name) => fs.existsSync(path.join(worktree, name)))).toEqual([true, true, false]);
  const [status] = JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees;
  expect(status).toMatchObject({
    state: 'failed',
    steps: [
      { name: 'good', state: 'ok' },
      { name: 'bad', state: 'failed' },
      { name: 'after', state: 'waiting' },
      { name: 'apart', state: 'ok' },
    ],
  });

  writeFiles(worktree, { 'mended.log': '' });
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  expect([read(worktree, 'good.log'), read(worktree, 'apart.log'), read(worktree, 'after.log')]).toEqual(['ran\n', 'ran\n', 'ran\n']);
});

test('independent steps overlap, a step without needs waits for the one above', async () => {
  const world = makeWorld();
  // Each of the two waits for what the other writes: only overlapping can they end.
  const wait = (own: string, other: string) => `touch ${own}.log; while ! test -f ${other}.log; do sleep 0.01; done`;
  const { added } = await add(
    world,
    `steps:\n  one: { run: "${wait('one', 'two')}", needs: [] }\n  two: { run: "${wait('two', 'one')}", needs: [] }\n  three: test -f two.log\n`,
  );
  expect(added.code, added.stderr).toBe(0);
});

test('timeout, retries, when, env, variables, cwd', async () => {
  const world = makeWorld();
  const { added, worktree } = await add(
    world,
    `resources: { PORT: 24900 }
steps:
  retried: { run: echo x >> tries.log; test "$(wc -l < tries.log)" = 3, retries: 2 }
  absent: { run: touch absent.log, when: { exists: seeds } }
  present: { run: touch present.log, when: { exists: [sub, sub/file] } }
  environment:
    run: echo "$PORT $MORE \${GONE-unset}" > env.log
    env: { MORE: 1, GONE: null }
  without:
    run: echo "\${PORT-unset} $COPPICE_SLOT" > without.log
    variables: false
  inside: { run: pwd > pwd.log, cwd: sub }
  slow: { run: sleep 1000, timeout: 50ms }
`,
    { 'sub/file': '' },
  );
  expect(added.code).toBe(1);
  expect(added.stderr).toMatch(/✗ slow .*took longer than 0\.1s/);
  expect(read(worktree, 'tries.log')).toBe('x\nx\nx\n');
  expect(fs.existsSync(path.join(worktree, 'absent.log'))).toBe(false);
  expect(fs.existsSync(path.join(worktree, 'present.log'))).toBe(true);
  expect(read(worktree, 'env.log')).toBe('24910 1 unset\n');
  expect(read(worktree, 'without.log')).toBe('unset 1\n');
  expect(read(worktree, 'sub/pwd.log')).toBe(`${worktree}/sub\n`);
});

test('a step runs again when its command or its inputs changed, with --force, and with --step; else it is skipped', async () => {
  const world = makeWorld();
  const config = 'steps:\n  install: { run: echo i >> runs.log, inputs: [lock.json] }\n  other: echo o >> runs.log\n';
  const { worktree } = await add(world, config, { 'lock.json': '1' });
  const runs = async (...args: string[]) => {
    fs.writeFileSync(path.join(worktree, 'runs.log'), '');
    const up = await world.coppice(worktree, 'up', ...args);
    expect(up.code, up.stderr).toBe(0);
    return read(worktree, 'runs.log');
  };
  expect(await runs()).toBe('');
  writeFiles(worktree, { 'lock.json': '2' });
  expect(await runs()).toBe('i\n');
  expect(await runs('--force')).toBe('i\no\n');
  expect(await runs('--step', 'other')).toBe('o\n');
  writeFiles(worktree, { 'worktree.config.yaml': config.replace('echo o', 'echo new') });
  expect(await runs()).toBe('new\n');
  const unknown = await world.coppice(worktree, 'up', '--step', 'nope');
  expect([unknown.code, unknown.stderr]).toEqual([2, 'There is no step `nope`. Steps: install, other.\n']);
});

test('two ups at once: steps run once, both return when it is ready, with one exit code', async () => {
  const world = makeWorld();
  for (const [index, end] of ['true', 'false'].entries()) {
    const main = await world.repository(`shop${index}`, {
      'worktree.config.yaml': `steps:\n  one: echo ran >> runs.log; while ! test -f go.log; do sleep 0.01; done; ${end}\n`,
      '.gitignore': '*.log\n',
    });
    const worktree = path.join(world.root, `w${index}`);
    await world.run(main, 'git', ['worktree', 'add', worktree, '-b', 'w'], { env: { COPPICE: '0' } });
    const first = start(world, worktree, process.execPath, [CLI, 'up']);
    await until(() => fs.existsSync(path.join(worktree, 'runs.log')), 'the step');
    const second = start(world, worktree, process.execPath, [CLI, 'up']);
    await until(() => second.output().includes('waiting for the `up`'), 'the second to wait');
    writeFiles(worktree, { 'go.log': '' });
    const codes = (await Promise.all([first.ended, second.ended])).map(({ code }) => code);
    expect(codes).toEqual(index === 0 ? [0, 0] : [1, 1]);
    expect(read(worktree, 'runs.log')).toBe('ran\n');
  }
});

test('background: git worktree add returns once files and ports are there, also for a caller that captures output', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    {
      'worktree.config.yaml': 'background: true\nresources: { PORT: 24900 }\nsteps:\n  slow: while ! test -f go.log; do sleep 0.01; done\n',
      '.gitignore': '.env\n*.log\n',
    },
    { '.env': 'PORT=24900\n' },
  );
  const worktree = path.join(world.root, 'a');
  const added = await world.run(main, 'sh', ['-c', 'out=$(git worktree add ../a -b a 2>&1); echo "$? $out"']);
  expect(added.stdout).toMatch(/^0 /);
  expect(added.stdout).toContain('goes on in the background');
  expect(read(worktree, '.env')).toBe('PORT=24910\n');
  expect(JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees).toMatchObject([{ state: 'running' }]);
  const up = start(world, worktree, process.execPath, [CLI, 'up']);
  await until(() => up.output().includes('waiting'), 'up to wait');
  writeFiles(worktree, { 'go.log': '' });
  expect((await up.ended).code).toBe(0);
  expect(records(world)).toMatchObject([{ state: 'ready' }]);
});

test('a background step runs after the worktree is ready, and up does not wait for it', async () => {
  const world = makeWorld();
  const { added, worktree } = await add(
    world,
    'steps:\n  quick: touch quick.log\n  slow: { run: while ! test -f go.log; do sleep 0.01; done; touch slow.log, background: true }\n',
  );
  expect([added.code, added.stderr]).toEqual([0, expect.stringContaining('ready in')]);
  await until(() => records(world)[0]?.steps.slow?.state === 'running', 'the background step');
  const up = await world.coppice(worktree, 'up');
  expect([up.code, fs.existsSync(path.join(worktree, 'slow.log'))]).toEqual([0, false]);
  writeFiles(worktree, { 'go.log': '' });
  await until(() => records(world)[0]?.steps.slow?.state === 'ok', 'its end');
  expect(fs.existsSync(path.join(worktree, 'slow.log'))).toBe(true);
});

test('teardown runs in the worktree with its variables, before resources go; remove refuses what git refuses', async () => {
  const world = makeWorld();
  const { main, worktree } = await add(
    world,
    `resources: { PORT: 24900, DB: { type: sqlite, from: dev.db, data: empty } }\nfiles: { .env: env }\nsteps: { db: touch dev.db }\nteardown:\n  stop: test -f dev.db && echo "$PORT $COPPICE_SLUG" > ${world.root}/teardown.log\n`,
    { '.gitignore': '.env\n*.db\n' },
  );
  writeFiles(worktree, { 'work.txt': 'not committed' });
  const refused = await world.coppice(main, 'remove', 'a');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('work.txt')]);
  expect(fs.existsSync(path.join(world.root, 'teardown.log'))).toBe(false);
  fs.rmSync(path.join(worktree, 'work.txt'));
  const removed = await world.coppice(main, 'remove', 'a');
  expect(removed.code, removed.stderr).toBe(0);
  expect(read(world.root, 'teardown.log')).toBe('24910 a\n');
  expect([fs.existsSync(worktree), records(world)]).toEqual([false, []]);
});

test('a background step that fails is said by status and doctor, and blamed for nothing else', async () => {
  const world = makeWorld();
  const { worktree } = await add(world, 'steps:\n  late: { run: exit 3, background: true }\n  next: { run: test -e good.log }\n');
  fs.writeFileSync(path.join(worktree, 'good.log'), '');
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  await until(() => records(world)[0]?.steps.late?.state === 'failed', 'its end');
  const said = 'the step late failed: `git coppice logs late`';
  expect((await world.coppice(worktree, 'status')).stdout).toContain(said);
  const doctor = await world.coppice(worktree, 'doctor');
  expect([doctor.code, doctor.stdout]).toEqual([1, expect.stringContaining(said)]);
  // It is not why another step fails later.
  fs.rmSync(path.join(worktree, 'good.log'));
  const again = await world.coppice(worktree, 'up', '--force');
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('set-up failed at `next`')]);
});
