import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { debianPrograms } from '../fixtures/servers/debian.ts';
import { type PostgresServer, startPostgres } from '../fixtures/servers/postgres.ts';
import { type Major, postgresBinaries } from '../fixtures/servers/postgres-binaries.ts';
import { mountSharingDisk } from '../fixtures/servers/sharing-disk.ts';
import { makeWorld, type World } from '../fixtures/world.ts';

/** What the oldest and the newest have in common with the machine's own is tested there. */
const MAJORS: Major[] = [11, 13, 18];
const disk = mountSharingDisk(4);
const servers = new Map<Major, PostgresServer>();
for (const major of MAJORS) {
  const parent = major === 18 ? disk.folder : undefined;
  servers.set(major, await startPostgres({ programs: postgresBinaries(major), ...(parent !== undefined && { parent }) }));
}
/** Newer than every server here but the newest. */
const newClients = debianPrograms('sid', ['postgresql-client'], ['pg_dump', 'psql']).bin;
const NEW = { PATH: `${newClients}:${process.env.PATH}` };

const at = (major: Major) => servers.get(major) as PostgresServer;
const sources: string[] = [];

// The servers are asked, not the ledger.
afterAll(async () => {
  for (const server of servers.values())
    expect((await server.databases()).filter((name) => !sources.includes(name))).toEqual(['postgres', 'template0', 'template1']);
});

async function source(server: PostgresServer, name: string): Promise<string> {
  sources.push(name);
  await server.sql('postgres', `create database ${name}`);
  await server.sql(
    name,
    `create table item (id serial primary key, name text); insert into item (name) select i::text from generate_series(1, 100) i;
     insert into item (name) values ('SET transaction_timeout = 0;');
     create view named as select name from item; create function one() returns int language sql as 'select 1'`,
  );
  return server.url(name);
}

function shop(world: World, url: string): Promise<string> {
  const committed = { 'worktree.config.yaml': 'resources: { DATABASE_URL: postgres }\n', '.gitignore': '.env\n' };
  return world.repository('shop', committed, { '.env': `DATABASE_URL=${url}\n` });
}

async function add(world: World, main: string, branch: string, env: NodeJS.ProcessEnv = {}) {
  return world.run(main, 'git', ['worktree', 'add', `../${branch}`, '-b', branch], { env });
}

/** What is in a clone of a source. */
async function content(server: PostgresServer, database: string): Promise<unknown[]> {
  return server.sql(
    database,
    'select count(*)::int as items, max(name) as last, (select count(*)::int from named) as named, one() from item',
  );
}
const WHOLE = [{ items: 101, last: 'SET transaction_timeout = 0;', named: 101, one: 1 }];

async function giveBack(world: World, main: string): Promise<void> {
  for (const name of fs.readdirSync(world.root).filter((entry) => fs.existsSync(path.join(world.root, entry, '.git'))))
    if (name !== 'shop') await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(records(world)).toEqual([]);
}

/** A session in a database, as a developer's app has one. */
async function session(server: PostgresServer, database: string) {
  const client = new pg.Client(server.url(database));
  client.on('error', () => {});
  await client.connect();
  return client;
}

