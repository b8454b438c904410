import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { atOnce } from '../fixtures/at-once.ts';
import { countPoints, JOURNAL, killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { freePort } from '../fixtures/servers/free-port.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { CLI, commandLines, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const server = await startPostgres();
const CONFIG = 'resources: { DATABASE_URL: postgres }\n';
const SENDS = '^send [QS]$';
const before = await server.databases();
const sources: string[] = [];

/** What was made at the server beside the tests' own sources; of one source, or all. */
async function added(of = ''): Promise<string[]> {
  return (await server.databases()).filter((name) => !before.includes(name) && !sources.includes(name) && name.includes(of));
}

// The server is asked, not the ledger.
afterAll(async () => expect(await added()).toEqual([]));

/** A database with rows in it, for one test. */
async function source(name: string, options = ''): Promise<string> {
  sources.push(name);
  await server.sql('postgres', `create database "${name.replaceAll('"', '""')}" ${options}`);
  await server.sql(
    name,
    `create table item (id serial primary key, name text); create table total (n int);
     insert into item (name) select i::text from generate_series(1, 100) i; insert into total values (100)`,
  );
  return name;
}

/** A repository whose `.env` names a database. */
async function shop(world: World, url: string, config = CONFIG, files: Record<string, string> = {}): Promise<string> {
  const committed = { 'worktree.config.yaml': config, '.gitignore': '.env\n', ...files };
  return world.repository('shop', committed, { '.env': `# the shop\nDATABASE_URL=${url}\nKEY=x\n` });
}

async function add(world: World, main: string, branch: string, env: NodeJS.ProcessEnv = {}) {
  const added = await world.run(main, 'git', ['worktree', 'add', `../${branch}`, '-B', branch], { env });
  return { ...added, worktree: path.join(world.root, branch) };
}

/** Removes all worktrees; afterwards nothing of theirs is at the server. */
async function giveBack(world: World, main: string): Promise<void> {
  for (const line of (await world.git(main, 'worktree', 'list', '--porcelain')).split('\n')) {
    const [, folder] = /^worktree (.*)/.exec(line) ?? [];
    if (folder !== undefined && folder !== main) await world.git(main, 'worktree', 'remove', '--force', folder);
  }
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(records(world)).toEqual([]);
  expect(fs.readdirSync(path.join(world.state, 'claims')).filter((name) => !name.startsWith('base-'))).toEqual([]);
}

/** A session in a database for the length of a test, as a developer's app has one. */
async function session(database: string) {
  const client = new pg.Client(server.url(database));
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** What is granted on a database, and set for it. */
async function rules(database: string): Promise<unknown[]> {
  return server.sql(
    'postgres',
    `select coalesce(grantee.rolname, 'public') as who, privilege_type || is_grantable as what from pg_database, aclexplode(datacl) acl
       left join pg_roles grantee on grantee.oid = acl.grantee where datname = $1
     union all select coalesce(rolname, 'all'), unnest(setconfig) from pg_db_role_setting join pg_database on pg_database.oid = setdatabase
       left join pg_roles on pg_roles.oid = setrole where datname = $1 order by 1, 2`,
    [database],
  );
}

test('who may use the source may use its clone, and nobody else; what is set for a role is set there too', async () => {
  const world = makeWorld();
  await source('granted');
  await server.sql(
    'postgres',
    `create role owning login createdb password 'p@ss-canary'; create role "Re""ader" login; create role stranger login;
     alter database granted owner to owning; revoke all on database granted from public;
     grant connect on database granted to "Re""ader"; grant create, temporary on database granted to "Re""ader" with grant option;
     alter role "Re""ader" in database granted set statement_timeout to '3s'; alter role owning in database granted set search_path to app, public;
     alter database granted set log_statement to 'all'; alter database granted set work_mem to '5MB'`,
  );
  await server.sql('granted', 'alter table item owner to owning; alter table total owner to owning');
  const main = await shop(world, server.url('granted'));
  const boss = await add(world, main, 'a');
  expect(boss.code, boss.stderr).toBe(0);
  const all = await rules('granted');
  expect(all).toHaveLength(10);
  // Made by a superuser for another owner, whose rights are the owner's.
  const owners = (rows: unknown[]) => JSON.parse(JSON.stringify(rows).replaceAll('"boss"', '"owning"'));
  expect(owners(await rules('granted__a'))).toEqual(expect.arrayContaining(all));
  expect(await server.sql('postgres', "select has_database_privilege('stranger', 'granted__a', 'CONNECT') as may")).toEqual([
    { may: false },
  ]);
  await giveBack(world, main);

  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('granted', 'owning')}\n`);
  const owning = await add(world, main, 'b');
  expect([owning.code, owning.stderr]).toEqual([
    0,
    expect.stringMatching(/not copied.*log_statement = all.*statement_timeout = 3s.*"Re""ader"/),
  ]);
  // What takes a superuser is not there.
  const own = all.filter((row) => !/log_statement|statement_timeout/.test(JSON.stringify(row)));
  expect(await rules('granted__b')).toEqual(own);
  await giveBack(world, main);
  await server.sql('postgres', 'drop database granted');
  await server.sql('postgres', 'drop role owning; drop role "Re""ader"; drop role stranger');
});

test("a worktree has a clone of the main worktree's database, what else names it follows, and it goes with the worktree", async () => {
  const world = makeWorld();
  await source('one', 'connection limit 50');
  await server.sql('postgres', `alter database one set search_path to app, public; alter database one set statement_timeout to '7s'`);
  const main = await shop(world, `${server.url('one')}?schema=public`);
  fs.appendFileSync(path.join(main, '.env'), `DIRECT_URL="${server.url('one')}"\nOTHER=${server.url('one_other')}\n`);
  const { worktree, code, stderr } = await add(world, main, 'feature-a');
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('a clone of one');
  const url = server.url('one__feature_a');
  expect(read(worktree, '.env')).toBe(
    `# the shop\nDATABASE_URL=${url}?schema=public\nKEY=x\nDIRECT_URL="${url}"\nOTHER=${server.url('one_other')}\n`,
  );
  expect(await server.sql('one__feature_a', 'select count(*)::int as n from public.item')).toEqual([{ n: 100 }]);
  expect(await server.sql('one__feature_a', 'show search_path')).toEqual([{ search_path: 'app, public' }]);
  expect(await server.sql('one__feature_a', 'show statement_timeout')).toEqual([{ statement_timeout: '7s' }]);

  // What a migration or a write does here is seen nowhere else.
  await server.sql('one__feature_a', 'create table public.mine (a int); delete from public.item');
  expect(await server.sql('one', "select to_regclass('public.mine') as t, (select count(*)::int from public.item) as n")).toEqual([
    { t: null, n: 100 },
  ]);
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(await server.sql('one__feature_a', 'select count(*)::int as n from public.item')).toEqual([{ n: 0 }]);

  // As `prisma migrate reset` does: without our mark it is still ours.
  await server.sql('postgres', 'drop database one__feature_a');
  await server.sql('postgres', 'create database one__feature_a');
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  await giveBack(world, main);
  expect(await added()).toEqual([]);
});

