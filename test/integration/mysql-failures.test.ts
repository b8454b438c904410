import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { PASSWORD, startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startMariaDb();
}, 120_000);
afterAll(() => server?.stop());

/** What `git worktree add` says when it fails; nothing may be left of it on the server. */
async function failure(world: World, env: string, config = 'resources:\n  DATABASE_URL: mysql\n', vars: NodeJS.ProcessEnv = {}) {
  const before = await server.databases();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': config, '.gitignore': '.env\n' },
    env === '' ? {} : { '.env': env },
  );
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], { env: vars });
  expect(added.code).not.toBe(0);
  expect(await server.databases()).toEqual(before);
  expect(added.stderr).not.toContain(PASSWORD);
  expect(added.stderr).not.toContain('    at ');
  const { code, stderr } = await world.coppice(path.join(world.root, 'x'), 'down');
  expect(code, stderr).toBe(0);
  return added.stderr;
}

test('without .env: what has no value, and what to do', async () => {
  expect(await failure(makeWorld(), '')).toContain("`DATABASE_URL` has no value in the main worktree's env files (.env, .env.local)");
});

test('no URL of MySQL, or one without a database', async () => {
  expect(await failure(makeWorld(), 'DATABASE_URL=postgres://a@localhost/b\n')).toContain('is not a MySQL URL');
  expect(await failure(makeWorld(), `DATABASE_URL=${server.url('')}\n`)).toContain('names no database');
});

test('a server that does not run', async () => {
  expect(await failure(makeWorld(), 'DATABASE_URL=mysql://app:pw@127.0.0.1:1/shop\n')).toContain(
    'No MySQL answers at localhost:1 (ECONNREFUSED). Start it',
  );
});

test('a server on another machine that is named only by the env file', async () => {
  expect(await failure(makeWorld(), 'DATABASE_URL=mysql://app:pw@db.example.com/shop\n')).toContain('is not on this machine');
});

test('a wrong password', async () => {
  const said = await failure(makeWorld(), `DATABASE_URL=mysql://app:wrong-word@127.0.0.1:${server.port}/shop\n`);
  expect(said).toContain('does not let `app` in: Access denied');
  expect(said).not.toContain('wrong-word');
});

test('a source that is not there', async () => {
  expect(await failure(makeWorld(), `DATABASE_URL=${server.url('nothing_here')}\n`)).toContain('There is no database `nothing_here`');
});

test('a user who may not make databases: the statement that lets them works', async () => {
  const world = makeWorld();
  const name = await server.source();
  await server.sql(`CREATE OR REPLACE USER poor@'%' IDENTIFIED BY '${PASSWORD}'`, `GRANT ALL ON \`${name}\`.* TO poor@'%'`);
  // Routines of other users are not theirs to read.
  await server.sql(`DROP PROCEDURE ${name}.add_item`, `DROP FUNCTION ${name}.one`);
  const said = await failure(world, `DATABASE_URL=${server.url(name, 'poor')}\n`);
  const [, grant = ''] = /run: (GRANT .*?);/.exec(said) ?? [];
  expect(grant).toBe(`GRANT ALL PRIVILEGES ON \`${name}\\_\\_%\`.* TO 'poor'@'%'`);
  await server.sql(grant);
  const again = await world.coppice(path.join(world.root, 'x'), 'up');
  expect(again.code, again.stderr).toBe(0);
  expect((await world.coppice(path.join(world.root, 'x'), 'down')).code).toBe(0);
});

test('routines that the user may not read fail the clone, which would lack them', async () => {
  const name = await server.source();
  await server.sql(`CREATE OR REPLACE USER poor@'%' IDENTIFIED BY '${PASSWORD}'`, `GRANT ALL ON \`${name}%\`.* TO poor@'%'`);
  expect(await failure(makeWorld(), `DATABASE_URL=${server.url(name, 'poor')}\n`)).toMatch(/could not be copied: .*privileges/);
});

