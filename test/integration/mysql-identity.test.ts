import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { PASSWORD, startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { CLI, makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

/** Two servers that have one port, and run by turns: of two projects, or before and after `docker compose down --volumes`. */
let first: TestServer;
let second: TestServer;
beforeAll(async () => {
  first = await startMariaDb();
  await first.kill();
  second = await startMariaDb([], first.port);
}, 120_000);
afterAll(async () => {
  await first?.stop();
  await second?.stop();
});
beforeEach(() => swap(second, first));

async function swap(from: TestServer, to: TestServer): Promise<void> {
  await from.kill();
  await to.start();
}

const CONFIG = 'resources:\n  DATABASE_URL: mysql\n';

async function shop(world: World, env: string, config = CONFIG): Promise<{ main: string; worktree: string; said: string }> {
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': env });
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  expect(added.code, added.stderr).toBe(0);
  return { main, worktree: path.join(world.root, 'x'), said: added.stderr };
}

async function up(world: World, worktree: string): Promise<string> {
  const result = await world.coppice(worktree, 'up');
  expect(result.code, result.stderr).toBe(0);
  return result.stderr;
}

/** Everything must go, and nothing be on record. */
async function down(world: World, worktree: string): Promise<string> {
  const result = await world.coppice(worktree, 'down');
  expect(result.code, result.stderr).toBe(0);
  expect(records(world)[0]?.left).toEqual([]);
  return result.stderr;
}

function url(worktree: string): string {
  return /DATABASE_URL=(.*)/.exec(read(worktree, '.env'))?.[1] ?? '';
}

describe('another server that answers at the address of ours', () => {
  /** A source on both, and on the second what a person has under the name that ours has. */
  async function both(): Promise<string> {
    const name = await first.source();
    await swap(first, second);
    await second.sql(`DROP DATABASE IF EXISTS ${name}`, `DROP DATABASE IF EXISTS ${name}__x`);
    await second.sql(`CREATE DATABASE ${name}`, `CREATE TABLE ${name}.theirs (id INT)`);
    await second.sql(`CREATE DATABASE ${name}__x`, `CREATE TABLE ${name}__x.precious (id INT)`);
    await swap(second, first);
    return name;
  }

  test('up makes one there beside what has its name, and down leaves alone what it did not make, until each answers again', async () => {
    const world = makeWorld();
    const name = await both();
    const { worktree } = await shop(world, `DATABASE_URL=${first.url(name)}\n`);
    const onFirst = await first.databases();
    await swap(first, second);
    const before = await second.databases();
    expect(await up(world, worktree)).toContain(
      `Another server answers at localhost:${first.port} now than the one that has ${name}__x: that one stays on record`,
    );
    const [own] = (await second.databases()).filter((database) => !before.includes(database));
    expect(own).toMatch(new RegExp(`^${name}__x_[0-9a-f]{8}$`));
    expect(url(worktree)).toBe(second.url(own ?? ''));
    expect(records(world)[0]?.left).toMatchObject([{ name: 'DATABASE_URL', made: { database: `${name}__x` } }]);
    const kept = await world.coppice(worktree, 'down');
    expect(kept.code).toBe(1);
    expect(kept.stderr).toContain(`Another server answers at localhost:${first.port} now than the one that has \`${name}__x\``);
    expect(await second.databases()).toEqual(before);
    expect(records(world)[0]?.left).toMatchObject([{ made: { database: `${name}__x` } }]);
    await swap(second, first);
    expect(await first.databases()).toEqual(onFirst);
    expect(await down(world, worktree)).toContain(`database ${name}__x destroyed`);
    expect(await first.databases()).not.toContain(`${name}__x`);
  });

  test('down and gc touch nothing there, and keep the record', async () => {
    const world = makeWorld();
    const name = await both();
    const { main, worktree } = await shop(world, `DATABASE_URL=${first.url(name)}\n`);
    await swap(first, second);
    const before = await second.databases();
    expect((await world.coppice(worktree, 'down')).code).toBe(1);
    await world.git(main, 'worktree', 'remove', '--force', worktree);
    const gc = await world.coppice(main, 'gc');
    expect(gc.code).toBe(1);
    expect(gc.stderr).toContain('nothing there is touched');
    expect(await second.databases()).toEqual(before);
    await swap(second, first);
    expect((await world.coppice(main, 'gc')).code).toBe(0);
    expect(await first.databases()).not.toContain(`${name}__x`);
    expect(records(world)).toEqual([]);
  });

  test('whoever comes back to a server finds what was left there, as often as it is', async () => {
    const world = makeWorld();
    const name = await both();
    const { worktree } = await shop(world, `DATABASE_URL=${first.url(name)}\n`);
    await first.sql(`CREATE TABLE ${name}__x.mine (id INT)`);
    await swap(first, second);
    await up(world, worktree);
    const there = url(worktree);
    for (let turns = 0; turns < 2; turns += 1) {
      await swap(second, first);
      await up(world, worktree);
      expect(url(worktree)).toBe(first.url(`${name}__x`));
      expect(await first.rows(`SHOW TABLES FROM ${name}__x LIKE 'mine'`)).toHaveLength(1);
      await swap(first, second);
      await up(world, worktree);
      expect(url(worktree)).toBe(there);
      expect(records(world)[0]?.left).toHaveLength(1);
    }
    expect((await second.databases()).filter((database) => database.startsWith(`${name}__x_`))).toHaveLength(1);
    expect((await world.coppice(worktree, 'down')).code).toBe(1);
    await swap(second, first);
    await down(world, worktree);
    expect(await first.databases()).not.toContain(`${name}__x`);
  });

  test.for([2, 4, 5, 6, 7, 8, 9, 11])('up there, killed after its %i. entry: the next one ends well, and so does down', async (point) => {
    const world = makeWorld();
    const name = await both();
    const { worktree } = await shop(world, `DATABASE_URL=${first.url(name)}\n`);
    await swap(first, second);
    const before = await second.databases();
    const env = killedAfter(point);
    const killed = await world.run(worktree, process.execPath, [CLI, 'up'], { env });
    expect(killed.signal).toBe('SIGKILL');
    await up(world, worktree);
    expect((await second.databases()).filter((database) => !before.includes(database))).toHaveLength(1);
    expect((await world.coppice(worktree, 'down')).code).toBe(1);
    expect(await second.databases()).toEqual(before);
    await swap(second, first);
    await down(world, worktree);
    expect(await first.databases()).not.toContain(`${name}__x`);
  });

  test('a user who sees nothing of the server itself: only the mark, or the same host and data directory, proves it', async () => {
    const world = makeWorld();
    const name = await both();
    const poor = [`CREATE OR REPLACE USER poor@'%' IDENTIFIED BY '${PASSWORD}'`, `GRANT ALL ON \`${name}%\`.* TO poor@'%'`];
    await first.sql(...poor, `DROP PROCEDURE ${name}.add_item`, `DROP FUNCTION ${name}.one`);
    const { worktree } = await shop(world, `DATABASE_URL=${first.url(name, 'poor')}\n`);
    expect(records(world)[0]?.resources.DATABASE_URL?.made.identity).not.toContain('birth');
    // As a migration tool does: the mark is gone, the server is the same.
    await first.sql(`DROP DATABASE ${name}__x`, `CREATE DATABASE ${name}__x`, `CREATE TABLE ${name}__x.mine (id INT)`);
    await up(world, worktree);
    expect(url(worktree)).toBe(first.url(`${name}__x`, 'poor'));
    await swap(first, second);
    await second.sql(...poor);
    const before = await second.databases();
    expect((await world.coppice(worktree, 'down')).code).toBe(1);
    expect(await second.databases()).toEqual(before);
    await swap(second, first);
    await down(world, worktree);
    expect(await first.databases()).not.toContain(`${name}__x`);
  });
});

test('two sockets are two servers: what is on one is not looked for on the other', async () => {
  const world = makeWorld();
  const other = await startMariaDb();
  onTestFinished(() => other.stop());
  const name = await first.source();
  await other.sql(`CREATE DATABASE ${name}`, `CREATE DATABASE ${name}__x`, `CREATE TABLE ${name}__x.precious (id INT)`);
  const env = (server: TestServer) => `DATABASE_URL=mysql://root:${PASSWORD}@localhost/${name}?socket=${server.socket}\n`;
  const { main, worktree, said } = await shop(world, env(first));
  expect(said).toContain(`${name}__x on ${first.socket}`);
  const theirs = await other.databases();
  writeFiles(main, { '.env': env(other) });
  await up(world, worktree);
  expect(url(worktree)).toMatch(new RegExp(`/${name}__x_[0-9a-f]{8}\\?socket=${other.socket}$`));
  const kept = await world.coppice(worktree, 'down');
  expect(kept.code).toBe(1);
  expect(kept.stderr).toContain(`\`${name}__x\` is on ${first.socket}, and ${other.socket}, which \`DATABASE_URL\` of`);
  expect(await other.databases()).toEqual(theirs);
  expect(await first.databases()).toContain(`${name}__x`);
  writeFiles(main, { '.env': env(first) });
  await down(world, worktree);
  expect(await first.databases()).not.toContain(`${name}__x`);
});

describe('admin', () => {
  /** One that has several addresses: 127.0.0.2 is another server by name. */
  let server: TestServer;
  beforeAll(async () => {
    server = await startMariaDb(['--bind-address=127.0.0.1,127.0.0.2,::1']);
  }, 120_000);
  afterAll(() => server?.stop());

  async function poor(name: string): Promise<void> {
    await server.sql(`CREATE OR REPLACE USER poor@'%' IDENTIFIED BY '${PASSWORD}'`, `GRANT ALL ON \`${name}\`.* TO poor@'%'`);
    await server.sql(`CREATE OR REPLACE USER maker@'%' IDENTIFIED BY '${PASSWORD}'`, "GRANT ALL ON *.* TO maker@'%' WITH GRANT OPTION");
  }
  const config = 'resources:\n  DATABASE_URL: { type: mysql, admin: "{{main.env.ADMIN_URL}}" }\n';

  test('is the same server by another address: all goes as with one, up to the end', async () => {
    const world = makeWorld();
    const name = await server.source();
    const before = await server.databases();
    await poor(name);
    const env = `DATABASE_URL=${server.url(name, 'poor')}\nADMIN_URL=mysql://maker:${PASSWORD}@127.0.0.2:${server.port}/\n`;
    const { main, worktree } = await shop(world, env, config);
    expect(await server.databases()).toContain(`${name}__x`);
    await up(world, worktree);
    expect(await down(world, worktree)).toContain(`database ${name}__x destroyed`);
    expect(await server.databases()).toEqual(before);
    await world.git(main, 'worktree', 'remove', '--force', worktree);
    expect((await world.coppice(main, 'gc')).code).toBe(0);
    expect(records(world)).toEqual([]);
  });

  test('is another server: it is said, and nothing is made', async () => {
    const world = makeWorld();
    const name = await server.source();
    const before = [await server.databases(), await first.databases()];
    await poor(name);
    const env = `DATABASE_URL=${server.url(name, 'poor')}\nADMIN_URL=${first.url('')}\n`;
    const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': env });
    const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    expect(added.code).not.toBe(0);
    expect(added.stderr).toContain(`\`admin:\` names another server than localhost:${server.port}`);
    expect([await server.databases(), await first.databases()]).toEqual(before);
    expect(await down(world, path.join(world.root, 'x'))).not.toContain('destroyed');
  });

  test.for(['localhost', '127.0.0.1', '[::1]'])('and the host %s: it is copied, and a file of SQL is loaded', async (host) => {
    const world = makeWorld();
    const name = await server.source();
    const before = await server.databases();
    const env = `DATABASE_URL=mysql://app:${PASSWORD}@${host}:${server.port}/${name}\n`;
    const seeded = 'resources:\n  DATABASE_URL: { type: mysql, seed: seed.sql }\n';
    const main = await world.repository(
      'shop',
      { 'worktree.config.yaml': seeded, '.gitignore': '.env\n', 'seed.sql': 'DELETE FROM line WHERE id = 1;\n' },
      { '.env': env },
    );
    const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    expect(added.code, added.stderr).toBe(0);
    expect(await server.rows(`SELECT id FROM ${name}__x.line`)).toHaveLength(2);
    await down(world, path.join(world.root, 'x'));
    expect(await server.databases()).toEqual(before);
  });
});

describe('what the config says changes', () => {
  test('name: another is made, and the earlier one goes with the next down', async () => {
    const world = makeWorld();
    const name = await first.source();
    const before = await first.databases();
    const { worktree } = await shop(world, `DATABASE_URL=${first.url(name)}\n`);
    writeFiles(worktree, { 'worktree.config.yaml': `resources:\n  DATABASE_URL: { type: mysql, name: "${name}_own_{{slug_}}" }\n` });
    await up(world, worktree);
    expect(url(worktree)).toBe(first.url(`${name}_own_x`));
    expect(await first.databases()).toEqual([...before, `${name}__x`, `${name}_own_x`].sort());
    const said = await down(world, worktree);
    for (const database of [`${name}__x`, `${name}_own_x`]) expect(said).toContain(`database ${database} destroyed`);
    expect(await first.databases()).toEqual(before);
  });

  test('from, under one name: another is made of the new source, and back again is the first, as it was', async () => {
    const world = makeWorld();
    const [one, two] = [await first.source(), await first.source()];
    await first.sql(`CREATE TABLE ${two}.second (id INT)`);
    const before = await first.databases();
    const config = (variable: string) =>
      `resources:\n  DATABASE_URL: { type: mysql, from: "{{main.env.${variable}}}", name: "own_${one}_{{slug_}}", owns: ["{database}*"] }\n`;
    const { worktree } = await shop(world, `ONE=${first.url(one)}\nTWO=${first.url(two)}\n`, config('ONE'));
    await first.sql(`CREATE TABLE own_${one}_x.mine (id INT)`);
    writeFiles(worktree, { 'worktree.config.yaml': config('TWO') });
    await up(world, worktree);
    const database = url(worktree).replace(/.*\//, '');
    expect(database).toMatch(new RegExp(`^own_${one}_x_[0-9a-f]{8}$`));
    expect(await first.rows(`SHOW TABLES FROM ${database} LIKE 'second'`)).toHaveLength(1);
    writeFiles(worktree, { 'worktree.config.yaml': config('ONE') });
    await up(world, worktree);
    expect(url(worktree)).toBe(first.url(`own_${one}_x`));
    expect(await first.rows(`SHOW TABLES FROM own_${one}_x LIKE 'mine'`)).toHaveLength(1);
    expect(records(world)[0]?.left).toMatchObject([{ made: { database } }]);
    await down(world, worktree);
    expect(await first.databases()).toEqual(before);
    expect(fs.readdirSync(path.join(world.state, 'claims')).filter((claim) => claim.startsWith('database-'))).toEqual([]);
  });

  test('data: the database stays, and it is said how to have it otherwise', async () => {
    const world = makeWorld();
    const name = await first.source();
    const { worktree, said } = await shop(world, `DATABASE_URL=${first.url(name)}\n`);
    writeFiles(worktree, { 'worktree.config.yaml': 'resources:\n  DATABASE_URL: { type: mysql, data: schema }\n' });
    const line = `${name}__x was made with \`data: clone\`; \`git coppice down\`, then \`git coppice up\` makes it anew`;
    expect(said).not.toContain('was made with');
    expect(await up(world, worktree)).toContain(line);
    expect(await up(world, worktree)).toContain(line);
    expect(await first.rows(`SELECT id FROM ${name}__x.line`)).toHaveLength(3);
    await down(world, worktree);
    expect(await up(world, worktree)).not.toContain('was made with');
    expect(await first.rows(`SELECT id FROM ${name}__x.line`)).toHaveLength(0);
    await down(world, worktree);
  });
});
