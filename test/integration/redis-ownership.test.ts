import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { countPoints, killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { type RedisServer, startRedis } from '../fixtures/servers/redis.ts';
import { CLI, makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

const MARK = 'coppice:worktree';
const CONFIG = 'resources: { REDIS_URL: redis }\n';

function repository(world: World, env: string, { name = 'shop', config = CONFIG } = {}) {
  return world.repository(name, { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': env });
}

async function add(world: World, main: string, name: string): Promise<string> {
  const added = await world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name]);
  expect(added.code, added.stderr).toBe(0);
  return path.join(world.root, name);
}

/** A worktree `x` that has database 1 of a server. */
async function withDatabase1(settings: string[] = []) {
  const world = makeWorld();
  const server = await startRedis(settings);
  const main = await repository(world, `REDIS_URL=${server.url}/0\n`);
  const worktree = await add(world, main, 'x');
  expect(indexOf(world, 'x')).toBe(1);
  return { world, server, main, worktree };
}

function indexOf(world: World, name: string): number {
  return Number(/^REDIS_URL=.*\/(\d+)$/m.exec(read(world.root, name, '.env'))?.[1]);
}

/** The server that was there is gone, and another of the same program and the same settings has its port. */
async function replace(server: RedisServer): Promise<void> {
  await server.stop();
  await server.start();
}

async function collect(world: World, main: string, ...names: string[]) {
  for (const name of names) await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
  return world.coppice(main, 'gc');
}

/** Everything that the tests' worktrees had is given back. */
async function expectNothingLeft(world: World, main: string, ...names: string[]) {
  const collected = await collect(world, main, ...names);
  expect(collected.code, collected.stderr).toBe(0);
  const others = records(world).filter(({ project }) => project !== path.basename(main));
  expect(records(world)).toEqual(others);
  const claims = fs.readdirSync(path.join(world.state, 'claims')).filter((name) => name.startsWith('redis-'));
  expect(claims.sort()).toEqual(others.flatMap((record) => record.claims.filter((name) => name.startsWith('redis-'))).sort());
}

describe('another server at the port, of the same program and settings: keys without our mark', () => {
  test('are left by down and by gc, which say what to do, and go when a person has emptied them', async () => {
    const { world, server, main, worktree } = await withDatabase1();
    await replace(server);
    server.cli(1, ['SET', 'theirs', '1']);
    const flush = `redis-cli -h localhost -p ${server.port} -n 1 flushdb`;
    const down = await world.coppice(worktree, 'down');
    expect(down.code).toBe(1);
    expect(down.stderr).toContain("holds keys without this worktree's mark, and its server may be another one");
    expect(down.stderr).toContain(flush);
    const gc = await collect(world, main, 'x');
    expect(gc.code).toBe(1);
    expect(gc.stderr).toContain(flush);
    expect(server.keys()).toEqual({ 1: 1 });
    expect((await world.coppice(main, 'status')).stdout).toMatch(/x +removed.*REDIS_URL/);
    await world.run(main, 'sh', ['-c', flush]);
    await expectNothingLeft(world, main);
  });

  test('are forgotten, and not emptied, when a person gives up the claim as the sentence says', async () => {
    const { world, server, main } = await withDatabase1();
    await replace(server);
    server.cli(1, ['SET', 'theirs', '1']);
    const gc = await collect(world, main, 'x');
    const command = /`(rm '[^']+')`/.exec(gc.stderr)?.[1] ?? '';
    expect(command).toContain(world.state);
    await world.run(main, 'sh', ['-c', command]);
    await expectNothingLeft(world, main);
    expect(server.keys()).toEqual({ 1: 1 });
  });

  test('make up take another database and say so; the one before stays listed', async () => {
    const { world, server, main, worktree } = await withDatabase1();
    await replace(server);
    server.cli(1, ['SET', 'theirs', '1']);
    const up = await world.coppice(worktree, 'up');
    expect(up.code, up.stderr).toBe(0);
    expect(up.stderr).toContain('database 1 of Redis at localhost:');
    expect(up.stderr).toContain('it is left as it is, and another is used');
    expect(indexOf(world, 'x')).toBe(2);
    expect(server.cli(1, ['KEYS', '*'])).toBe('theirs');
    expect((await world.coppice(main, 'status')).stdout).toContain('REDIS_URL REDIS_URL (earlier)');
    expect((await world.coppice(worktree, 'up')).stderr).not.toContain('is left');
    for (let time = 0; time < 2; time += 1) {
      const down = await world.coppice(worktree, 'down');
      expect(down.code).toBe(1);
      expect(down.stderr).toContain(`Database 1 of Redis at localhost:${server.port} holds keys without`);
      expect((await world.coppice(worktree, 'up')).code).toBe(0);
      expect(indexOf(world, 'x')).toBe(2);
    }
    expect(server.keys()).toEqual({ 1: 1, 2: 1 });
    server.cli(1, ['DEL', 'theirs']);
    await expectNothingLeft(world, main, 'x');
    expect(server.keys()).toEqual({});
  });
});

test('an empty database of another server is marked again, and from then on proven by that server', async () => {
  const { world, server, main, worktree } = await withDatabase1();
  await replace(server);
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(indexOf(world, 'x')).toBe(1);
  expect(server.cli(1, ['GET', MARK])).toBe(records(world)[0]?.id);
  // The app flushes the mark, and goes on.
  server.cli(1, ['FLUSHDB']);
  server.cli(1, ['SET', 'own', '1']);
  await expectNothingLeft(world, main, 'x');
  expect(server.keys()).toEqual({});
});

test('a restart with its data and our mark changes nothing, and the mark may be flushed after it', async () => {
  const { world, server, main, worktree } = await withDatabase1(['appendonly yes']);
  server.cli(1, ['SET', 'own', '1']);
  await replace(server);
  expect(server.cli(1, ['GET', 'own'])).toBe('1');
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  server.cli(1, ['FLUSHDB']);
  server.cli(1, ['SET', 'own', '2']);
  await expectNothingLeft(world, main, 'x');
  expect(server.keys()).toEqual({});
});

test('a flushed mark and then a restart with the data: up leaves the database, and nobody forgets it', async () => {
  const { world, server, main, worktree } = await withDatabase1(['appendonly yes']);
  server.cli(1, ['FLUSHDB']);
  server.cli(1, ['SET', 'own', '1']);
  await replace(server);
  const up = await world.coppice(worktree, 'up');
  expect(up.stderr).toContain('it is left as it is, and another is used');
  expect(indexOf(world, 'x')).toBe(2);
  expect((await world.coppice(worktree, 'down')).code).toBe(1);
  expect((await collect(world, main, 'x')).code).toBe(1);
  expect((await world.coppice(main, 'status')).stdout).toContain('REDIS_URL (earlier)');
  expect((await world.coppice(main, 'gc', '--dry-run')).stderr).toContain('database 1 of Redis at');
  expect(server.keys()).toEqual({ 1: 1 });
  server.cli(1, ['FLUSHDB']);
  await expectNothingLeft(world, main);
});

describe('a server at another address now', () => {
  test('is never emptied for the one that was there, which keeps its place in the ledger', async () => {
    const { world, server, main, worktree } = await withDatabase1();
    const other = await startRedis();
    for (const index of [1, 2]) other.cli(index, ['SET', 'theirs', '1']);
    writeFiles(main, { '.env': `REDIS_URL=${other.url}/0\n` });
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect(read(worktree, '.env')).toBe(`REDIS_URL=${other.url}/3\n`);
    server.cli(1, ['FLUSHDB']);
    await replace(server);
    server.cli(1, ['SET', 'unknown', '1']);
    const kept = await collect(world, main, 'x');
    expect(kept.code).toBe(1);
    expect(kept.stderr).toContain(`Database 1 of Redis at localhost:${server.port} holds keys without`);
    expect([server.keys(), other.keys()]).toEqual([{ 1: 1 }, { 1: 1, 2: 1 }]);
    expect((await world.coppice(main, 'status')).stdout).toContain('REDIS_URL (earlier)');
    server.cli(1, ['FLUSHDB']);
    await expectNothingLeft(world, main);
  });

  test('without an up in between: down empties the one that was there, by its mark', async () => {
    const { world, server, main, worktree } = await withDatabase1();
    const other = await startRedis();
    other.cli(1, ['SET', 'theirs', '1']);
    writeFiles(main, { '.env': `REDIS_URL=${other.url}/0\n` });
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    expect([server.keys(), other.keys()]).toEqual([{}, { 1: 1 }]);
    await expectNothingLeft(world, main, 'x');
  });
});

describe('what a main worktree uses, empty at this moment, is no worktree’s:', () => {
  test.for(['REDIS_CACHE_DB', 'QUEUE_REDIS_DB', 'REDIS_DB', 'CACHE_DB', 'SPRING_DATA_REDIS_DATABASE', 'REDIS_DB_INDEX', 'REDIS_DB_CACHE'])(
    'the number in %s',
    async (variable) => {
      const world = makeWorld();
      const server = await startRedis();
      const main = await repository(world, `REDIS_URL=${server.url}/0\n${variable}=1\nDB_POOL=2\n`);
      await add(world, main, 'x');
      expect(indexOf(world, 'x')).toBe(2);
    },
  );

  test('a number that it names later: up moves on, and gc leaves all but the mark', async () => {
    const { world, server, main, worktree } = await withDatabase1();
    writeFiles(main, { '.env': `REDIS_URL=${server.url}/0\nREDIS_CACHE_DB=1\n` });
    server.cli(1, ['SET', 'theirs', '1']);
    const up = await world.coppice(worktree, 'up');
    expect(up.stderr).toContain("is named by a main worktree's env files now; it is left as it is");
    expect(indexOf(world, 'x')).toBe(2);
    await expectNothingLeft(world, main, 'x');
    expect(server.cli(1, ['KEYS', '*'])).toBe('theirs');
    expect(server.keys()).toEqual({ 1: 1 });
  });

  test.for([
    ['a database', CONFIG, 2],
    ['a server', 'resources: { REDIS_URL: { type: redis, isolate: server } }\n', 2],
  ] as const)('that of another repository whose worktrees get %s of their own, as long as it names it', async ([, config, expected]) => {
    const world = makeWorld();
    const server = await startRedis();
    const other = await repository(world, `REDIS_URL=${server.url}/1\n`, { name: 'other', config });
    const its = await add(world, other, 'its');
    const main = await repository(world, `REDIS_URL=${server.url}/0\n`);
    const worktree = await add(world, main, 'x');
    server.cli(1, ['LPUSH', 'queue', 'job']);
    expect(indexOf(world, 'x')).toBeGreaterThanOrEqual(expected);
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    expect(server.cli(1, ['LLEN', 'queue'])).toBe('1');
    server.cli(1, ['DEL', 'queue']);
    writeFiles(other, { '.env': `REDIS_URL=${server.url}/0\n` });
    expect((await world.coppice(its, 'up')).code).toBe(0);
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect(indexOf(world, 'x')).toBe(1);
    await expectNothingLeft(world, other, 'its');
    await expectNothingLeft(world, main, 'x');
  });

  test('that of a repository which is set up later: it hears who has it, and up there moves on', async () => {
    const { world, server, main, worktree } = await withDatabase1();
    const other = await repository(world, `REDIS_URL=${server.url}/1\n`, { name: 'other' });
    const added = await world.run(other, 'git', ['worktree', 'add', '../its', '-b', 'its']);
    expect(added.stderr).toContain(
      `name database 1 of Redis at localhost:${server.port}, and ${worktree} has it: \`git coppice up\` there`,
    );
    server.cli(1, ['LPUSH', 'queue', 'job']);
    expect((await world.coppice(worktree, 'up')).stderr).toContain("is named by a main worktree's env files now");
    expect(indexOf(world, 'x')).toBe(3);
    await expectNothingLeft(world, main, 'x');
    expect(server.cli(1, ['KEYS', '*'])).toBe('queue');
    await expectNothingLeft(world, other, 'its');
  });

  test('until its repository is forgotten', async () => {
    const world = makeWorld();
    const server = await startRedis();
    const other = await repository(world, `REDIS_URL=${server.url}/1\n`, { name: 'other' });
    await add(world, other, 'its');
    await expectNothingLeft(world, other, 'its');
    fs.rmSync(other, { recursive: true });
    const main = await repository(world, `REDIS_URL=${server.url}/0\n`);
    await add(world, main, 'x');
    expect(indexOf(world, 'x')).toBe(2);
    await expectNothingLeft(world, main, 'x');
    expect((await world.coppice(main, 'gc', '--forget', path.join(other, '.git'))).code).toBe(0);
    await add(world, main, 'y');
    expect(indexOf(world, 'y')).toBe(1);
  });
});

test('a server that says the arguments of AUTH back does not get the password printed', async () => {
  const world = makeWorld();
  const server = await startRedis(['rename-command AUTH ""']);
  const main = await repository(world, `REDIS_URL=redis://:s3cret@localhost:${server.port}/0\n`);
  const failed = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain(`Redis at localhost:${server.port} does not take AUTH`);
  expect(failed.stdout + failed.stderr).not.toContain('s3cret');
});

/** How many writes to the journal an `up` makes that leaves a database; the first test says when it is not so any more. */
const WRITES = 11;
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

async function unproven() {
  const made = await withDatabase1();
  await replace(made.server);
  made.server.cli(1, ['SET', 'theirs', '1']);
  return made;
}

test('the points at which the test below kills an up are all there are', async () => {
  const { world, worktree } = await unproven();
  expect(await countPoints(world, (env) => world.run(worktree, process.execPath, [CLI, 'up'], { env }))).toBe(WRITES);
});

test.for(numbers(WRITES))(
  'an up that leaves a database, killed after journal entry %i: it is known, and nobody empties it',
  async (point) => {
    const { world, server, main, worktree } = await unproven();
    const env = killedAfter(point);
    expect((await world.run(worktree, process.execPath, [CLI, 'up'], { env })).signal).toBe('SIGKILL');
    const again = await world.coppice(worktree, 'up');
    expect(again.code, again.stderr).toBe(0);
    expect(indexOf(world, 'x')).toBe(2);
    const kept = await collect(world, main, 'x');
    expect(kept.code).toBe(1);
    expect(kept.stderr).toContain(`Database 1 of Redis at localhost:${server.port} holds keys`);
    expect(server.keys()).toEqual({ 1: 1 });
    server.cli(1, ['DEL', 'theirs']);
    await expectNothingLeft(world, main);
  },
);

test('a down that is killed after any message to the server: what others write into the emptied database stays', async () => {
  const { world, server, main, worktree } = await withDatabase1();
  let seen = 0;
  for (let point = 1; ; point += 1) {
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    server.cli(1, ['FLUSHDB']);
    server.cli(1, ['SET', 'own', '1']);
    const env = killedAfter(point, '^send ');
    const killed = await world.run(worktree, process.execPath, [CLI, 'down'], { env });
    const isEmpty = server.keys()[1] === undefined;
    if (isEmpty) server.cli(1, ['SET', 'theirs', '1']);
    seen += isEmpty ? 1 : 0;
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    expect(server.keys(), `killed at ${point}`).toEqual(isEmpty ? { 1: 1 } : {});
    server.cli(1, ['FLUSHDB']);
    if (killed.signal !== 'SIGKILL') break;
  }
  // Once for the run that nobody killed, and at least once for one that was killed when all was done.
  expect(seen).toBeGreaterThan(1);
  await expectNothingLeft(world, main, 'x');
});