test('while the source is in use, worktrees are cloned from one kept copy: 20 at once, each as of one moment, and no session ends', async () => {
  const world = makeWorld();
  await source('busy');
  const main = await shop(world, server.url('busy'));
  const app = await session('busy');
  const [{ pid } = { pid: 0 }] = (await app.query('select pg_backend_pid() as pid')).rows;
  let over = false;
  const writing = (async () => {
    for (; !over; )
      await app.query('begin; insert into item (name) values (1); update total set n = n + 1; commit; select count(*) from item');
  })();
  const all = await Promise.all(Array.from({ length: 20 }, (_, index) => atOnce(() => add(world, main, `w${index}`))));
  over = true;
  await writing;
  for (const { code, stderr } of all) expect(code, stderr).toBe(0);
  expect(records(world).map(({ state }) => state)).toEqual(Array.from({ length: 20 }, () => 'ready'));
  const clones = (await added()).filter((name) => name.startsWith('busy__w'));
  expect(clones).toHaveLength(20);
  for (const name of clones) {
    const [row] = await server.sql<{ n: number; items: number }>(name, 'select n, (select count(*)::int from item) as items from total');
    expect(row?.n, name).toBe(row?.items);
  }
  expect((await app.query('select pg_backend_pid() as pid')).rows).toEqual([{ pid }]);
  expect(await added('busy__coppice')).toEqual([expect.stringMatching(/^busy__coppice_[0-9a-f]{8}$/)]);
  const late = await add(world, main, 'late');
  expect([late.code, late.stderr]).toEqual([0, expect.stringMatching(/a clone of busy as it was (just now|(\d+m )?\d+s ago)/)]);

  // Renewed when the schema is another.
  await app.query('create table fresh (a int)');
  await add(world, main, 'later');
  expect(await server.sql('busy__later', "select to_regclass('fresh')::text as t")).toEqual([{ t: 'fresh' }]);
  await app.end();
  await giveBack(world, main);
  expect(await added()).toEqual([]);
});

