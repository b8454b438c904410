import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CONFIG } from '../fixtures/fault-shop.ts';
import { countPoints, killedAfter } from '../fixtures/faults.ts';
import { heldClaims, journalLines, records } from '../fixtures/ledger.ts';
import { CLI, isAlive, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

async function shop(world: World): Promise<string> {
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n*.log\n' },
    { '.env': 'PORT=24000\nDATABASE_URL=file:./dev.db\n', 'certs/key.pem': 'key\n' },
  );
  execFileSync('sqlite3', [path.join(main, 'dev.db'), 'create table t(a); insert into t values (42)']);
  return main;
}

/** How many writes to the journal an `up` makes that makes the database again; a test says when it is not so any more. */
const AGAIN_WRITES = 17;

test('what a killed set-up was writing does not keep git from removing the worktree', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources: { PORT: 24000 }\n', '.gitignore': '.env\n' },
    { '.env': 'PORT=24000\n' },
  );
  const worktree = path.join(world.root, 'a');
  writeFiles(world.root, {
    'kill.cjs':
      "const fs = require('node:fs'); const rename = fs.renameSync; fs.renameSync = (from, to) => { if (/\\.env$/.test(to)) process.kill(process.pid, 'SIGKILL'); rename(from, to); };",
  });
  const env = { NODE_OPTIONS: `--require ${path.join(world.root, 'kill.cjs')}` };
  expect((await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a'], { env })).code).not.toBe(0);
  expect(fs.readdirSync(worktree).filter((name) => name.endsWith('.tmp'))).toHaveLength(1);
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  const removed = await world.coppice(main, 'remove', 'a');
  expect(removed.code, removed.stderr).toBe(0);
  expect(records(world)).toEqual([]);
});

