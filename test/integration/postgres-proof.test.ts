import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { startProxy } from '../fixtures/servers/proxy.ts';
import { CLI, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const server = await startPostgres();
await server.stop();
/** Another one, with data of its own, for the same port. */
const rebuilt = await startPostgres({ port: server.port });
await rebuilt.stop();
await server.start();

const before = await server.databases();
const kept: string[] = [];

/** What is at the server beside the tests' own; of one source, or all. */
async function added(of = ''): Promise<string[]> {
  return (await server.databases()).filter((name) => !before.includes(name) && !kept.includes(name) && name.includes(of));
}

// The server is asked, not the ledger.
afterAll(async () => expect(await added()).toEqual([]));

/** A person's database, with its own name in it. */
async function mine(name: string, at = server): Promise<string> {
  kept.push(name);
  await at.sql('postgres', `create database "${name}"`);
  await at.sql(name, `create table who as select '${name}'::text as source`);
  return name;
}

async function shop(world: World, env: string, config: string): Promise<string> {
  return world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': env });
}

async function add(world: World, main: string, branch: string) {
  const result = await world.run(main, 'git', ['worktree', 'add', `../${branch}`, '-b', branch]);
  return { ...result, worktree: path.join(world.root, branch) };
}

async function up(world: World, worktree: string, config?: string): Promise<string> {
  if (config !== undefined) writeFiles(worktree, { 'worktree.config.yaml': config });
  const { code, stderr } = await world.coppice(worktree, 'up');
  expect(code, stderr).toBe(0);
  return stderr;
}

async function down(world: World, worktree: string): Promise<string> {
  const { code, stderr } = await world.coppice(worktree, 'down');
  expect(code, stderr).toBe(0);
  return stderr;
}

/** What a worktree's app finds behind a variable: the source of its database. */
async function sourceOf(worktree: string, variable: string): Promise<string> {
  const [, name = ''] = new RegExp(`^${variable}=\\S*/(\\S+)$`, 'm').exec(read(worktree, '.env')) ?? [];
  const [row] = await server.sql<{ source: string }>(name, 'select source from who');
  return row?.source ?? '';
}

async function markOf(name: string): Promise<string> {
  const [row] = await server.sql<{ mark: string }>(
    'postgres',
    "select shobj_description(oid, 'pg_database') as mark from pg_database where datname = $1",
    [name],
  );
  return row?.mark ?? '';
}

test('another `from:` or `name:`, or names that are swapped, give another database; the earlier one stays listed and goes with the next down', async () => {
  const world = makeWorld();
  const [one, two] = [await mine('one'), await mine('two')];
  const resource = (name: string, from: string) => `${name}: { type: postgres, from: "{{main.env.${from}}}", name: "app_{{slug_}}" }`;
  const main = await shop(world, `A_URL=${server.url(one)}\nB_URL=${server.url(two)}\n`, `resources: { ${resource('A_URL', 'A_URL')} }\n`);
  const { worktree, code, stderr } = await add(world, main, 'a');
  expect(code, stderr).toBe(0);
  await up(world, worktree, `resources: { ${resource('A_URL', 'B_URL')} }\n`);
  expect(await sourceOf(worktree, 'A_URL')).toBe('two');
  expect(await added('app_a')).toEqual(['app_a', expect.stringMatching(/^app_a_[0-9a-f]{8}$/)]);
  await down(world, worktree);
  expect(await added('app_a')).toEqual([]);

  const named = (a: string, b: string) =>
    `resources: { A_URL: { type: postgres, name: "${a}_{{slug_}}" }, B_URL: { type: postgres, name: "${b}_{{slug_}}" } }\n`;
  await up(world, worktree, named('x', 'y'));
  await up(world, worktree, named('y', 'x'));
  expect([await sourceOf(worktree, 'A_URL'), await sourceOf(worktree, 'B_URL')]).toEqual(['one', 'two']);
  await up(world, worktree, named('other', 'x'));
  expect(read(worktree, '.env')).toContain('/other_a\n');
  await down(world, worktree);
  expect((await added()).filter((name) => /^(x|y|other)_a/.test(name))).toEqual([]);
});

test('two resources that would have one database: the second is refused in a sentence, at once and when it is added later', async () => {
  const world = makeWorld();
  const [one, two] = [await mine('both_one'), await mine('both_two')];
  const both = 'resources: { A_URL: { type: postgres, name: "both_{{slug_}}" }, B_URL: { type: postgres, name: "both_{{slug_}}" } }\n';
  const main = await shop(world, `A_URL=${server.url(one)}\nB_URL=${server.url(two)}\n`, both);
  const { worktree, code, stderr } = await add(world, main, 'a');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/B_URL would have the database both_a at localhost:\d+, as A_URL\. Give one/)]);
  await up(world, worktree, 'resources: { A_URL: { type: postgres, name: "both_{{slug_}}" } }\n');
  expect(await sourceOf(worktree, 'A_URL')).toBe('both_one');
  writeFiles(worktree, { 'worktree.config.yaml': both });
  const later = await world.coppice(worktree, 'up');
  expect([later.code, later.stderr]).toEqual([1, expect.stringContaining('Give one of them another `name:`')]);
  expect(await added('both_a')).toEqual(['both_a']);
  await down(world, worktree);
});