test('a kept copy is renewed when it is older than `refresh:`', async () => {
  const world = makeWorld();
  await source('stale');
  const main = await shop(world, server.url('stale'), 'resources: { DATABASE_URL: { type: postgres, refresh: 1ms } }\n');
  const app = await session('stale');
  await add(world, main, 'a');
  await app.query("insert into item (name) values ('new')");
  await add(world, main, 'b');
  expect(await server.sql('stale__b', 'select count(*)::int as n from item')).toEqual([{ n: 101 }]);
  await app.end();
  await giveBack(world, main);
});

test('schema, empty, a name of its own, a seed of SQL and one of a command', async () => {
  const world = makeWorld();
  await source('kinds');
  const config = `resources:
  DATABASE_URL: { type: postgres, data: schema, seed: db/seed.sql }
  EMPTY_URL: { type: postgres, from: "{{main.env.DATABASE_URL}}", data: empty, name: "empty_{{slug_}}", seed: 'echo "$EMPTY_URL" > seeded.txt' }
`;
  const main = await shop(world, server.url('kinds'), config, { 'db/seed.sql': "insert into item (name) values ('seeded');\n" });
  const { code, stderr, worktree } = await add(world, main, 'a-b');
  expect(code, stderr).toBe(0);
  expect(await server.sql('kinds__a_b', 'select name from item')).toEqual([{ name: 'seeded' }]);
  expect(await server.sql('empty_a_b', 'select count(*)::int as n from pg_tables where schemaname = $1', ['public'])).toEqual([{ n: 0 }]);
  expect(read(worktree, '.env')).toContain(`EMPTY_URL=${server.url('empty_a_b')}`);
  expect(read(worktree, 'seeded.txt')).toMatch(/coppice_[0-9a-f]{32}_/);
  await giveBack(world, main);

  // A seed that fails leaves nothing that looks finished, and its end is said.
  writeFiles(main, { 'worktree.config.local.yaml': 'resources: { EMPTY_URL: null, DATABASE_URL: { seed: "echo why; exit 3" } }\n' });
  const failed = await add(world, main, 'c');
  expect([failed.code, failed.stderr]).toEqual([1, expect.stringMatching(/seed.*exit code 3.*\n {4}why\n/)]);
  expect(await added()).toEqual([]);
  await giveBack(world, main);
});

test('an app that reads parts: the database follows, all else is as it was', async () => {
  const world = makeWorld();
  await source('koel');
  const config = `resources:
  DB: { type: postgres, vars: { host: DB_HOST, port: DB_PORT, user: DB_USERNAME, password: DB_PASSWORD, database: DB_DATABASE }, default: { host: 127.0.0.1 } }
`;
  const text = `DB_PORT=${server.port}\nDB_USERNAME=boss\nDB_PASSWORD='p@ss-canary'\nDB_DATABASE=koel\n`;
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': text });
  const { code, stderr, worktree } = await add(world, main, 'a');
  expect(code, stderr).toBe(0);
  expect(read(worktree, '.env')).toBe(text.replace('=koel', '=koel__a'));
  expect(JSON.parse(await world.git(worktree, 'coppice', 'env', '--json'))).toEqual({ DB_DATABASE: 'koel__a' });
  await giveBack(world, main);
});

