import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PASSWORD, startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startMariaDb();
}, 120_000);
afterAll(() => server.stop());

const IGNORE = '.env\n*.log\n';
let number = 0;

/** A source of its own for each test, with everything that a database can hold. */
async function source(): Promise<string> {
  number += 1;
  const name = `shop${number}`;
  await server.sql(`CREATE DATABASE ${name} CHARACTER SET latin1 COLLATE latin1_german1_ci`);
  const connection = await server.connect(name);
  for (const statement of [
    "CREATE USER IF NOT EXISTS gone@localhost IDENTIFIED BY 'x'",
    'CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name TEXT, raw BLOB, size INT AS (CHAR_LENGTH(name)) STORED) CHARACTER SET utf8mb4',
    'CREATE TABLE line (id INT PRIMARY KEY AUTO_INCREMENT, item INT NOT NULL, FOREIGN KEY (item) REFERENCES item (id))',
    "INSERT INTO item (name, raw) VALUES ('pear 🍐', x'00ff0a0d1a27'), ('CREATE DEFINER=`a`@`b` \\nCREATE DEFINER=`a`@`b` VIEW', 'x')",
    'INSERT INTO line (item) VALUES (1), (2), (2)',
    'CREATE DEFINER=gone@localhost VIEW names AS SELECT name FROM item',
    'CREATE DEFINER=gone@localhost TRIGGER more BEFORE INSERT ON line FOR EACH ROW SET @lines = 1',
    'CREATE DEFINER=gone@localhost PROCEDURE add_item() INSERT INTO item (name) VALUES (1)',
    'CREATE DEFINER=gone@localhost FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1',
    'CREATE DEFINER=gone@localhost EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM line',
    `ALTER DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci`,
  ])
    await connection.query(statement);
  await connection.end();
  return name;
}

async function shop(world: World, config: string, env: string): Promise<string> {
  return world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': IGNORE }, { '.env': env });
}

test('a clone has all of the source, and nothing in it names the source', async () => {
  const world = makeWorld();
  const name = await source();
  const main = await shop(world, 'resources:\n  DATABASE_URL: mysql\n', `DATABASE_URL=${server.url(name)}?charset=utf8mb4\n`);
  const before = await server.databases();
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  console.log(added.stderr);
  expect(added.code, added.stderr).toBe(0);
  const own = `${name}__x`;
  console.log(read(world.root, 'x/.env'));
  console.log(await server.rows('SHOW CREATE DATABASE ??', [own]));
  console.log(await server.rows('SHOW CREATE DATABASE ??', [name]));
  console.log(await server.rows('SELECT ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?', [own]));
  console.log(await server.rows(`SELECT * FROM ${own}.item`));
  const down = await world.coppice(path.join(world.root, 'x'), 'down');
  console.log(down.stderr);
  expect(await server.databases()).toEqual(before);
});