test('a variable that is called otherwise takes its database along, and with it what was there before it', async () => {
  const world = makeWorld();
  const main = await shop(
    world,
    `DATABASE_URL=${server.url(await mine('renamed'))}\n`,
    'resources: { DATABASE_URL: { type: postgres, owns: ["{database}_*"] } }\n',
  );
  await mine('renamed__a_backup');
  const { worktree } = await add(world, main, 'a');
  await server.sql('postgres', 'create database renamed__a_test');
  await up(world, worktree, 'resources: { DB_URL: { type: postgres, from: "{{main.env.DATABASE_URL}}", owns: ["{database}_*"] } }\n');
  expect(read(worktree, '.env')).toContain('/renamed__a\n');
  const known = records(world).flatMap(({ resources }) => resources.DB_URL?.made.earlier ?? []);
  expect(known).toEqual(['["renamed__a_backup"]']);
  expect(await down(world, worktree)).not.toContain('DATABASE_URL');
  expect(await added('renamed__')).toEqual([]);
  expect(await server.databases()).toContain('renamed__a_backup');
});

test('beside the kept copy nothing of a person is dropped, and one that was made in the future is made again', async () => {
  const world = makeWorld();
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('busy'))}\n`, 'resources: { DATABASE_URL: postgres }\n');
  const app = new pg.Client(server.url('busy'));
  await app.connect();
  onTestFinished(() => app.end());
  await add(world, main, 'a');
  const template = (await added('busy__coppice_'))[0] ?? '';
  await down(world, path.join(world.root, 'a'));
  await mine(`${template}_new`);
  await up(world, path.join(world.root, 'a'));
  expect(await server.sql(`${template}_new`, 'select source from who')).toHaveLength(1);

  const mark = await markOf(template);
  await server.sql('postgres', `comment on database "${template}" is '${mark.replace(/made \d{4}/, 'made 2999')}'`);
  await app.query("insert into who values ('later')");
  const { worktree } = await add(world, main, 'b');
  expect(await server.sql('busy__b', "select 1 from who where source = 'later'")).toHaveLength(1);
  await down(world, worktree);
  await down(world, path.join(world.root, 'a'));
  expect(await added('busy__')).toEqual([]);
});

test('who waits for another that makes the kept copy says so, and Ctrl-C ends it', async () => {
  const world = makeWorld();
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('waiting'))}\n`, 'resources: { DATABASE_URL: postgres }\n');
  const app = new pg.Client(server.url('waiting'));
  await app.connect();
  onTestFinished(() => app.end());
  const first = await add(world, main, 'a');
  const template = (await added('waiting__coppice_'))[0] ?? '';
  // As another process that makes it, and was suspended.
  const maker = new pg.Client(server.url('postgres'));
  await maker.connect();
  onTestFinished(() => maker.end());
  await maker.query('select pg_advisory_lock(hashtextextended($1, 0))', [`coppice ${template}`]);
  await world.run(main, 'git', ['worktree', 'add', '../b', '-b', 'b'], { env: { COPPICE: '0' } });
  const waiting = start(world, path.join(world.root, 'b'), process.execPath, [CLI, 'up']);
  await until(() => waiting.output().includes('another process copies waiting for all worktrees'), 'the line');
  waiting.child.kill('SIGINT');
  const { code, stderr } = await waiting.ended;
  expect([code, stderr]).toEqual([130, expect.stringMatching(/✗ DATABASE_URL +interrupted/)]);
  await maker.query('select pg_advisory_unlock_all()');
  await up(world, path.join(world.root, 'b'));
  await down(world, path.join(world.root, 'b'));
  await down(world, first.worktree);
});