test('who is not the owner clones by reading; `admin:` makes what the app may not, and the app owns it', async () => {
  const world = makeWorld();
  await server.sql('postgres', "create role app login password 'p@ss-canary'; create role maker login createdb password 'p@ss-canary'");
  await source('owned');
  await server.sql(
    'owned',
    'grant select on all tables in schema public to maker; grant usage, select on all sequences in schema public to maker',
  );
  const main = await shop(world, server.url('owned', 'maker'));
  const reader = await add(world, main, 'a');
  expect(reader.code, reader.stderr).toBe(0);
  expect(await server.sql('owned__a', 'select count(*)::int as n from item')).toEqual([{ n: 100 }]);
  await giveBack(world, main);

  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('owned', 'app')}\nADMIN_URL=${server.url('postgres')}\n`);
  const refused = await add(world, main, 'b');
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/`app` may not create databases.*ALTER ROLE "app" CREATEDB.*`admin:`/s),
  ]);
  writeFiles(main, { 'worktree.config.local.yaml': 'resources: { DATABASE_URL: { admin: "{{main.env.ADMIN_URL}}", data: empty } }\n' });
  const up = await world.coppice(refused.worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  const owner = "select pg_get_userbyid(datdba) as owner from pg_database where datname = 'owned__b'";
  expect(await server.sql('postgres', owner)).toEqual([{ owner: 'app' }]);
  // Of a clone, who owns the source.
  await server.sql('postgres', 'alter database owned owner to app');
  writeFiles(main, { 'worktree.config.local.yaml': 'resources: { DATABASE_URL: { admin: "{{main.env.ADMIN_URL}}" } }\n' });
  const clone = await add(world, main, 'c');
  expect(clone.code, clone.stderr).toBe(0);
  expect(await server.sql('postgres', owner.replace('owned__b', 'owned__c'))).toEqual([{ owner: 'app' }]);
  await server.sql('postgres', 'alter database owned owner to boss');
  await giveBack(world, main);
  await server.sql('owned', 'drop owned by maker');
  await server.sql('postgres', 'drop role app; drop role maker');
});

test('databases that a test runner derives from ours go too, those of a neighbour whose name begins with ours do not', async () => {
  const world = makeWorld();
  await source('runner');
  const main = await shop(
    world,
    server.url('runner'),
    'resources: { DATABASE_URL: { type: postgres, owns: ["test_{database}*", "{database}-*"] } }\n',
  );
  await server.sql('postgres', 'create database "test_runner__a_before"');
  await add(world, main, 'a');
  await add(world, main, 'ab');
  const derived = ['test_runner__a', 'test_runner__a_gw1', 'runner__a-2'];
  const neighbours = ['test_runner__ab', 'test_runner__ab_gw1', 'runner__ab-2'];
  for (const name of [...derived, ...neighbours]) await server.sql('postgres', `create database "${name}"`);
  await world.git(main, 'worktree', 'remove', '../a');
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect((await added('runner__')).sort()).toEqual(['runner__ab', 'test_runner__a_before', ...neighbours].sort());
  await server.sql('postgres', 'drop database test_runner__a_before');
  await giveBack(world, main);
});

test('a pattern that would name databases of others is refused', async () => {
  const world = makeWorld();
  await source('greedy');
  const main = await shop(world, server.url('greedy'), 'resources: { DATABASE_URL: { type: postgres, owns: ["test_*"] } }\n');
  const refused = await add(world, main, 'a');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('would name databases of others')]);
  await giveBack(world, main);
});

test('200 databases that look like ours are left alone', async () => {
  const world = makeWorld();
  await source('decoy');
  const main = await shop(world, server.url('decoy'));
  const { worktree } = await add(world, main, 'a');
  const id = records(world)[0]?.id ?? '';
  const decoys: string[] = [];
  const boss = await session('postgres');
  for (let index = 0; index < 200; index += 1) {
    const name =
      [`decoy__a_${index}`, `decoy__A${index}`, `coppice_${id.replaceAll('-', '')}_${index}`, `decoy__coppice_${index}`][index % 4] ?? '';
    decoys.push(name);
    sources.push(name);
    await boss.query(`create database "${name}"`);
    if (index % 3 === 0)
      await boss.query(`comment on database "${name}" is 'coppice worktree 00000000-0000-4000-8000-${String(index).padStart(12, '0')}'`);
  }
  // One that takes the place of ours, with another machine's mark.
  await server.sql('postgres', 'drop database decoy__a');
  await server.sql('postgres', 'create database decoy__a');
  await server.sql('postgres', "comment on database decoy__a is 'coppice worktree of another'");
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(read(worktree, '.env')).toMatch(/decoy__a_[0-9a-f]{8}\b/);
  await world.git(main, 'worktree', 'remove', '--force', worktree);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(await server.databases()).toEqual(expect.arrayContaining([...decoys, 'decoy__a']));
  await server.sql('postgres', 'drop database decoy__a');
  await giveBack(world, main);
  for (const name of decoys) await boss.query(`drop database "${name}"`);
  await boss.end();
});

test('a name that is taken, by anyone, gets a hash; names that are hostile, or too long for the server, are only names', async () => {
  const world = makeWorld();
  await source(`we"ird'; DROP TABLE item; --`);
  await source('taken');
  await server.sql('postgres', 'create database taken__a');
  sources.push('taken__a');
  const main = await shop(world, server.url('taken'));
  const { code, stderr, worktree } = await add(world, main, 'a');
  expect(code, stderr).toBe(0);
  expect(read(worktree, '.env')).toMatch(/taken__a_[0-9a-f]{8}\b/);

  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL='${server.url(`we"ird'; DROP TABLE item; --`).replaceAll("'", '%27')}'\n`);
  const hostile = await world.run(main, 'git', ['worktree', 'add', '../b', '-b', `';DROP-TABLE-x;--${'é'.repeat(60)}`]);
  expect(hostile.code, hostile.stderr).toBe(0);
  const made = (await added()).find((name) => name.startsWith('we"ird'));
  expect(Buffer.byteLength(made ?? '')).toBeLessThanOrEqual(47);
  expect(await server.sql(made ?? '', 'select count(*)::int as n from item')).toEqual([{ n: 100 }]);
  await giveBack(world, main);

  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('taken')}\n`);
  writeFiles(main, { 'worktree.config.local.yaml': `resources: { DATABASE_URL: { name: "${'n'.repeat(64)}" } }\n` });
  const long = await add(world, main, 'c');
  expect([long.code, long.stderr]).toEqual([1, expect.stringContaining('64 bytes')]);
  await giveBack(world, main);
});

test('what cannot be done is a sentence, what does not depend on it goes on, and up resumes', async () => {
  const world = makeWorld();
  await source('down');
  const config =
    'resources: { PORT: 24900, DATABASE_URL: postgres }\nsteps: { alone: { run: echo ran > alone.log, needs: [PORT] }, migrate: echo ran > migrate.log }\n';
  const main = await shop(world, server.url('down'), config);
  const set = (url: string) => fs.writeFileSync(path.join(main, '.env'), url === '' ? 'KEY=x\n' : `DATABASE_URL=${url}\n`);
  const { worktree } = await add(world, main, 'a', { COPPICE: '0' });
  const port = await freePort();
  const cases: [string, RegExp][] = [
    [server.url('down').replace(String(server.port), String(port)), new RegExp(`No PostgreSQL answers at localhost:${port}\\. Start it`)],
    [server.url('down').replace('p%40ss', 'wrong'), /refuses `boss`: the password.*`DATABASE_URL` in the main worktree's env files/],
    [`postgres://boss@localhost:${server.port}/down`, /wants a password of `boss`/],
    [server.url('nowhere'), /There is no database `nowhere`/],
    ['', /`DATABASE_URL` has no value in the main worktree's env files/],
    ['mysql://root@localhost/down', /is not a PostgreSQL URL/],
    ['postgres://boss@db.example.com/down', /not on this machine \(db\.example\.com:5432\).*`from:`/],
  ];
  for (const [url, sentence] of cases) {
    set(url);
    const up = await world.coppice(worktree, 'up');
    expect([up.code, up.stderr], url).toEqual([1, expect.stringMatching(sentence)]);
    expect(up.stderr).not.toContain('canary');
    expect(fs.existsSync(path.join(worktree, 'alone.log'))).toBe(true);
    expect(fs.existsSync(path.join(worktree, 'migrate.log'))).toBe(false);
  }
  set(server.url('down'));
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(read(worktree, 'migrate.log')).toBe('ran\n');

  // Taken back while the server is away: kept and listed, and done when it is back.
  await world.git(main, 'worktree', 'remove', '--force', worktree);
  await server.stop();
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, gc.stderr]).toEqual([1, expect.stringMatching(/No PostgreSQL answers[\s\S]*kept/)]);
  await server.start();
  set('');
  const without = await world.coppice(main, 'gc');
  expect([without.code, without.stderr]).toEqual([1, expect.stringMatching(/has no value/)]);
  set(server.url('down'));
  await giveBack(world, main);
});

