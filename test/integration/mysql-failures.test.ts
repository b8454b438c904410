import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { PASSWORD, startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { CLI, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

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

test('a wrong password: it is said where it was read', async () => {
  const env = `DATABASE_URL=${server.url('shop')}\nOTHER_URL=mysql://app:wrong-word@127.0.0.1:${server.port}/shop\n`;
  const files = "the main worktree's env files (.env, .env.local)";
  const own = await failure(makeWorld(), env.replaceAll(PASSWORD, 'wrong-word'));
  expect(own).toContain(`User and password come from \`DATABASE_URL\` of ${files}.`);
  for (const option of ['from', 'admin']) {
    const config = `resources:\n  DATABASE_URL: { type: mysql, ${option}: "{{main.env.OTHER_URL}}" }\n`;
    const said = await failure(makeWorld(), env, config);
    expect(said).toContain(`come from \`${option}:\` of DATABASE_URL in the config, which reads \`OTHER_URL\` of ${files}.`);
  }
  const parts = 'resources:\n  DB: { type: mysql, vars: { user: DB_USER, password: DB_PASS, port: DB_PORT, database: DB_NAME } }\n';
  const said = await failure(makeWorld(), `DB_USER=app\nDB_PASS=wrong-word\nDB_NAME=shop\nDB_PORT=${server.port}\n`, parts);
  expect(said).toContain(`come from \`DB_USER\` and \`DB_PASS\` of ${files}.`);
});

test('sessions in a database of a name that differs only in case are not ended, and its tables are not ours', async () => {
  const world = makeWorld();
  const name = `Case${process.pid}`;
  const theirs = `${name.toLowerCase()}__x`;
  const made = [name, theirs, name.toLowerCase()];
  onTestFinished(() => server.sql(...made.map((database) => `DROP DATABASE IF EXISTS \`${database}\``)));
  await server.sql(...made.map((database) => `CREATE DATABASE ${database}`), `CREATE TABLE ${name}.line (id INT)`);
  await server.sql(`CREATE TABLE ${theirs}.precious (id INT)`, `ALTER DATABASE ${name.toLowerCase()} CHARACTER SET cp850`);
  const connection = await server.connect(theirs);
  onTestFinished(() => connection.end());
  await connection.query('START TRANSACTION');
  await connection.query('INSERT INTO precious VALUES (1)');
  const config = 'resources:\n  DATABASE_URL: { type: mysql, seed: "exit 7" }\n';
  expect(await failure(world, `DATABASE_URL=${server.url(name)}\n`, config)).toContain('exit code 7');
  await connection.query('COMMIT');
  expect(await server.rows(`SELECT id FROM ${theirs}.precious`)).toHaveLength(1);
  const worktree = path.join(world.root, 'x');
  writeFiles(worktree, { 'worktree.config.yaml': 'resources:\n  DATABASE_URL: mysql\n' });
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  const charsets = await server.rows(
    'SELECT SCHEMA_NAME AS name, DEFAULT_CHARACTER_SET_NAME AS charset FROM information_schema.SCHEMATA WHERE BINARY SCHEMA_NAME IN (?, ?)',
    [name, `${name}__x`],
  );
  expect(charsets).toHaveLength(2);
  expect(charsets[0]?.charset).toBe(charsets[1]?.charset);
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
});

describe('a server that is there and says nothing', () => {
  /** Connections to the server of processes here, open at this moment. */
  function connections(): number {
    const port = `:${server.port.toString(16).toUpperCase().padStart(4, '0')}`;
    return read('/proc/net/tcp')
      .split('\n')
      .filter((line) => line.trim().split(/\s+/)[2]?.endsWith(port) && line.trim().split(/\s+/)[3] === '01').length;
  }

  async function added() {
    const world = makeWorld();
    const name = await server.source();
    const config = 'resources:\n  DATABASE_URL: mysql\n';
    const env = `DATABASE_URL=${server.url(name)}\n`;
    const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': env });
    await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
    return { world, name, worktree: path.join(world.root, 'x') };
  }

  test.for(['up', 'down'])('%s that is interrupted ends while it says nothing, and goes on when it speaks again', async (verb) => {
    const { world, name, worktree } = await added();
    await until(() => connections() === 0, 'the end of all connections');
    server.pause();
    onTestFinished(() => server.resume());
    const run = start(world, worktree, process.execPath, [CLI, verb]);
    await until(() => connections() > 0, 'the connection');
    run.child.kill('SIGINT');
    const { code, stderr } = await run.ended;
    expect(code).toBe(130);
    expect(stderr).toContain(`interrupted, before the MySQL server at localhost:${server.port} had answered`);
    server.resume();
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    expect(await server.databases()).not.toContain(`${name}__x`);
  });

  test('without an interrupt it is said that it does not answer', async () => {
    const { world, worktree } = await added();
    server.pause();
    onTestFinished(() => server.resume());
    const { stderr } = await world.coppice(worktree, 'down');
    expect(stderr).toContain(`The MySQL server at localhost:${server.port} does not answer (ETIMEDOUT)`);
    server.resume();
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
  });

  test('a statement that waits behind a lock is given up when it is interrupted', async () => {
    const { world, name, worktree } = await added();
    const connection = await server.connect(`${name}__x`);
    onTestFinished(() => connection.destroy());
    await connection.query('START TRANSACTION');
    await connection.query('SELECT * FROM item');
    const run = start(world, worktree, process.execPath, [CLI, 'down']);
    const waits = "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock'";
    await until(async () => (await server.rows(waits)).length > 0, 'the drop');
    run.child.kill('SIGINT');
    expect((await run.ended).stderr).toContain('interrupted, before the MySQL server');
    expect(await server.databases()).toContain(`${name}__x`);
    await connection.query('COMMIT');
    await connection.end();
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    expect(await server.databases()).not.toContain(`${name}__x`);
  });
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
