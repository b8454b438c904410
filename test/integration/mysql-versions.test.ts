import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { PASSWORD, startMysql, type TestServer } from '../fixtures/servers/mysql.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

/** What mysql.test.ts claims of MariaDB, in its main parts, of MySQL: with its own programs, and with its binary log. */
let server: TestServer;
beforeAll(async () => {
  server = await startMysql();
}, 300_000);
afterAll(() => server?.stop());

async function shop(env: string, config = 'resources:\n  DATABASE_URL: mysql\n', clients = server.bin) {
  const world = makeWorld();
  world.env.PATH = `${clients}:${process.env.PATH}`;
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': env });
  return { world, main };
}

function add(world: World, main: string, branch: string) {
  return world.run(main, 'git', ['worktree', 'add', `../${branch}`, '-b', branch]);
}

async function giveBack(world: World, main: string): Promise<void> {
  for (const name of fs.readdirSync(world.root).filter((entry) => fs.existsSync(path.join(world.root, entry, '.git'))))
    if (name !== 'shop') await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(records(world)).toEqual([]);
}

async function count(table: string): Promise<number> {
  return Number((await server.rows(`SELECT COUNT(*) AS n FROM ${table}`))[0]?.n);
}

test('it is a MySQL, and its binary log is on, as it comes', async () => {
  const [about] = await server.rows('SELECT VERSION() AS version, @@version_comment AS comment, @@log_bin AS log');
  expect(about).toMatchObject({ version: expect.stringMatching(/^(8|9|\d\d)\.\d+/), log: 1 });
  expect(`${about?.version}${about?.comment}`).not.toMatch(/mariadb/i);
});

test('a source that is in use is cloned with all that it has, one that was dropped by hand is made again, and nothing is left', async () => {
  const name = await server.source();
  const before = await server.databases();
  const { world, main } = await shop(`DATABASE_URL=${server.url(name)}?charset=utf8mb4\n`);
  const app = await server.connect(name);
  await app.query('START TRANSACTION');
  await app.query('INSERT INTO item (name) VALUES (1)');
  const added = await add(world, main, 'x');
  expect(added.code, added.stderr).toBe(0);
  const own = `${name}__x`;
  const worktree = path.join(world.root, 'x');
  expect(read(worktree, '.env')).toBe(`DATABASE_URL=${server.url(own)}?charset=utf8mb4\n`);
  expect(await server.rows(`SELECT * FROM ${own}.item`)).toEqual(await server.rows(`SELECT * FROM ${name}.item`));
  // Without what is not committed.
  expect([await count(`${own}.item`), await count(`${own}.names`), await count(`${own}.line`)]).toEqual([2, 2, 3]);
  await app.query('COMMIT');
  await app.end();
  const things = (database: string) =>
    server.rows(
      `SELECT CONCAT('table ', TABLE_NAME) AS thing FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?
        UNION SELECT CONCAT('routine ', ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?
        UNION SELECT CONCAT('trigger ', TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?
        UNION SELECT CONCAT('event ', EVENT_NAME, STATUS) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?
        UNION SELECT CONCAT(DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ? ORDER BY 1`,
      Array(5).fill(database),
    );
  expect(await things(own)).toEqual(await things(name));
  expect((await things(own)).length).toBe(8);

  await server.sql(`DROP DATABASE ${own}`);
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(await count(`${own}.item`)).toBe(3);
  await giveBack(world, main);
  expect(await server.databases()).toEqual(before);
});

test('six worktrees at once, and one that has its tables alone', async () => {
  const name = await server.source();
  const before = await server.databases();
  const { world, main } = await shop(
    `DATABASE_URL=${server.url(name)}\n`,
    'resources:\n  DATABASE_URL: mysql\n  TEST_URL: { type: mysql, from: "{{main.env.DATABASE_URL}}", data: schema, name: "test_{{slug_}}" }\n',
  );
  // git itself can fail when it looks at the admin directory that another add is making: all are added, then brought up.
  const branches = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const branch of branches) await world.run(main, 'git', ['worktree', 'add', `../${branch}`, '-b', branch], { env: { COPPICE: '0' } });
  const ups = await Promise.all(branches.map((branch) => world.coppice(path.join(world.root, branch), 'up')));
  expect(ups.filter(({ code }) => code !== 0).map(({ stderr }) => stderr)).toEqual([]);
  for (const branch of branches) {
    expect(await count(`${name}__${branch}.line`)).toBe(3);
    expect(await count(`test_${branch}.line`)).toBe(0);
  }
  await giveBack(world, main);
  expect(await server.databases()).toEqual(before);
});