test('a password is in no argument, output, log or file of the ledger', async () => {
  const world = makeWorld();
  await source('secret');
  await server.sql('secret', "insert into item (name) select repeat('x', 200) from generate_series(1, 20000)");
  const main = await shop(
    world,
    server.url('secret'),
    'resources: { DATABASE_URL: { type: postgres, from: "{{main.env.DATABASE_URL}}" } }\n',
  );
  const app = await session('secret');
  let seen = '';
  let over = false;
  const looking = (async () => {
    for (; !over; await new Promise((resolve) => setImmediate(resolve)))
      for (const line of commandLines(world)) if (/pg_dump|psql/.test(line)) seen += `${line}\n`;
  })();
  const { code, stderr, stdout } = await add(world, main, 'a');
  over = true;
  await looking;
  expect(code, stderr).toBe(0);
  expect(seen).toContain('pg_dump');
  const again = await world.coppice(path.join(world.root, 'a'), 'up');
  expect(again.code, again.stderr).toBe(0);
  const status = await world.git(main, 'coppice', 'status', '--json');
  const files = [world.state, path.join(main, '.git/coppice/logs')]
    .filter((folder) => fs.existsSync(folder))
    .flatMap((folder) => fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => path.join(folder, name)));
  const texts = files.filter((file) => fs.statSync(file).isFile()).map((file) => fs.readFileSync(file, 'utf8'));
  expect(texts.length).toBeGreaterThan(2);
  for (const text of [seen, stderr, stdout, status, ...texts]) expect(text).not.toContain('canary');
  await app.end();
  fs.writeFileSync(path.join(main, '.env'), 'KEY=x\n');
  // A password that is not known any more: said, and kept.
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, gc.stderr]).toEqual([1, expect.stringContaining('DATABASE_URL')]);
  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('secret')}\n`);
  const known = await world.coppice(main, 'gc');
  expect(known.code, known.stderr).toBe(0);
  expect(await added()).toEqual([]);
});

test('another server at the same address is not taken for the one that has our database', async () => {
  const world = makeWorld();
  await source('moved');
  const main = await shop(world, server.url('moved'));
  await add(world, main, 'a');
  const journal =
    fs.readdirSync(path.join(world.state, 'repos'), { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('/journal')) ?? '';
  const file = path.join(world.state, 'repos', journal);
  const text = read(file);
  const [{ id } = { id: '' }] = await server.sql<{ id: string }>(
    'postgres',
    'select system_identifier::text as id from pg_control_system()',
  );
  expect(text).toContain(id);
  fs.writeFileSync(file, text.replaceAll(id, '7000000000000000001'));
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, gc.stderr]).toEqual([1, expect.stringMatching(/`moved__a` was made on another server.*it is not dropped there/)]);
  expect(await server.databases()).toContain('moved__a');
  fs.writeFileSync(file, read(file).replaceAll('7000000000000000001', id));
  await giveBack(world, main);
});

test('killed after any message to the server or entry of the journal, up makes it right and gc leaves nothing', async () => {
  const world = makeWorld();
  await source('kill');
  const main = await shop(world, server.url('kill'));
  const app = await session('kill');
  const count = async (kind: string) => {
    const points = await countPoints(world, (env) => add(world, main, 'counted', env), kind);
    await giveBack(world, main);
    await world.git(main, 'branch', '-D', 'counted');
    return points;
  };
  const sends = await count(SENDS);
  const entries = await count(JOURNAL);
  expect([sends > 20, entries > 5]).toEqual([true, true]);
  const points = [
    ...Array.from({ length: sends }, (_, index) => [SENDS, index + 1] as const),
    ...Array.from({ length: entries }, (_, index) => [JOURNAL, index + 1] as const),
  ];
  for (const [kind, point] of points) {
    const branch = `${kind === SENDS ? 's' : 'j'}${point}`;
    const { worktree } = await add(world, main, branch, killedAfter(point, kind));
    if (point % 2 === 0) {
      const up = await world.coppice(worktree, 'up');
      expect(up.code, `${kind} ${point}: ${up.stderr}`).toBe(0);
      expect(await server.sql(`kill__${branch}`, 'select count(*)::int as n from item')).toEqual([{ n: 100 }]);
    }
    await giveBack(world, main);
    expect(await added(), `${kind} ${point}`).toEqual([]);
  }
  await app.end();
}, 900_000);

test('a second run killed after any entry of the journal, and after every third message to the server: an up that makes the database again, down, gc', async () => {
  const world = makeWorld();
  await source('twice');
  const main = await shop(world, server.url('twice'));
  const { worktree } = await add(world, main, 'x');
  const up = async () => {
    const { code, stderr } = await world.coppice(worktree, 'up');
    expect(code, stderr).toBe(0);
    expect(await server.sql('twice__x', 'select count(*)::int as n from item')).toEqual([{ n: 100 }]);
  };
  /** Runs a verb, killed at each point there is, each time after `before`; `after` makes it right. */
  const everywhere = async (folder: string, verb: string, before: () => Promise<unknown>, after: () => Promise<void>) => {
    const run = (env: NodeJS.ProcessEnv) => world.run(folder, process.execPath, [CLI, verb], { env });
    for (const [kind, stride] of [
      [SENDS, 3],
      [JOURNAL, 1],
    ] as const) {
      await before();
      const length = await countPoints(world, async (env) => expect((await run(env)).code).toBe(0), kind);
      await after();
      expect(length, `${verb}, ${kind}`).toBeGreaterThan(2);
      for (let point = 1; point <= length; point += stride) {
        await before();
        const killed = await run(killedAfter(point, kind));
        // How often it looks whether somebody came to the source goes by time: there may be fewer messages than were counted.
        const isOver = kind === SENDS && killed.code === 0;
        expect(isOver || killed.signal === 'SIGKILL', `${verb}, ${kind} ${point}`).toBe(true);
        await after();
      }
    }
  };
  await everywhere(worktree, 'up', () => server.sql('postgres', 'drop database twice__x'), up);
  await everywhere(worktree, 'down', up, async () => {
    const { code, stderr } = await world.coppice(worktree, 'down');
    expect(code, stderr).toBe(0);
    expect(await added('twice__')).toEqual([]);
  });
  const addAgain = () => world.git(main, 'worktree', 'add', worktree, 'x');
  const remove = () => world.git(main, 'worktree', 'remove', '--force', worktree);
  await remove();
  await everywhere(
    main,
    'gc',
    async () => {
      await addAgain();
      await remove();
    },
    async () => {
      await giveBack(world, main);
      expect(await added()).toEqual([]);
    },
  );
}, 900_000);

test('a server that dies in the middle of a copy: the set-up fails with a sentence, and up makes it right', async () => {
  const world = makeWorld();
  await source('crash');
  await server.sql('crash', "insert into item (name) select repeat('y', 500) from generate_series(1, 60000)");
  const main = await shop(world, server.url('crash'));
  const app = await session('crash');
  const adding = start(world, main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  await until(
    async () =>
      (await server.sql('postgres', "select 1 from pg_stat_activity where application_name = 'coppice' and query like 'COPY%'")).length > 0,
    'the copy',
  );
  await server.kill();
  await app.end().catch(() => {});
  const ended = await adding.ended;
  expect([ended.code, ended.stderr]).toEqual([1, expect.stringMatching(/PostgreSQL at localhost|could not be copied/)]);
  await server.start();
  const up = await world.coppice(path.join(world.root, 'a'), 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(await server.sql('crash__a', 'select count(*)::int as n from item')).toEqual([{ n: 60_100 }]);
  await giveBack(world, main);
  expect(await added()).toEqual([]);
});

test('a server that is too old, and one whose disk is full, are told in a sentence', async () => {
  const world = makeWorld();
  const port = await freePort();
  const old = startOldServer(port);
  onTestFinished(() => void old.close());
  const main = await shop(world, `postgres://me@localhost:${port}/shop`);
  const refused = await add(world, main, 'a');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('is version 10; 11 or later is needed')]);

  const disk = smallDisk(60);
  sources.push('full');
  await server.sql('postgres', `create tablespace small location '${disk.folder}'`);
  await server.sql('postgres', 'create database "full" tablespace small');
  await server.sql('full', "create table item as select repeat('z', 900) as z from generate_series(1, 25000)");
  fs.writeFileSync(path.join(main, '.env'), `DATABASE_URL=${server.url('full')}\n`);
  const full = await world.coppice(refused.worktree, 'up');
  expect([full.code, full.stderr]).toEqual([1, expect.stringMatching(/The disk of PostgreSQL at .* is full/)]);
  disk.grow(400);
  const up = await world.coppice(refused.worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  await giveBack(world, main);
  await server.sql('postgres', 'drop database "full"');
  await server.sql('postgres', 'drop tablespace small');
});

