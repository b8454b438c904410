import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { countPoints, killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { freePort } from '../fixtures/servers/free-port.ts';
import { type RedisServer, startRedis } from '../fixtures/servers/redis.ts';
import { CLI, makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

const MARK = 'coppice:worktree';

function shop(world: World, url: string, { name = 'shop', config = 'resources: { REDIS_URL: redis }\n', env = '' } = {}) {
  return world.repository(name, { 'worktree.config.yaml': config, '.gitignore': '.env\n*.log\n' }, { '.env': `REDIS_URL=${url}\n${env}` });
}

function add(world: World, main: string, name: string) {
  return world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name]);
}

/** The database that a worktree's env file names. */
function indexOf(world: World, name: string): number {
  return Number(/^REDIS_URL=.*\/(\d+)(?:[?#].*)?$/m.exec(read(world.root, name, '.env'))?.[1]);
}

async function removeAndCollect(world: World, main: string, ...names: string[]) {
  for (const name of names) await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
  return world.coppice(main, 'gc');
}

function claims(world: World): string[] {
  return fs.readdirSync(path.join(world.state, 'claims')).filter((name) => !name.startsWith('base-'));
}

/** Everything in a database, to compare. */
function content(server: RedisServer, index: number): string[] {
  const keys = server.cli(index, ['KEYS', '*']).split('\n').sort();
  return keys.map((key) => `${key}=${server.cli(index, ['DUMP', key])}`);
}

function fillMain(server: RedisServer): string[] {
  server.cli(0, ['MSET', ...Array.from({ length: 20 }, (_, index) => [`key${index}`, `value${index}`]).flat()]);
  server.cli(0, ['LPUSH', 'queue', 'a', 'b']);
  return content(server, 0);
}

test('fifteen worktrees of two repositories added at once get fifteen databases, and the sixteenth hears of `isolate: server`', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const before = fillMain(server);
  const mains = [await shop(world, `${server.url}/0`), await shop(world, server.url, { name: 'blog' })];
  const names = Array.from({ length: 15 }, (_, index) => `w${index}`);
  const of = (index: number) => mains[index % 2] ?? '';
  // Two of one repository are not added by git at the same instant: its own lock would refuse the second.
  const added = await Promise.all(
    [0, 1].map(async (which) => {
      const own = names.filter((_, index) => index % 2 === which);
      const results = [];
      for (const name of own) results.push(await add(world, of(which), name));
      return results;
    }),
  );
  expect(added.flat().filter(({ code }) => code !== 0)).toEqual([]);
  expect(names.map((name) => indexOf(world, name)).sort((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, index) => index + 1));
  const last = await add(world, of(0), 'last');
  expect(last.code).toBe(1);
  expect(last.stderr).toContain('Every database of Redis at');
  expect(last.stderr).toContain('say `isolate: server`');
  for (const name of names) server.cli(indexOf(world, name), ['SET', 'own', name]);
  await world.git(of(0), 'worktree', 'remove', '--force', '../last');
  expect((await removeAndCollect(world, of(0), ...names.filter((_, index) => index % 2 === 0))).code).toBe(0);
  expect((await removeAndCollect(world, of(1), ...names.filter((_, index) => index % 2 === 1))).code).toBe(0);
  expect(server.keys()).toEqual({ 0: 21 });
  expect(content(server, 0)).toEqual(before);
  expect(claims(world)).toEqual([]);
  expect(records(world)).toEqual([]);
});

test('up processes at the same instant share no database', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const main = await shop(world, `${server.url}/0`);
  const names = Array.from({ length: 15 }, (_, index) => `w${index}`);
  for (const name of names) await world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name], { env: { COPPICE: '0' } });
  const results = await Promise.all(names.map((name) => world.coppice(path.join(world.root, name), 'up')));
  expect(results.filter(({ code }) => code !== 0).map(({ stderr }) => stderr)).toEqual([]);
  expect(new Set(names.map((name) => indexOf(world, name))).size).toBe(15);
});

test('databases with keys, those with a mark, and those that the main worktree names elsewhere are passed over and never touched', async () => {
  const world = makeWorld();
  const server = await startRedis();
  server.cli(1, ['SET', 'theirs', '1']);
  server.cli(2, ['SET', MARK, 'another']);
  server.cli(5, ['LPUSH', MARK, 'no text']);
  const before = [1, 2, 5].map((index) => content(server, index));
  const main = await shop(world, `${server.url}/3`, { env: `CACHE_URL=${server.url}?db=4\n` });
  expect((await add(world, main, 'x')).code).toBe(0);
  expect(indexOf(world, 'x')).toBe(6);
  expect((await removeAndCollect(world, main, 'x')).code).toBe(0);
  expect([1, 2, 5].map((index) => content(server, index))).toEqual(before);
  expect(server.keys()).toEqual({ 1: 1, 2: 1, 5: 1 });
});