async function expectReady(world: World, worktree: string): Promise<void> {
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(read(worktree, '.env')).toContain('PORT=24010\n');
  expect(read(worktree, 'note.md')).toBe('24010');
  expect(execFileSync('sqlite3', [path.join(worktree, 'dev.db'), 'select a from t'], { encoding: 'utf8' })).toBe('42\n');
  expect(fs.existsSync(path.join(worktree, 'once.log')) && fs.existsSync(path.join(worktree, 'slow.log'))).toBe(true);
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  expect(fs.readdirSync(worktree).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  expect(records(world)).toMatchObject([{ state: 'ready', slot: 1, ports: { PORT: 24_010, VITE_PORT: 24_015 } }]);
}

async function expectNothingLeft(world: World, main: string, worktree: string): Promise<void> {
  await world.git(main, 'worktree', 'remove', '--force', worktree);
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(records(world)).toEqual([]);
  expect([...heldClaims(world)]).toEqual([]);
}

// Every other verb: faults-killed.test.ts.
describe('an up that makes a lost database again, killed after a journal entry', () => {
  test('the entries at which it is killed are all there are', async () => {
    const world = makeWorld();
    const main = await shop(world);
    const worktree = path.join(world.root, 'x');
    await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
    fs.rmSync(path.join(worktree, 'dev.db'));
    expect(await countPoints(world, (env) => world.run(worktree, process.execPath, [CLI, 'up'], { env }))).toBe(AGAIN_WRITES);
  });

  test.for(Array.from({ length: AGAIN_WRITES }, (_, index) => index + 1))(
    'entry %i: up makes it ready, and gc leaves nothing',
    async (point) => {
      const world = makeWorld();
      const main = await shop(world);
      const worktree = path.join(world.root, 'x');
      await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
      fs.rmSync(path.join(worktree, 'dev.db'));
      const killed = await world.run(worktree, process.execPath, [CLI, 'up'], {
        env: killedAfter(point),
      });
      expect(killed.signal).toBe('SIGKILL');
      await expectReady(world, worktree);
      expect(read(worktree, 'slow.log')).toMatch(/^(slow\n){2,}$/);
      await expectNothingLeft(world, main, worktree);
    },
  );
});

const HANGING = `resources: { PORT: 24000 }
steps:
  hang: echo $$ >> pids.log; sleep 1000 & echo $! >> pids.log; sh -c 'echo $$ >> pids.log; exec sleep 1000'
  after: touch after.log
`;

async function hangingShop(world: World) {
  const main = await world.repository('shop', { 'worktree.config.yaml': HANGING, '.gitignore': '.env\n*.log\n' });
  const worktree = path.join(world.root, 'x');
  const pids = () => (fs.existsSync(path.join(worktree, 'pids.log')) ? read(worktree, 'pids.log').trim().split('\n').map(Number) : []);
  onTestFinished(() => {
    for (const pid of pids()) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  return { main, worktree, pids };
}

test('what a killed set-up left running is ended before its step runs again', async () => {
  const world = makeWorld();
  const { main, worktree, pids } = await hangingShop(world);
  const add = start(world, main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  await until(() => pids().length === 3, 'the step');
  const before = pids();
  const runner = Number(
    /"pid":(\d+)/.exec(
      read(world.state, 'repos', records(world)[0]?.repository ?? '', 'worktrees', records(world)[0]?.id ?? '', 'owner'),
    )?.[1],
  );
  process.kill(runner, 'SIGKILL');
  await add.ended;
  expect(before.every(isAlive)).toBe(true);
  writeFiles(worktree, { 'worktree.config.yaml': 'resources: { PORT: 24000 }\nsteps:\n  hang: touch done.log\n' });
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(before.filter(isAlive)).toEqual([]);
});

describe('Ctrl-C', () => {
  test('typed on a terminal, with its spinner, ends everything that was started and says so', async () => {
    const world = makeWorld();
    const { main, worktree, pids } = await hangingShop(world);
    // `script` runs it on a terminal of its own, and passes on what is typed.
    const terminal = start(
      world,
      main,
      'script',
      ['-qec', 'trap : INT; git worktree add ../x -b x; while ! test -f ../seen; do sleep 0.02; done', '/dev/null'],
      { TERM: 'xterm' },
    );
    await until(() => pids().length === 3, 'the step');
    terminal.child.stdin?.write('\u0003');
    await until(() => pids().filter(isAlive).length === 0, 'the end of all that was started');
    await until(() => terminal.output().includes('interrupted; `git coppice up x`'), 'the word');
    writeFiles(world.root, { seen: '' });
    await terminal.ended;
    expect(records(world)).toMatchObject([{ state: 'failed' }]);
    writeFiles(worktree, { 'worktree.config.yaml': HANGING.replace(/hang: .*/, 'hang: touch done.log') });
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
  });

  // A terminal sends it to the whole foreground group: git, the hook, the launcher, the runner.
  test.for([1, 2, 3, 5, 8, 11])('at journal line %i ends everything that was started, and up goes on', async (line) => {
    const world = makeWorld();
    const { main, worktree, pids } = await hangingShop(world);
    const child = start(world, main, 'setsid', ['git', 'worktree', 'add', '../x', '-b', 'x']);
    await until(() => journalLines(world) >= line, 'the journal');
    if (line >= 11) await until(() => pids().length === 3, 'the step');
    process.kill(-(child.child.pid ?? 0), 'SIGINT');
    const result = await child.ended;
    expect(result.code === 0 && result.signal === null).toBe(false);
    const { repository, id } = records(world)[0] ?? { repository: '', id: '' };
    const owner = path.join(world.state, 'repos', repository, 'worktrees', id, 'owner');
    await until(() => read(owner).includes('"released":true'), 'the record given back');
    expect(pids().filter(isAlive)).toEqual([]);
    writeFiles(worktree, { 'worktree.config.yaml': HANGING.replace(/hang: .*/, 'hang: touch done.log') });
    const again = await world.coppice(worktree, 'up');
    expect(again.code, again.stderr).toBe(0);
    expect(fs.existsSync(path.join(worktree, 'after.log'))).toBe(true);
  });
});