/** A disk of so many megabytes, for the server. Needs root, as in CI. */
function smallDisk(megabytes: number): { folder: string; grow(megabytes: number): void } {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'coppice-test', root]);
  onTestFinished(() => {
    execFileSync('umount', ['-l', root]);
    fs.rmdirSync(root);
  });
  const folder = path.join(root, 'space');
  fs.mkdirSync(folder);
  fs.chownSync(folder, 65_534, 65_534);
  return { folder, grow: (size) => void execFileSync('mount', ['-o', `remount,size=${size}m`, root]) };
}

/** What a PostgreSQL 10 says of itself, which cannot be had any more: the protocol's answers to the first question. */
function startOldServer(port: number): net.Server {
  const message = (type: string, body: Buffer) => {
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const text = (...parts: string[]) => Buffer.from(parts.map((part) => `${part}\0`).join(''));
  const values = ['100023', '1', 'me', 'f', 't'];
  const names = ['version', 'pid', 'name', 'superuser', 'createdb'];
  const types = [23, 23, 25, 16, 16];
  const field = (name: string, index: number) => {
    const rest = Buffer.alloc(18);
    rest.writeInt32BE(types[index] ?? 25, 6);
    return Buffer.concat([text(name), rest]);
  };
  const count = (number: number) => {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(number);
    return bytes;
  };
  const cell = (value: string) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value.length);
    return Buffer.concat([length, Buffer.from(value)]);
  };
  const ready = message('Z', Buffer.from('I'));
  const row = Buffer.concat([
    message('1', Buffer.alloc(0)),
    message('2', Buffer.alloc(0)),
    message('T', Buffer.concat([count(5), ...names.map(field)])),
    message('D', Buffer.concat([count(5), ...values.map(cell)])),
    message('C', text('SELECT 1')),
    ready,
  ]);
  return net
    .createServer((socket) => {
      let greeted = false;
      socket.on('error', () => {});
      socket.on('data', (data) => {
        if (!greeted) socket.write(Buffer.concat([message('R', Buffer.alloc(4)), message('S', text('server_version', '10.23')), ready]));
        // Sync ends each question.
        else if (data.includes(Buffer.from([0x53, 0, 0, 0, 4]))) socket.write(row);
        greeted = true;
      });
    })
    .listen(port, '127.0.0.1');
}