test('other values that name the same database follow, and those of other databases stay', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const env = `SIDEKIQ_URL=${server.url}\nCABLE_URL="${server.url}/0?prefix=x"\nOTHER_URL=${server.url}/9\n`;
  const main = await shop(world, `redis://localhost:${server.port}/0?timeout=3`, { env });
  const added = await add(world, main, 'x');
  expect(read(world.root, 'x', '.env')).toBe(
    `REDIS_URL=${server.url}/1?timeout=3\nSIDEKIQ_URL=${server.url}/1\nCABLE_URL="${server.url}/1?prefix=x"\nOTHER_URL=${server.url}/9\n`,
  );
  expect(added.stderr).toContain('still shared: OTHER_URL');
  expect(added.stderr).not.toContain('still shared: SIDEKIQ_URL');
});

test('two variables of one worktree get two databases', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const config = 'resources: { REDIS_URL: redis, QUEUE_URL: redis }\n';
  const main = await shop(world, `${server.url}/0`, { config, env: `QUEUE_URL=${server.url}/1\n` });
  expect((await add(world, main, 'x')).code).toBe(0);
  const queue = Number(/^QUEUE_URL=.*\/(\d+)$/m.exec(read(world.root, 'x', '.env'))?.[1]);
  expect([indexOf(world, 'x'), queue].sort()).toEqual([2, 3]);
  expect((await world.coppice(path.join(world.root, 'x'), 'down')).code).toBe(0);
  expect(server.keys()).toEqual({});
  expect(claims(world).filter((name) => name.startsWith('redis-'))).toEqual([]);
});

test('an app that reads parts gets the index', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const config = 'resources: { CACHE: { type: redis, vars: { host: REDIS_HOST, port: REDIS_PORT, database: REDIS_DB } } }\n';
  const main = await shop(world, 'unused', { config, env: `REDIS_HOST=127.0.0.1\nREDIS_PORT=${server.port}\n` });
  expect((await add(world, main, 'x')).code).toBe(0);
  expect(read(world.root, 'x', '.env')).toContain(`REDIS_PORT=${server.port}\n`);
  expect(read(world.root, 'x', '.env')).toMatch(/^REDIS_DB=1$/m);
});

describe('what is not proven to be ours is never emptied:', () => {
  test('another’s mark vetoes, whatever the ledger says, also when the app has flushed ours away', async () => {
    const world = makeWorld();
    const server = await startRedis();
    const main = await shop(world, server.url);
    expect((await add(world, main, 'x')).code).toBe(0);
    server.cli(1, ['FLUSHDB']);
    server.cli(1, ['MSET', MARK, 'another', 'theirs', '1']);
    const before = content(server, 1);
    const kept = await removeAndCollect(world, main, 'x');
    expect(kept.code).toBe(1);
    expect(kept.stderr).toContain("bears another worktree's mark now, so it is not emptied");
    expect(content(server, 1)).toEqual(before);
    expect((await world.coppice(main, 'status')).stdout).toContain('x');
    server.cli(1, ['FLUSHDB']);
    expect((await world.coppice(main, 'gc')).code).toBe(0);
    expect(records(world)).toEqual([]);
  });

  test('a database that is the main worktree’s by now loses our mark alone', async () => {
    const world = makeWorld();
    const server = await startRedis();
    const main = await shop(world, server.url);
    expect((await add(world, main, 'x')).code).toBe(0);
    writeFiles(main, { '.env': `REDIS_URL=${server.url}/1\n` });
    server.cli(1, ['SET', 'theirs', '1']);
    expect((await removeAndCollect(world, main, 'x')).code).toBe(0);
    expect(server.cli(1, ['KEYS', '*'])).toBe('theirs');
  });

  test('one that was written down and marked loses the mark alone while nobody was sent there; unmarked it is left as it is', async () => {
    const world = makeWorld();
    const server = await startRedis();
    const main = await shop(world, server.url);
    for (const marked of [false, true]) {
      const record = await killedAfterIntent(world, main);
      expect(server.keys()).toEqual({});
      server.cli(1, ['MSET', 'theirs', '1', ...(marked ? [MARK, record.id] : [])]);
      const collected = await removeAndCollect(world, main, 'x');
      expect(collected.code, collected.stderr).toBe(0);
      expect(content(server, 1)).toHaveLength(1);
      expect(server.cli(1, ['GET', 'theirs'])).toBe('1');
      expect(claims(world)).toEqual([]);
      server.cli(1, ['DEL', 'theirs']);
    }
  });

  test('up after a kill goes on with the database that is marked, and with another where somebody came in', async () => {
    const world = makeWorld();
    const server = await startRedis();
    const main = await shop(world, server.url);
    const record = await killedAfterIntent(world, main);
    server.cli(1, ['SET', MARK, record.id]);
    expect((await world.coppice(path.join(world.root, 'x'), 'up')).code).toBe(0);
    expect(indexOf(world, 'x')).toBe(1);
    await removeAndCollect(world, main, 'x');
    await killedAfterIntent(world, main);
    server.cli(1, ['SET', 'theirs', '1']);
    expect((await world.coppice(path.join(world.root, 'x'), 'up')).code).toBe(0);
    expect(indexOf(world, 'x')).toBe(2);
    expect((await removeAndCollect(world, main, 'x')).code).toBe(0);
    expect(server.keys()).toEqual({ 1: 1 });
    expect(claims(world)).toEqual([]);
  });
});