test('a dump that fails in the middle fails the clone', async () => {
  const name = await server.source();
  await server.sql(
    `CREATE TABLE ${name}.base (id INT)`,
    `CREATE VIEW ${name}.zbroken AS SELECT id FROM ${name}.base`,
    `DROP TABLE ${name}.base`,
  );
  expect(await failure(makeWorld(), `DATABASE_URL=${server.url(name)}\n`)).toMatch(/could not be copied: .*zbroken/);
});

test('a table that somebody has locked', async () => {
  const name = await server.source();
  const connection = await server.connect(name);
  onTestFinished(() => connection.end());
  await connection.query('LOCK TABLES item WRITE');
  expect(await failure(makeWorld(), `DATABASE_URL=${server.url(name)}\n`)).toContain('is locked or being altered by another session');
});

test('a disk that is full', async () => {
  const name = await server.source();
  // MEMORY tables say "is full" as a disk does, at a size that the server is told.
  await server.sql(
    `CREATE TABLE ${name}.m (t CHAR(250)) ENGINE=MEMORY`,
    `USE ${name}`,
    `INSERT INTO m SELECT REPEAT('x', 250) FROM seq_1_to_3000`,
  );
  await server.sql('SET GLOBAL max_heap_table_size = 16384');
  onTestFinished(() => server.sql('SET GLOBAL max_heap_table_size = DEFAULT'));
  expect(await failure(makeWorld(), `DATABASE_URL=${server.url(name)}\n`)).toMatch(/disk is full: .*Make room/);
});

test('a server that is too old', async () => {
  const old = await startMariaDb(['--version=5.5.62-MariaDB']);
  onTestFinished(() => old.stop());
  expect(await failure(makeWorld(), `DATABASE_URL=${old.url('shop')}\n`)).toContain('which is too old: coppice works with MySQL from 5.7');
});

test('no programs to copy with: what to install', async () => {
  const world = makeWorld();
  const name = await server.source();
  const bin = path.join(world.root, 'bin');
  fs.mkdirSync(bin);
  for (const program of ['git', 'sh', 'node', 'sed', 'cat', 'ls', 'test', 'mkdir', 'dirname', 'basename', 'uname']) {
    const found = (process.env.PATH ?? '').split(':').find((folder) => fs.existsSync(path.join(folder, program)));
    if (found !== undefined) fs.symlinkSync(path.join(found, program), path.join(bin, program));
  }
  const said = await failure(world, `DATABASE_URL=${server.url(name)}\n`, undefined, { PATH: bin });
  expect(said).toContain('the programs `mariadb-dump` and `mariadb` are needed');
  expect(said).toContain('mariadb-client');
});

test('a drop behind an open transaction is one sentence, and is kept and listed', async () => {
  const world = makeWorld();
  const name = await server.source();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources:\n  DATABASE_URL: mysql\n', '.gitignore': '.env\n' },
    { '.env': `DATABASE_URL=${server.url(name)}\n` },
  );
  const before = await server.databases();
  await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
  const connection = await server.connect(`${name}__x`);
  await connection.query('START TRANSACTION');
  await connection.query('SELECT * FROM item');
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  const kept = await world.coppice(main, 'gc');
  expect(kept.code).toBe(1);
  expect(kept.stderr).toMatch(new RegExp(`The database ${name}__x is in use by connection \\d+ \\(root from .*\\), so it was not dropped`));
  expect(await server.databases()).toContain(`${name}__x`);
  await connection.query('COMMIT');
  await connection.end();
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(await server.databases()).toEqual(before);
});

test('a password that is not known any more at cleanup: kept and listed, until it is', async () => {
  const world = makeWorld();
  const name = await server.source();
  const env = `DATABASE_URL=${server.url(name)}\n`;
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources:\n  DATABASE_URL: mysql\n', '.gitignore': '.env\n' },
    { '.env': env },
  );
  const before = await server.databases();
  await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
  fs.rmSync(path.join(main, '.env'));
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  const kept = await world.coppice(main, 'gc');
  expect(kept.code).toBe(1);
  expect(kept.stderr).toContain('has no value');
  expect(read(world.root, 'shop/worktree.config.yaml')).toContain('mysql');
  writeFiles(main, { '.env': env });
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(await server.databases()).toEqual(before);
});
