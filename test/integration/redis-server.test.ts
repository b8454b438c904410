import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { countPoints, killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { answers, startRedis } from '../fixtures/servers/redis.ts';
import { CLI, isAlive, makeWorld, read, until, type World, writeFiles } from '../fixtures/world.ts';

const CONFIG = 'resources: { REDIS_URL: { type: redis, isolate: server } }\n';
// Nothing has to run there: the worktrees' servers are their own.
const MAIN_URL = 'redis://localhost:6379/0';

async function shop(world: World, { config = CONFIG, url = MAIN_URL, env = '', name = 'shop' } = {}) {
  onTestFinished(() => {
    for (const { pid } of processes(world)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  const ignored = { '.env': `REDIS_URL=${url}\n${env}` };
  return world.repository(name, { 'worktree.config.yaml': config, '.gitignore': '.env\n*.log\n' }, ignored);
}

function add(world: World, main: string, name: string, env: NodeJS.ProcessEnv = {}) {
  return world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name], { env });
}

/** The processes that the ledger of a world has written down. */
function processes(world: World): { pid: number; port: number }[] {
  return fs
    .readdirSync(world.state, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('/process'))
    .map((name) => JSON.parse(read(world.state, name)));
}

function portOf(world: World, name: string): number {
  return Number(/^REDIS_URL=redis:\/\/(?:[^@\n]*@)?localhost:(\d+)/m.exec(read(world.root, name, '.env'))?.[1]);
}

function cli(port: number, ...words: string[]): string {
  return execFileSync('redis-cli', ['-h', '127.0.0.1', '-p', String(port), ...words], { encoding: 'utf8' }).trimEnd();
}

async function expectNothingLeft(world: World, main: string, ...names: string[]) {
  const had = processes(world);
  for (const name of names) await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
  const collected = await world.coppice(main, 'gc');
  expect(collected.code, collected.stderr).toBe(0);
  expect(had.filter(({ pid }) => isAlive(pid))).toEqual([]);
  expect(fs.readdirSync(path.join(world.state, 'claims'))).toEqual([]);
  expect(records(world)).toEqual([]);
  expect(processes(world)).toEqual([]);
}

test('a server of its own outlives the hook, keeps its data when it is killed, repeats no step, and goes with the worktree', async () => {
  const world = makeWorld();
  const main = await shop(world, { config: `${CONFIG}steps: { seed: echo x >> seed.log }\n`, env: 'CACHE_URL=redis://127.0.0.1:6379/2\n' });
  const added = await add(world, main, 'x');
  expect(added.code, added.stderr).toBe(0);
  const worktree = path.join(world.root, 'x');
  const port = portOf(world, 'x');
  expect(port).not.toBe(6379);
  expect(read(worktree, '.env')).toContain(`CACHE_URL=redis://127.0.0.1:${port}/2\n`);
  expect(records(world)[0]?.claims).toContain(`port-${port}`);
  expect(cli(port, 'SET', 'own', '1')).toBe('OK');
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  const [before] = processes(world);
  process.kill(before?.pid ?? 0, 'SIGKILL');
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(again.stderr).toContain('its redis-server did not run; it was started again, with its data');
  // The same port, unless somebody took it in between.
  const next = portOf(world, 'x');
  if (next !== port) expect(await answers(port)).toBe(true);
  expect(cli(next, 'GET', 'own')).toBe('1');
  expect(read(worktree, 'seed.log')).toBe('x\n');
  expect(processes(world)[0]?.pid).not.toBe(before?.pid);
  await expectNothingLeft(world, main, 'x');
});

test('two at once get two servers, also of two repositories, on ports that nobody has', async () => {
  const world = makeWorld();
  const mains = [await shop(world), await shop(world, { name: 'blog' })];
  const added = await Promise.all(mains.map((main, index) => add(world, main, `w${index}`)));
  expect(added.map(({ code }) => code)).toEqual([0, 0]);
  const ports = [portOf(world, 'w0'), portOf(world, 'w1')];
  expect(new Set(ports).size).toBe(2);
  for (const [index, port] of ports.entries()) cli(port, 'SET', 'whose', String(index));
  expect(ports.map((port) => cli(port, 'GET', 'whose'))).toEqual(['0', '1']);
  const both = processes(world);
  await world.git(mains[1] ?? '', 'worktree', 'remove', '--force', '../w1');
  await world.coppice(mains[1] ?? '', 'gc');
  expect(both.filter(({ pid }) => isAlive(pid)).map(({ port }) => port)).toEqual([ports[0]]);
  expect(await answers(ports[0] ?? 0)).toBe(true);
  await expectNothingLeft(world, mains[0] ?? '', 'w0');
});

test('a port that a process took meanwhile is left to it, and the data moves to another', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await add(world, main, 'x');
  const port = portOf(world, 'x');
  cli(port, 'SET', 'own', '1');
  process.kill(processes(world)[0]?.pid ?? 0, 'SIGKILL');
  await until(async () => !(await answers(port)), 'the end of the server');
  const foreign = net.createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
  await once(foreign, 'listening');
  onTestFinished(() => void foreign.close());
  const again = await world.coppice(path.join(world.root, 'x'), 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(portOf(world, 'x')).not.toBe(port);
  expect(cli(portOf(world, 'x'), 'GET', 'own')).toBe('1');
  await expectNothingLeft(world, main, 'x');
  expect(await answers(port)).toBe(true);
});

test('down ends it and removes its data, up starts an empty one', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await add(world, main, 'x');
  const worktree = path.join(world.root, 'x');
  const [before] = processes(world);
  cli(before?.port ?? 0, 'SET', 'own', '1');
  for (let time = 0; time < 2; time += 1) expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(isAlive(before?.pid ?? 0)).toBe(false);
  expect(fs.readdirSync(path.join(world.state, 'claims')).filter((name) => name.startsWith('port-'))).toEqual([]);
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(cli(portOf(world, 'x'), 'DBSIZE')).toBe('0');
  await expectNothingLeft(world, main, 'x');
});

test('what `isolate` meant before goes with the worktree too, and so does what a config that names it otherwise left', async () => {
  const world = makeWorld();
  const shared = await startRedis();
  const index = 'resources: { REDIS_URL: redis }\n';
  const main = await shop(world, { config: index, url: shared.url });
  await add(world, main, 'x');
  const worktree = path.join(world.root, 'x');
  const configs = [
    CONFIG,
    index,
    `${index}envFiles: [.env]\n`,
    `resources: { REDIS_URL: { type: redis, from: "${shared.url}" } }\n`,
    CONFIG,
  ];
  for (const config of configs) {
    writeFiles(worktree, { 'worktree.config.yaml': config });
    const up = await world.coppice(worktree, 'up');
    expect(up.code, up.stderr).toBe(0);
    const url = /^REDIS_URL=(.*)$/m.exec(read(worktree, '.env'))?.[1] ?? '';
    execFileSync('redis-cli', ['-u', url, 'SET', 'own', '1']);
  }
  await expectNothingLeft(world, main, 'x');
  expect(shared.keys()).toEqual({});
});

test.for([
  ['', 'redis://:s3cret%20%22word%22@localhost:6379/3', 's3cret "word"'],
  ['app', 'redis://app:s3cret@localhost:6379/20', 's3cret'],
] as const)(
  'user "%s" and password of the main worktree’s server open it, and stand in no argument and no ledger',
  async ([user, url, password]) => {
    const world = makeWorld();
    const main = await shop(world, { url });
    const added = await add(world, main, 'x');
    expect(added.code, added.stderr).toBe(0);
    const port = portOf(world, 'x');
    expect(read(world.root, 'x', '.env')).toBe(`REDIS_URL=${url.replace('6379', String(port))}\n`);
    const env = { ...process.env, REDISCLI_AUTH: password };
    const login = user === '' ? [] : ['--user', user];
    const words = ['-p', String(port), ...login, '-n', /\d+$/.exec(url)?.[0] ?? '', 'SET', 'own', '1'];
    expect(execFileSync('redis-cli', words, { env, encoding: 'utf8' })).toBe('OK\n');
    expect(cli(port, 'PING')).toContain('NOAUTH');
    const { pid } = processes(world)[0] ?? { pid: 0 };
    expect(read('/proc', String(pid), 'cmdline') + added.stderr + JSON.stringify(records(world))).not.toContain('s3cret');
    const config = execFileSync('find', [world.state, '-name', 'redis.conf'], { encoding: 'utf8' }).trim();
    expect(fs.statSync(config).mode & 0o777).toBe(0o600);
    // Another password in the main worktree: the server takes it over, with its data.
    writeFiles(main, { '.env': `REDIS_URL=${url.replace('s3cret', 'an0ther')}\n` });
    const again = await world.coppice(path.join(world.root, 'x'), 'up');
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain("the main worktree's user or password is another than its redis-server was started with");
    const get = ['-p', String(port), ...login, '-n', /\d+$/.exec(url)?.[0] ?? '', 'GET', 'own'];
    expect(
      execFileSync('redis-cli', get, { env: { ...env, REDISCLI_AUTH: password.replace('s3cret', 'an0ther') }, encoding: 'utf8' }),
    ).toBe('1\n');
    await expectNothingLeft(world, main, 'x');
  },
);

test('a process that has the pid of one that we started, and is another, is left alone', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await add(world, main, 'x');
  const [before] = processes(world);
  process.kill(before?.pid ?? 0, 'SIGKILL');
  const decoy = await startRedis();
  const pid = Number(/process_id:(\d+)/.exec(decoy.cli(0, ['INFO', 'server']))?.[1]);
  const file = execFileSync('find', [world.state, '-name', 'process'], { encoding: 'utf8' }).trim();
  fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(read(file)), pid }));
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(decoy.cli(0, ['PING'])).toBe('PONG');
  expect(records(world)).toEqual([]);
});