test('`admin:` of another server is refused before anything is made; the same server by another address is the same', async () => {
  const world = makeWorld();
  await mine('administered');
  await server.sql('postgres', "create role plain login password 'p@ss-canary'");
  await server.sql('administered', 'alter database administered owner to plain; alter table who owner to plain');
  const proxy = await startProxy(server.port);
  const other = await startPostgres();
  const at = (port: number) => `ADMIN_URL=${server.url('postgres').replace(String(server.port), String(port))}\n`;
  const app = `DATABASE_URL=${server.url('administered', 'plain')}\n`;
  const main = await shop(
    world,
    app + at(other.port),
    'resources: { DATABASE_URL: { type: postgres, admin: "{{main.env.ADMIN_URL}}" } }\n',
  );
  const { worktree, code, stderr } = await add(world, main, 'a');
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining(`names the server localhost:${other.port}, and its database is on localhost:${server.port}`),
  ]);
  const doctor = await world.coppice(main, 'doctor');
  expect(doctor.stdout + doctor.stderr).toContain(`names the server localhost:${other.port}`);
  expect(await other.databases()).toEqual(['postgres', 'template0', 'template1']);
  expect(await down(world, worktree)).not.toContain('destroyed');

  fs.writeFileSync(path.join(main, '.env'), app + at(proxy.port));
  await up(world, worktree);
  expect(await sourceOf(worktree, 'DATABASE_URL')).toBe('administered');
  expect(await down(world, worktree)).toContain('database administered__a destroyed');
  expect(await added('administered__')).toEqual([]);
  fs.writeFileSync(path.join(main, '.env'), app + at(server.port).replace('p%40ss', 'wrong'));
  const refused = await world.coppice(worktree, 'up');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('come from `admin:` of DATABASE_URL in the config')]);
  await server.sql('postgres', 'drop database administered');
  await server.sql('postgres', 'drop role plain');
});