/** A worktree `x` whose set-up was killed when it had written down which database it takes, and before it marked it. */
async function killedAfterIntent(world: World, main: string) {
  for (let point = 1; ; point += 1) {
    await world.run(main, 'git', ['worktree', 'add', '--detach', '../x'], {
      env: killedAfter(point),
    });
    const [record] = records(world);
    if (record?.resources.REDIS_URL?.made.index === '1') return record;
    await removeAndCollect(world, main, 'x');
  }
}

test('an app that flushes its database loses nothing: up marks it again and repeats no step, and gc empties it', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const main = await shop(world, server.url, { config: 'resources: { REDIS_URL: redis }\nsteps: { seed: echo x >> seed.log }\n' });
  expect((await add(world, main, 'x')).code).toBe(0);
  server.cli(1, ['FLUSHDB']);
  server.cli(1, ['SET', 'own', '1']);
  expect((await world.coppice(path.join(world.root, 'x'), 'up')).code).toBe(0);
  expect(read(world.root, 'x', 'seed.log')).toBe('x\n');
  expect(server.cli(1, ['GET', MARK])).toBe(records(world)[0]?.id);
  server.cli(1, ['FLUSHALL']);
  server.cli(1, ['SET', 'own', '2']);
  expect((await removeAndCollect(world, main, 'x')).code).toBe(0);
  expect(server.keys()).toEqual({});
  expect(claims(world)).toEqual([]);
});

test('down empties it, up makes one again, and a step that fills it runs again', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const config = 'resources: { REDIS_URL: redis }\nsteps: { seed: redis-cli -u $REDIS_URL set seeded 1 >> seed.log }\n';
  const main = await shop(world, server.url, { config });
  expect((await add(world, main, 'x')).code).toBe(0);
  const worktree = path.join(world.root, 'x');
  expect(server.keys()).toEqual({ 1: 2 });
  for (let time = 0; time < 2; time += 1) expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(server.keys()).toEqual({});
  for (let time = 0; time < 2; time += 1) expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(server.keys()).toEqual({ 1: 2 });
});