test('a migration that is open in the source is not waited for; Ctrl-C ends a copy', async () => {
  const world = makeWorld();
  await source('locked');
  await server.sql('locked', "insert into item (name) select repeat('y', 500) from generate_series(1, 60000)");
  const main = await shop(world, server.url('locked'), 'resources: { DATABASE_URL: { type: postgres, refresh: 1ms } }\n');
  const migration = await session('locked');
  await migration.query('begin; lock table item in access exclusive mode');
  const refused = await add(world, main, 'a');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('Another session locks tables of locked')]);
  await migration.query('rollback');

  const copying = spawn(process.execPath, [CLI, 'up'], { cwd: refused.worktree, env: world.env, detached: true, stdio: 'ignore' });
  const ended = new Promise((resolve) => copying.on('close', resolve));
  const copies = "select 1 from pg_stat_activity where application_name = 'coppice' and query like 'COPY%'";
  await until(async () => (await server.sql('postgres', copies)).length > 0, 'the copy');
  process.kill(-(copying.pid ?? 0), 'SIGINT');
  expect(await ended).toBe(130);
  await until(async () => (await server.sql('postgres', copies)).length === 0, 'the copy to end');
  const up = await world.coppice(refused.worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  await migration.end();
  await giveBack(world, main);
  expect(await added('locked__')).toEqual([]);
});