describe.each(MAJORS)('PostgreSQL %i', (major) => {
  test('is the version that it is said to be', async () => {
    const [row] = await at(major).sql<{ version: string }>('postgres', "select current_setting('server_version_num') as version");
    expect(Math.floor(Number(row?.version) / 10_000)).toBe(major);
  });

  test('an idle source is cloned, a session in the clone does not keep it, and nothing is left', async () => {
    const world = makeWorld();
    const server = at(major);
    const main = await shop(world, await source(server, `idle${major}`));
    const added = await add(world, main, 'x');
    expect([added.code, added.stderr]).toEqual([0, expect.stringContaining(`a clone of idle${major}`)]);
    expect(added.stderr).not.toContain('as it was');
    expect(await content(server, `idle${major}__x`)).toEqual(WHOLE);
    const app = await session(server, `idle${major}__x`);
    await giveBack(world, main);
    await app.end().catch(() => {});
    expect(await server.databases()).not.toContain(`idle${major}__x`);
  });

  test('a source that is in use is cloned, its session goes on, and nothing is left', async () => {
    const world = makeWorld();
    const server = at(major);
    const main = await shop(world, await source(server, `busy${major}`));
    const app = await session(server, `busy${major}`);
    for (const branch of ['x', 'y']) {
      const added = await add(world, main, branch, major === 18 ? NEW : {});
      expect([added.code, added.stderr]).toEqual([0, expect.stringContaining(`a clone of busy${major} as it was`)]);
      expect(await content(server, `busy${major}__${branch}`)).toEqual(WHOLE);
    }
    expect((await app.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await giveBack(world, main);
    await app.end();
  });

  test('a client that is newer than the server copies too, every row of it', async () => {
    const world = makeWorld();
    const server = at(major);
    const main = await shop(world, await source(server, `newer${major}`));
    const app = await session(server, `newer${major}`);
    const added = await add(world, main, 'x', NEW);
    expect(added.code, added.stderr).toBe(0);
    expect(await content(server, `newer${major}__x`)).toEqual(WHOLE);
    await giveBack(world, main);
    await app.end();
  });
});

const newestHere = Math.max(...fs.readdirSync('/usr/lib/postgresql').map(Number));
if (newestHere >= 18) console.warn(`Left out: no pg_dump here is older than PostgreSQL 18 (there is ${newestHere}).`);

// With a pg_dump of 18 here there is none that is older, and nothing to see; which is printed above.
test.skipIf(newestHere >= 18)('a pg_dump that is older than the server: what to install, and then up', async () => {
  const world = makeWorld();
  const server = at(18);
  const main = await shop(world, await source(server, 'older'));
  const app = await session(server, 'older');
  const refused = await add(world, main, 'x');
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/pg_dump is version \d+, older than the server's 18, .*`apt install postgresql-client-18`/),
  ]);
  const up = await world.run(path.join(world.root, 'x'), 'git', ['coppice', 'up'], { env: NEW });
  expect(up.code, up.stderr).toBe(0);
  expect(await content(server, 'older__x')).toEqual(WHOLE);
  await giveBack(world, main);
  await app.end();
});

test('on a disk that shares blocks, three clones of 100 MB take less than one of them would', async () => {
  const world = makeWorld();
  const server = at(18);
  const main = await shop(world, await source(server, 'large'));
  await server.sql('large', "insert into item (name) select repeat('x', 900) from generate_series(1, 110000)");
  // Else who reads a clone first writes to each of its pages (hint bits), which ends the sharing.
  await server.sql('large', 'vacuum (freeze) item');
  await server.sql('postgres', 'checkpoint');
  const [{ bytes } = { bytes: 0 }] = await server.sql<{ bytes: number }>('postgres', "select pg_database_size('large')::float8 as bytes");
  expect(bytes).toBeGreaterThan(100e6);
  const before = disk.used();
  for (const branch of ['a', 'b', 'c']) {
    const added = await add(world, main, branch);
    expect(added.code, added.stderr).toBe(0);
    const [size] = await server.sql('postgres', 'select pg_database_size($1)::float8 as bytes', [`large__${branch}`]);
    expect(size?.bytes).toBeGreaterThan(100e6);
    expect(await server.sql(`large__${branch}`, 'select count(*)::int as n from item')).toEqual([{ n: 110_101 }]);
  }
  await server.sql('postgres', 'checkpoint');
  expect((disk.used() - before) / bytes).toBeLessThan(0.75);
  // What one writes is in no other.
  await server.sql('large__a', 'delete from item');
  expect(await server.sql('large__b', 'select count(*)::int as n from item')).toEqual([{ n: 110_101 }]);
  await giveBack(world, main);
});