describe('one sentence says', () => {
  test('that the server is down, at set-up and at cleanup, and both go on when it is up', async () => {
    const world = makeWorld();
    const server = await startRedis(['appendonly yes']);
    const main = await shop(world, server.url);
    await server.stop();
    const failed = await add(world, main, 'x');
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain(`Redis at localhost:${server.port} cannot be reached (ECONNREFUSED): start it`);
    await server.start();
    expect((await world.coppice(path.join(world.root, 'x'), 'up')).code).toBe(0);
    await server.stop();
    const kept = await removeAndCollect(world, main, 'x');
    expect(kept.code).toBe(1);
    expect(kept.stderr).toContain('cannot be reached');
    expect(records(world)).toHaveLength(1);
    await server.start();
    server.cli(1, ['SET', 'own', '1']);
    expect((await world.coppice(main, 'gc')).code).toBe(0);
    expect(records(world)).toEqual([]);
  });

  test.for([
    ['a password that is wrong', 'redis://:nope@localhost:PORT', 'refuses the user or password'],
    ['a password that is missing', 'redis://localhost:PORT', 'asks for a password'],
    ['a user who may not empty a database', 'redis://weak:weak@localhost:PORT', 'does not allow its user what is needed'],
    ['a user who may not select one', 'redis://stuck:stuck@localhost:PORT', 'does not allow its user what is needed'],
  ] as const)('%s', async ([, url, sentence]) => {
    const world = makeWorld();
    const server = await startRedis(
      ['requirepass s3cret', 'user weak on >weak ~* +@all -flushdb', 'user stuck on >stuck ~* +@all -select'],
      ['-a', 's3cret', '--no-auth-warning'],
    );
    const main = await shop(world, url.replace('PORT', String(server.port)));
    const failed = await add(world, main, 'x');
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain(sentence);
    expect(failed.stderr).not.toMatch(/s3cret|nope|weak:weak|at .*\.cjs/);
    expect(server.keys()).toEqual({});
    expect((await removeAndCollect(world, main, 'x')).code).toBe(0);
    expect(claims(world)).toEqual([]);
  });

  test.for([
    ['a cluster', ['cluster-enabled yes'], 'is a cluster, which has only database 0'],
    ['a server with one database', ['databases 1'], 'has no database but 0'],
  ] as const)('%s', async ([, settings, sentence]) => {
    const world = makeWorld();
    const server = await startRedis([...settings]);
    const main = await shop(world, server.url);
    const failed = await add(world, main, 'x');
    expect(failed.stderr).toContain(sentence);
    expect(failed.stderr).toContain('say `isolate: server`');
  });
});

test.for([
  ['a password', 'redis://:s3cret@localhost:PORT/0'],
  ['an ACL user who may ask nothing of the server itself', 'redis://app:s3cret@localhost:PORT'],
] as const)('%s is used, and stands in no file but the env files', async ([, url]) => {
  const world = makeWorld();
  const settings = ['databases 3', 'requirepass s3cret', 'user app on >s3cret ~* +@all -config -info'];
  const server = await startRedis(settings, ['-a', 's3cret', '--no-auth-warning']);
  const main = await shop(world, url.replace('PORT', String(server.port)));
  for (const name of ['x', 'y']) {
    const added = await add(world, main, name);
    expect(added.code, added.stderr).toBe(0);
    expect(added.stderr).not.toContain('s3cret');
  }
  expect(read(world.root, 'x', '.env')).toContain(':s3cret@localhost:');
  expect((await add(world, main, 'z')).stderr).toContain('Every database');
  for (const [name, text] of files(world.state)) expect(text, name).not.toContain('s3cret');
  for (const name of ['x', 'y']) server.cli(indexOf(world, name), ['SET', 'own', '1']);
  const collected = await removeAndCollect(world, main, 'x', 'y', 'z');
  expect(collected.code, collected.stderr).toBe(0);
  expect(server.keys()).toEqual({});
});

function files(folder: string): [string, string][] {
  return fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    const file = path.join(folder, name);
    return fs.statSync(file).isFile() ? [[name, read(file)] as [string, string]] : [];
  });
}

test('a socket and TLS work as a port does', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const main = await shop(world, `unix://${server.socket}?db=0`);
  expect((await add(world, main, 'x')).code).toBe(0);
  expect(read(world.root, 'x', '.env')).toBe(`REDIS_URL=unix://${server.socket}?db=1\n`);
  expect((await removeAndCollect(world, main, 'x')).code).toBe(0);
  const certificate = path.join(world.root, 'tls');
  const made = await world.run(world.root, 'openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost'],
    ...['-keyout', `${certificate}.key`, '-out', `${certificate}.crt`],
  ]);
  expect(made.code, made.stderr).toBe(0);
  for (const end of ['key', 'crt']) fs.chmodSync(`${certificate}.${end}`, 0o644);
  fs.chmodSync(world.root, 0o755);
  const tlsPort = await freePort();
  const settings = [`tls-port ${tlsPort}`, `tls-cert-file ${certificate}.crt`, `tls-key-file ${certificate}.key`, 'tls-auth-clients no'];
  const secure = await startRedis([...settings, `tls-ca-cert-file ${certificate}.crt`]);
  writeFiles(main, { '.env': `REDIS_URL=rediss://localhost:${tlsPort}/0\n` });
  const added = await add(world, main, 'y');
  expect(added.code, added.stderr).toBe(0);
  expect(secure.keys()).toEqual({ 1: 1 });
  expect((await removeAndCollect(world, main, 'y')).code).toBe(0);
  expect(secure.keys()).toEqual({});
});