test('a server that moved to another port has our database still: up goes on with it, down drops it', async () => {
  const world = makeWorld();
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('port'))}\n`, 'resources: { DATABASE_URL: postgres }\n');
  const { worktree } = await add(world, main, 'a');
  await server.sql('port__a', 'create table rows_of_mine (a int)');
  const proxy = await startProxy(server.port);
  const moved = server.url('port').replace(String(server.port), String(proxy.port));
  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${moved}\n`);
  await up(world, worktree);
  expect(read(worktree, '.env')).toContain(`:${proxy.port}/port__a`);
  expect(await server.sql('port__a', 'select * from rows_of_mine')).toEqual([]);
  const lines = await down(world, worktree);
  expect(lines.match(/destroyed/g)).toHaveLength(1);
  expect(await added('port__')).toEqual([]);

  // The same without an up in between.
  await up(world, worktree);
  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('port')}\n`);
  await world.git(main, 'worktree', 'remove', '--force', worktree);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(await added('port__')).toEqual([]);
});

test('another server at the port: nothing of it is used or dropped, one is made there, and the earlier one stays listed', async () => {
  const world = makeWorld();
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('gone'))}\n`, 'resources: { DATABASE_URL: postgres }\n');
  const { worktree } = await add(world, main, 'a');
  const mark = await markOf('gone__a');
  await server.stop();
  await rebuilt.start();
  await mine('gone', rebuilt);
  // It was not asked to make any, and a down has nothing to drop there.
  const refused = await world.coppice(worktree, 'down');
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/Another server answers at localhost:\d+ now.*`git coppice gc --forget 'database gone__a'`/),
  ]);

  // A dump of the first one, restored: used, and said at up already that it is not dropped.
  await rebuilt.sql('postgres', 'create database gone__a');
  await rebuilt.sql('postgres', `comment on database gone__a is '${mark}'`);
  const used = await world.coppice(worktree, 'up');
  expect([used.code, used.stderr]).toEqual([
    0,
    expect.stringMatching(/made on another server.*it is used, and `down` and `gc` will not drop it/),
  ]);
  const stays = await world.coppice(worktree, 'down');
  expect([stays.code, stays.stderr]).toEqual([
    1,
    expect.stringMatching(/made on another server.*not dropped.*--forget 'database gone__a'/),
  ]);
  expect(await rebuilt.databases()).toContain('gone__a');

  // A person's, of the same name.
  await rebuilt.sql('postgres', 'comment on database gone__a is null');
  const { code, stderr } = await world.coppice(worktree, 'up');
  expect([code, stderr]).toEqual([0, expect.stringMatching(/another server answers.*one is made here/)]);
  expect(read(worktree, '.env')).toMatch(/\/gone__a_[0-9a-f]{8}\n/);
  await rebuilt.sql('postgres', 'drop database gone__a');
  const left = await world.coppice(worktree, 'down');
  expect([left.code, left.stderr]).toEqual([1, expect.stringContaining("--forget 'database gone__a of the server before'")]);
  expect(await rebuilt.databases()).toEqual(['gone', 'postgres', 'template0', 'template1']);

  await rebuilt.stop();
  await server.start();
  expect(await down(world, worktree)).toContain('database gone__a of the server before destroyed');
  expect(await added('gone__')).toEqual([]);
});

test('what went with its server is given up by the name that gc says, and the ledger holds nothing of it', async () => {
  const world = makeWorld();
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('lost'))}\n`, 'resources: { DATABASE_URL: postgres }\n');
  const { worktree } = await add(world, main, 'a');
  await server.stop();
  await rebuilt.start();
  await world.git(main, 'worktree', 'remove', '--force', worktree);
  const gc = await world.coppice(main, 'gc');
  const [, name = ''] = /`git coppice gc --forget '([^']+)'`/.exec(gc.stderr) ?? [];
  expect([gc.code, name]).toEqual([1, 'database lost__a']);
  const forgotten = await world.coppice(main, 'gc', '--forget', name);
  expect([forgotten.code, forgotten.stderr]).toEqual([0, expect.stringContaining('forgotten')]);
  expect(records(world)).toEqual([]);
  await rebuilt.stop();
  await server.start();
  expect(await added('lost__')).toEqual(['lost__a']);
  await server.sql('postgres', 'drop database lost__a');
});

test('a server that goes silent: up and down say so, and Ctrl-C ends them at once', async () => {
  const world = makeWorld();
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('silent'))}\n`, 'resources: { DATABASE_URL: postgres }\n');
  const { worktree } = await add(world, main, 'a');
  const env = (port: number) =>
    fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('silent').replace(String(server.port), String(port))}\n`);
  for (const verb of ['up', 'down']) {
    const proxy = await startProxy(server.port, 'datname = $1');
    env(proxy.port);
    const runs = start(world, worktree, process.execPath, [CLI, verb]);
    await until(() => proxy.isSilent(), 'the question');
    runs.child.kill('SIGINT');
    const { code, stderr } = await runs.ended;
    expect([code, stderr]).toEqual([130, expect.stringMatching(/✗ DATABASE_URL +interrupted/)]);
  }
  const proxy = await startProxy(server.port, 'datname = $1');
  env(proxy.port);
  const { code, stderr } = await world.coppice(worktree, 'up');
  expect([code, stderr]).toEqual([1, expect.stringContaining(`PostgreSQL at localhost:${proxy.port} does not answer any more`)]);
  env(server.port);
  await down(world, worktree);
  expect(await added('silent__')).toEqual([]);
});