test('with `admin:` and triggers: what lets the app have them, then up, and that right goes with the database', async () => {
  const name = await server.source();
  const before = await server.databases();
  await server.sql(`CREATE USER poor@'%' IDENTIFIED BY '${PASSWORD}'`, `GRANT ALL ON \`${name}\`.* TO poor@'%'`);
  const grants = await server.rows("SHOW GRANTS FOR poor@'%'");
  const admin = `mysql://root:{{main.env.ROOT_PASSWORD}}@127.0.0.1:${server.port}/`;
  const { world, main } = await shop(
    `DATABASE_URL=${server.url(name, 'poor')}\nROOT_PASSWORD=${PASSWORD}\n`,
    `resources:\n  DATABASE_URL: { type: mysql, admin: "${admin}" }\n`,
  );
  const refused = await add(world, main, 'x');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('`SET PERSIST log_bin_trust_function_creators = 1`')]);
  await server.sql('SET GLOBAL log_bin_trust_function_creators = 1');
  const up = await world.coppice(path.join(world.root, 'x'), 'up');
  await server.sql('SET GLOBAL log_bin_trust_function_creators = 0');
  expect(up.code, up.stderr).toBe(0);
  expect(await count(`${name}__x.line`)).toBe(3);
  await giveBack(world, main);
  expect(await server.databases()).toEqual(before);
  expect(await server.rows("SHOW GRANTS FOR poor@'%'")).toEqual(grants);
});

test('another MySQL that answers at its port has nothing of ours: databases have no comment there', async () => {
  const name = await server.source();
  const { world, main } = await shop(`DATABASE_URL=${server.url(name)}\n`);
  expect((await add(world, main, 'x')).code).toBe(0);
  const worktree = path.join(world.root, 'x');
  await server.kill();
  onTestFinished(() => server.start());
  const other = await startMysql([], server.port);
  onTestFinished(() => other.stop());
  await other.sql(`CREATE DATABASE ${name}`, `CREATE DATABASE ${name}__x`, `CREATE TABLE ${name}__x.precious (id INT)`);
  const before = await other.databases();
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(read(worktree, '.env')).toMatch(new RegExp(`/${name}__x_[0-9a-f]{8}\n$`));
  const kept = await world.coppice(worktree, 'down');
  expect([kept.code, kept.stderr]).toEqual([1, expect.stringContaining('Another server answers at')]);
  expect(await other.databases()).toEqual(before);
  await other.kill();
  await server.start();
  await giveBack(world, main);
  expect(await server.databases()).not.toContain(`${name}__x`);
}, 300_000);

test("MariaDB's programs alone copy what they can, and what they cannot is said", async () => {
  await server.sql('CREATE DATABASE simple', 'CREATE TABLE simple.item (id INT)', 'INSERT INTO simple.item VALUES (1)');
  const simple = await shop(`DATABASE_URL=${server.url('simple')}\n`, undefined, '/nowhere');
  const added = await add(simple.world, simple.main, 'x');
  expect(added.code, added.stderr).toBe(0);
  expect(await count('simple__x.item')).toBe(1);
  await giveBack(simple.world, simple.main);

  const name = await server.source();
  const { world, main } = await shop(`DATABASE_URL=${server.url(name)}\n`, undefined, '/nowhere');
  const refused = await add(world, main, 'x');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("install MySQL's own, `mysqldump` and `mysql`")]);
  await giveBack(world, main);
  expect(await server.databases()).not.toContain(`${name}__x`);
});