test('the name of a branch is only ever a name', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const before = fillMain(server);
  const main = await shop(world, server.url);
  await world.git(main, 'worktree', 'add', '../x', '-b', "';FLUSHALL;--\u202e$(touch$IFS/tmp/x)");
  expect(indexOf(world, 'x')).toBe(1);
  expect((await removeAndCollect(world, main, 'x')).code).toBe(0);
  expect(content(server, 0)).toEqual(before);
});

/** How many writes to the journal a set-up, a `down` and a `gc` of this config make; the first test says when it is not so any more. */
const WRITES = { up: 12, down: 3, gc: 4 };

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

test('the points at which the tests below kill a run are all there are', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const main = await shop(world, server.url);
  const worktree = path.join(world.root, 'x');
  const up = await countPoints(world, (env) => world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], { env }));
  const down = await countPoints(world, (env) => world.run(worktree, process.execPath, [CLI, 'down'], { env }));
  await world.coppice(worktree, 'up');
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  const gc = await countPoints(world, (env) => world.run(main, process.execPath, [CLI, 'gc'], { env }));
  expect({ up, down, gc }).toEqual(WRITES);
});

describe('killed after a journal entry', () => {
  test.for(numbers(WRITES.up))('a set-up, entry %i: up and gc converge', async (point) => {
    const world = makeWorld();
    const server = await startRedis();
    const before = fillMain(server);
    const main = await shop(world, server.url);
    const env = killedAfter(point);
    for (const name of ['x', 'y'])
      expect((await world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name], { env })).code).not.toBe(0);
    const again = await world.coppice(path.join(world.root, 'x'), 'up');
    expect(again.code, again.stderr).toBe(0);
    server.cli(indexOf(world, 'x'), ['SET', 'own', '1']);
    const collected = await removeAndCollect(world, main, 'x', 'y');
    expect(collected.code, collected.stderr).toBe(0);
    expect(server.keys()).toEqual({ 0: 21 });
    expect(content(server, 0)).toEqual(before);
    expect(claims(world)).toEqual([]);
  });

  test.for(numbers(WRITES.down))('a down, entry %i: its database can be another’s, which a second down leaves alone', async (point) => {
    const world = makeWorld();
    const server = await startRedis();
    const main = await shop(world, server.url);
    expect((await add(world, main, 'x')).code).toBe(0);
    const worktree = path.join(world.root, 'x');
    const killed = await world.run(worktree, process.execPath, [CLI, 'down'], {
      env: killedAfter(point),
    });
    expect(killed.signal).toBe('SIGKILL');
    expect((await add(world, main, 'y')).code).toBe(0);
    const other = indexOf(world, 'y');
    // The app of the other has flushed the mark away: only the claim says whose it is.
    server.cli(other, ['FLUSHDB']);
    server.cli(other, ['SET', 'theirs', '1']);
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    expect(server.keys()).toEqual({ [other]: 1 });
    expect((await removeAndCollect(world, main, 'x', 'y')).code).toBe(0);
    expect(server.keys()).toEqual({});
  });

  test.for(numbers(WRITES.gc))('a gc, entry %i: gc again leaves nothing', async (point) => {
    const world = makeWorld();
    const server = await startRedis();
    const main = await shop(world, server.url);
    expect((await add(world, main, 'x')).code).toBe(0);
    await world.git(main, 'worktree', 'remove', '--force', '../x');
    await world.run(main, process.execPath, [CLI, 'gc'], { env: killedAfter(point) });
    expect((await world.coppice(main, 'gc')).code).toBe(0);
    expect(server.keys()).toEqual({});
    expect(claims(world)).toEqual([]);
    expect(records(world)).toEqual([]);
  });
});

test('200 databases of others on one server, marked and unmarked, keep every key', async () => {
  const world = makeWorld();
  const server = await startRedis(['databases 256']);
  for (let index = 0; index <= 200; index += 1)
    server.cli(
      index,
      index % 2 === 0
        ? ['SET', 'key', 'theirs']
        : ['SET', 'coppice:worktree', `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`],
    );
  const before = server.keys();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources: { REDIS_URL: redis }\n', '.gitignore': '.env\n' },
    { '.env': `REDIS_URL=${server.url}/0\n` },
  );
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  expect(added.code, added.stderr).toBe(0);
  expect(read(world.root, 'a/.env')).toBe(`REDIS_URL=${server.url}/201\n`);
  server.cli(201, ['SET', 'ours', 'x']);
  await world.git(main, 'worktree', 'remove', '../a');
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(server.keys()).toEqual(before);
});