test('what a server refuses is said in its own words: read-only, a template, a prepared transaction; settings of the role end nothing', async () => {
  const world = makeWorld();
  await server.sql('postgres', 'alter system set max_prepared_transactions = 5');
  await server.stop();
  await server.start();
  const seeded = 'resources: { DATABASE_URL: { type: postgres, seed: slow.sql } }\n';
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('refused'))}\n`, seeded);
  // Longer than the role allows.
  writeFiles(main, { 'slow.sql': 'select pg_sleep(3);\n' });
  await world.git(main, 'add', '-A');
  await world.git(main, 'commit', '-qm', 'slow');
  const boss = new pg.Client(server.url('postgres'));
  await boss.connect();
  onTestFinished(() => boss.end());
  const setting = (text: string) => boss.query(`set default_transaction_read_only = off; ${text}`);
  await setting('alter role boss set default_transaction_read_only = on');
  const { worktree, code, stderr } = await add(world, main, 'a');
  expect([code, stderr]).toEqual([1, expect.stringContaining('is read-only now')]);
  await setting('alter role boss reset default_transaction_read_only');
  await setting("alter role boss set statement_timeout = '2s'; alter role boss set idle_session_timeout = '2s'");
  try {
    await up(world, worktree);
  } finally {
    await setting('alter role boss reset all');
  }

  const refuses = async (sentence: RegExp) => {
    const result = await world.coppice(worktree, 'down');
    expect([result.code, result.stderr]).toEqual([1, expect.stringMatching(sentence)]);
    expect(result.stderr).not.toContain('at async');
  };
  await setting('alter database refused__a is_template true');
  await refuses(/`refused__a` at .* was not dropped: somebody has made it a template\. `ALTER DATABASE "refused__a" IS_TEMPLATE false`/);
  await setting('alter database refused__a is_template false');
  await server.sql('refused__a', "begin; create table q (); prepare transaction 'x'");
  await refuses(/`refused__a` at .* was not dropped: .*prepared transaction/);
  await server.sql('refused__a', "rollback prepared 'x'");
  await down(world, worktree);
  expect(await added('refused__')).toEqual([]);
});

test('a password with a NUL is refused without showing it; what was never made is not said to be destroyed', async () => {
  const world = makeWorld();
  const url = server.url(await mine('nul'));
  const main = await shop(
    world,
    `DATABASE_URL=${url.replace('canary', 'canary%00')}\n`,
    'resources: { DATABASE_URL: { type: postgres, data: schema } }\n',
  );
  const { worktree, code, stderr } = await add(world, main, 'a');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/The password in `DATABASE_URL` in the main worktree's env files.*NUL/)]);
  expect(stderr).not.toContain('canary');
  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('nosuch')}\n`);
  const missing = await world.coppice(worktree, 'up');
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('There is no database `nosuch`')]);
  expect(await down(world, worktree)).not.toContain('destroyed');
});

test('another `data:` leaves the database as it is, and says what makes it anew', async () => {
  const world = makeWorld();
  const config = (data: string) => `resources: { DATABASE_URL: { type: postgres, data: ${data} } }\n`;
  const main = await shop(world, `DATABASE_URL=${server.url(await mine('changed'))}\n`, config('schema'));
  const { worktree } = await add(world, main, 'a');
  for (let times = 0; times < 2; times += 1)
    expect(await up(world, worktree, config('clone'))).toMatch(
      /changed__a was made with `data: schema`; `git coppice down`, then `git coppice up`/,
    );
  await down(world, worktree);
  expect(await up(world, worktree)).not.toContain('was made with');
  expect(await sourceOf(worktree, 'DATABASE_URL')).toBe('changed');
  await down(world, worktree);
});