test('without a redis-server it says which package has it', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const folder = path.join(world.root, 'bin');
  fs.mkdirSync(folder);
  // The programs of this machine but for Redis's: /usr/bin itself is looked at too, so it is looked at from a namespace without them.
  const hide = ['redis-server', 'valkey-server'].map((name) => `test ! -e /usr/bin/${name} || mount --bind /dev/null /usr/bin/${name}`);
  const script = `${hide.join('; ')}; exec git worktree add ../x -b x`;
  const failed = await world.run(main, 'unshare', ['--mount', '--map-root-user', 'sh', '-c', script]);
  expect(failed.stderr).toContain('install the package `redis-server` (Debian, Ubuntu)');
});

/** How many writes to the journal a set-up and a `gc` make; the first test says when it is not so any more. */
const WRITES = { up: 12, gc: 4 };
/** Where the ports of such servers begin (src/resources/redis/server.ts). */
const FIRST_PORT = 27_100;
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

test('the points at which the tests below kill a run are all there are', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const written = await countPoints(world, (env) => add(world, main, 'x', env));
  // A port on which somebody listens already is claimed and given back.
  const up = written - 2 * (portOf(world, 'x') - FIRST_PORT);
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  expect({ up, gc: await countPoints(world, (env) => world.run(main, process.execPath, [CLI, 'gc'], { env })) }).toEqual(WRITES);
});

describe('killed after a journal entry', () => {
  test.for(numbers(WRITES.up))('a set-up, entry %i: up and gc converge', async (point) => {
    const world = makeWorld();
    const main = await shop(world);
    for (const name of ['x', 'y']) expect((await add(world, main, name, killedAfter(point))).code).not.toBe(0);
    const again = await world.coppice(path.join(world.root, 'x'), 'up');
    expect(again.code, again.stderr).toBe(0);
    expect(cli(portOf(world, 'x'), 'SET', 'own', '1')).toBe('OK');
    await expectNothingLeft(world, main, 'x', 'y');
  });

  test.for(numbers(WRITES.gc))('a gc, entry %i: gc again leaves nothing', async (point) => {
    const world = makeWorld();
    const main = await shop(world);
    await add(world, main, 'x');
    const [before] = processes(world);
    await world.git(main, 'worktree', 'remove', '--force', '../x');
    await world.run(main, process.execPath, [CLI, 'gc'], { env: killedAfter(point) });
    await expectNothingLeft(world, main);
    expect(isAlive(before?.pid ?? 0)).toBe(false);
  });
});
