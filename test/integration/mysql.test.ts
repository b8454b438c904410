import fs from 'node:fs';
import path from 'node:path';
import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { fitName } from '../../src/resources/address.ts';
import { atOnce } from '../fixtures/at-once.ts';
import { records } from '../fixtures/ledger.ts';
import { PASSWORD, startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { makeWorld, type Result, read, type World, writeFiles } from '../fixtures/world.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startMariaDb();
}, 120_000);
afterAll(() => server?.stop());

const CONFIG = 'resources:\n  DATABASE_URL: mysql\n';

async function shop(world: World, env: string, config = CONFIG, more: Record<string, string> = {}): Promise<string> {
  return world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n*.log\n', ...more }, { '.env': env });
}

async function add(world: World, main: string, branch = 'x', folder = 'x'): Promise<{ worktree: string; said: string }> {
  const added = await world.run(main, 'git', ['worktree', 'add', `../${folder}`, '-b', branch]);
  expect(added.code, added.stderr).toBe(0);
  return { worktree: path.join(world.root, folder), said: added.stderr };
}

async function down(world: World, worktree: string): Promise<void> {
  const result = await world.coppice(worktree, 'down');
  expect(result.code, result.stderr).toBe(0);
}

async function count(table: string): Promise<number> {
  return Number((await server.rows(`SELECT COUNT(*) AS n FROM ${table}`))[0]?.n);
}

/** Everything in a world's ledger, and the logs. */
function ledgerText(world: World, main: string): string {
  const texts: string[] = [];
  for (const folder of [world.state, path.join(main, '.git', 'coppice')])
    for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) texts.push(read(entry.parentPath, entry.name));
  return texts.join('\n');
}

test('a clone has all of the source, and nothing in it names the source', async () => {
  const world = makeWorld();
  const name = await server.source();
  const before = await server.databases();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}?charset=utf8mb4\n`);
  const { worktree } = await add(world, main);
  const own = `${name}__x`;
  expect(read(worktree, '.env')).toBe(`DATABASE_URL=${server.url(own)}?charset=utf8mb4\n`);
  for (const table of ['item', 'line'])
    expect(await server.rows(`SELECT * FROM ${own}.${table}`)).toEqual(await server.rows(`SELECT * FROM ${name}.${table}`));
  expect(await count(`${own}.names`)).toBe(2);
  const things = (database: string) =>
    server.rows(
      `SELECT CONCAT('table ', TABLE_NAME, ' ', IFNULL(TABLE_COLLATION, '')) AS thing FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?
        UNION SELECT CONCAT('routine ', ROUTINE_NAME, DATABASE_COLLATION) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?
        UNION SELECT CONCAT('trigger ', TRIGGER_NAME, DATABASE_COLLATION) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?
        UNION SELECT CONCAT('event ', EVENT_NAME, STATUS) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?
        UNION SELECT CONCAT('key ', CONSTRAINT_NAME, REFERENCED_TABLE_NAME) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?
        UNION SELECT CONCAT(DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ? ORDER BY 1`,
      Array(6).fill(database),
    );
  expect(await things(own)).toEqual(await things(name));
  expect((await things(own)).length).toBe(9);
  // What was defined by a user who is gone works.
  const connection = await server.connect(own);
  await connection.query('CALL add_item()');
  await connection.end();
  expect([await count(`${own}.item`), await count(`${name}.item`)]).toEqual([3, 2]);
  await down(world, worktree);
  expect(await server.databases()).toEqual(before);
});

test('a source whose collation was changed is not changed while it is cloned', async () => {
  const world = makeWorld();
  const name = await server.source();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  await server.sql('SET GLOBAL general_log_file = "coppice.log"', 'SET GLOBAL log_output = "TABLE"', 'SET GLOBAL general_log = 1');
  const { worktree } = await add(world, main);
  await server.sql('SET GLOBAL general_log = 0');
  const rows = await server.rows("SELECT argument FROM mysql.general_log WHERE command_type = 'Query'");
  await server.sql('TRUNCATE mysql.general_log');
  const said = rows.map((row) => String(row.argument));
  expect(said.filter((text) => text.startsWith('ALTER DATABASE CHARACTER SET')).length).toBeGreaterThan(0);
  const writes = said.filter((text) => /^\s*(alter|create|drop|insert|update|delete|grant|kill|lock|flush)\b/i.test(text));
  expect(writes.filter((text) => text.includes(`\`${name}\``))).toEqual([]);
  expect(said.filter((text) => /^\s*(kill|lock tables|flush)/i.test(text))).toEqual([]);
  await down(world, worktree);
});

/** Keeps reading and writing pairs that belong together, until told to end. */
function busyClient(connection: Connection): { stop(): Promise<number> } {
  let over = false;
  let rounds = 0;
  const work = async () => {
    while (!over) {
      rounds += 1;
      await connection.query('START TRANSACTION');
      await connection.query('INSERT INTO pair (amount) VALUES (?)', [rounds]);
      await connection.query('INSERT INTO other (amount) VALUES (?)', [-rounds]);
      await connection.query('COMMIT');
      await connection.query('SELECT COUNT(*) FROM pair');
    }
  };
  const working = work();
  return {
    async stop() {
      over = true;
      await working;
      return rounds;
    },
  };
}

function addAtOnce(world: World, main: string, name: string): Promise<Result> {
  return atOnce(() => world.run(main, 'git', ['worktree', 'add', `../${name}`, '-B', name]));
}

test('twenty worktrees added at once from one source that is in use are all ready, each as of one moment', async () => {
  const world = makeWorld();
  const name = await server.source();
  const before = await server.databases();
  await server.sql(
    `CREATE TABLE ${name}.pair (id INT PRIMARY KEY AUTO_INCREMENT, amount INT)`,
    `CREATE TABLE ${name}.other (id INT PRIMARY KEY AUTO_INCREMENT, amount INT)`,
  );
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const connection = await server.connect(name);
  const [session] = (await connection.query('SELECT CONNECTION_ID() AS id'))[0] as { id: number }[];
  const client = busyClient(connection);
  onTestFinished(async () => {
    await client.stop();
    await connection.end();
  });
  const argv = watchArguments();
  const branches = Array.from({ length: 20 }, (_, index) => `b${index}`);
  const added = await Promise.all(branches.map((branch) => addAtOnce(world, main, branch)));
  const seen = argv.stop();
  expect(added.filter(({ code }) => code !== 0).map(({ stderr }) => stderr)).toEqual([]);
  const rounds = await client.stop();
  const [same] = (await connection.query('SELECT CONNECTION_ID() AS id'))[0] as { id: number }[];
  expect(same?.id).toBe(session?.id);
  expect(rounds).toBeGreaterThan(1);
  for (const branch of branches) {
    const own = `${name}__${branch}`;
    expect(await count(`${own}.line`)).toBe(3);
    expect(await count(`${own}.pair`)).toBe(await count(`${own}.other`));
    const [sum] = await server.rows(
      `SELECT (SELECT IFNULL(SUM(amount), 0) FROM ${own}.pair) + (SELECT IFNULL(SUM(amount), 0) FROM ${own}.other) AS n`,
    );
    expect(Number(sum?.n)).toBe(0);
  }
  // The dumps and loads were seen, and a password in none of them.
  expect(seen.filter((text) => text.includes('mariadb-dump')).length).toBeGreaterThan(0);
  expect(seen.filter((text) => text.includes(PASSWORD))).toEqual([]);
  expect(added.map(({ stdout, stderr }) => stdout + stderr).join('\n')).not.toContain(PASSWORD);
  expect((await world.coppice(main, 'status')).stdout).not.toContain(PASSWORD);
  const ledger = ledgerText(world, main);
  expect(ledger).toContain(`${name}__b7`);
  expect(ledger).not.toContain(PASSWORD);
  for (const branch of branches) await world.git(main, 'worktree', 'remove', '--force', `../${branch}`);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(await server.databases()).toEqual(before);
});

/** Every command line on this machine while it runs. */
function watchArguments(): { stop(): string[] } {
  const seen = new Set<string>();
  const look = () => {
    for (const pid of fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
      try {
        seen.add(read('/proc', pid, 'cmdline').replaceAll('\0', ' '));
      } catch {
        // It ended meanwhile.
      }
    }
  };
  const timer = setInterval(look, 20);
  return {
    stop() {
      clearInterval(timer);
      return [...seen];
    },
  };
}

test('what one worktree writes and migrates is in no other', async () => {
  const world = makeWorld();
  const name = await server.source();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  await add(world, main, 'a', 'a');
  await add(world, main, 'b', 'b');
  await server.sql(`ALTER TABLE ${name}__a.line ADD COLUMN note TEXT`, `DELETE FROM ${name}__b.line`);
  expect([await count(`${name}.line`), await count(`${name}__a.line`), await count(`${name}__b.line`)]).toEqual([3, 3, 0]);
  expect(await server.rows(`SHOW COLUMNS FROM ${name}__b.line LIKE 'note'`)).toEqual([]);
  for (const folder of ['a', 'b']) await down(world, path.join(world.root, folder));
});

test('a database that a migration tool drops and makes again is still ours, and goes at the end', async () => {
  const world = makeWorld();
  const name = await server.source();
  const before = await server.databases();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const { worktree } = await add(world, main);
  await server.sql(`DROP DATABASE ${name}__x`, `CREATE DATABASE ${name}__x`, `CREATE TABLE ${name}__x.fresh (id INT)`);
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(await count(`${name}__x.fresh`)).toBe(0);
  await down(world, worktree);
  expect(await server.databases()).toEqual(before);
});

test('one that was dropped by hand is not said to be destroyed', async () => {
  const world = makeWorld();
  const name = await server.source();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const { worktree } = await add(world, main);
  await server.sql(`DROP DATABASE ${name}__x`);
  const result = await world.coppice(worktree, 'down');
  expect(result.code, result.stderr).toBe(0);
  expect(result.stderr).not.toContain('destroyed');
});

test('one that was dropped by hand is made again by up', async () => {
  const world = makeWorld();
  const name = await server.source();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const { worktree } = await add(world, main);
  await server.sql(`DROP DATABASE ${name}__x`);
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(await count(`${name}__x.line`)).toBe(3);
  await down(world, worktree);
});

test('options that change later do not make a database anew', async () => {
  const world = makeWorld();
  const name = await server.source();
  const before = await server.databases();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const { worktree } = await add(world, main);
  await server.sql(`CREATE TABLE ${name}__x.mine (id INT)`);
  writeFiles(worktree, { 'worktree.config.yaml': 'resources:\n  DATABASE_URL: { type: mysql, owns: ["test_{database}*"] }\n' });
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(await count(`${name}__x.mine`)).toBe(0);
  await server.sql(`CREATE DATABASE test_${name}__x`);
  await down(world, worktree);
  expect(await server.databases()).toEqual(before);
});

describe('what test runners derive', () => {
  test('goes with ours, and that of neighbours stays', async () => {
    const world = makeWorld();
    const name = await server.source();
    const before = await server.databases();
    const config = 'resources:\n  DATABASE_URL: { type: mysql, owns: ["test_{database}*", "{database}_test"] }\n';
    await server.sql(`CREATE DATABASE test_${name}__a_old`);
    const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`, config);
    await add(world, main, 'a', 'a');
    await add(world, main, 'ab', 'ab');
    const mine = [`test_${name}__a`, `test_${name}__a_1`, `test_${name}__a-2`, `${name}__a_test`];
    const theirs = [`test_${name}__ab`, `test_${name}__ab_1`, `${name}__ab_test`, `test_${name}__a_1x'; DROP`, `atest_${name}__a`];
    for (const database of [...mine, ...theirs.filter((text) => !text.includes("'"))]) await server.sql(`CREATE DATABASE \`${database}\``);
    await server.sql(`CREATE DATABASE test_${name}__a_marked COMMENT 'coppice another'`);
    await down(world, path.join(world.root, 'a'));
    const left = await server.databases();
    expect(left.filter((database) => mine.includes(database))).toEqual([]);
    expect(left).toEqual(
      [...before, `test_${name}__a_old`, `test_${name}__a_marked`, `${name}__ab`, ...theirs.filter((text) => !text.includes("'"))].sort(),
    );
    await down(world, path.join(world.root, 'ab'));
    await server.sql(...[`test_${name}__a_old`, `test_${name}__a_marked`, `atest_${name}__a`].map((text) => `DROP DATABASE ${text}`));
    expect(await server.databases()).toEqual(before);
  });

  test("that was there before ours is not, nor the source's, whatever `owns:` says later", async () => {
    const world = makeWorld();
    const name = await server.source();
    const config = (owns: string) => `resources:\n  DATABASE_URL: { type: mysql, name: "${name}_{{slug_}}"${owns} }\n`;
    const develop = `${name}_development`;
    await server.sql(`CREATE DATABASE ${develop}`, `CREATE DATABASE ${name}_dev_backup`, `CREATE DATABASE ${name}_dev_backup_2`);
    const before = await server.databases();
    const main = await shop(world, `DATABASE_URL=${server.url(develop)}\n`, config(''));
    const { worktree } = await add(world, main, 'dev');
    // What a person makes from the source by the same rule, and from what was there before.
    const theirs = [`${develop}_test`, `${name}_dev_backup_test`];
    await server.sql(...theirs.map((database) => `CREATE DATABASE ${database}`), `CREATE DATABASE ${name}_dev_test`);
    writeFiles(worktree, { 'worktree.config.yaml': config(', owns: ["{database}*"]') });
    const again = await world.coppice(worktree, 'up');
    expect(again.code, again.stderr).toBe(0);
    await down(world, worktree);
    expect(await server.databases()).toEqual([...before, ...theirs].sort());
  });

  test.for(['renamed in the config', 'lost with the ledger'])(
    'stays when it was there before ours, and the resource is %s',
    async (what) => {
      const world = makeWorld();
      const name = await server.source();
      await server.sql(`CREATE DATABASE ${name}__x_backup`);
      const before = await server.databases();
      const config = 'resources:\n  DATABASE_URL: { type: mysql, owns: ["{database}_*"] }\n';
      const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`, config);
      const { worktree } = await add(world, main);
      if (what === 'lost with the ledger') fs.renameSync(world.state, `${world.state}-lost`);
      else
        writeFiles(worktree, {
          'worktree.config.yaml': 'resources:\n  DB_URL: { type: mysql, from: "{{main.env.DATABASE_URL}}", owns: ["{database}_*"] }\n',
        });
      const again = await world.coppice(worktree, 'up');
      expect(again.code, again.stderr).toBe(0);
      await down(world, worktree);
      const left = await server.databases();
      // What no ledger knows any more is nobody's to drop.
      expect(left).toEqual([...before, ...(what === 'lost with the ledger' ? [`${name}__x`] : [])].sort());
    },
  );

  test('is refused as a pattern that names no database of ours', async () => {
    const world = makeWorld();
    const name = await server.source();
    const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`, 'resources:\n  DATABASE_URL: { type: mysql, owns: ["test_*"] }\n');
    const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    expect(added.code).not.toBe(0);
    expect(added.stderr).toContain('Put `{database}` into it');
  });
});

test('200 databases of others, of names like ours, survive', async () => {
  const world = makeWorld();
  const name = await server.source();
  const config = 'resources:\n  DATABASE_URL: { type: mysql, owns: ["test_{database}*"] }\n';
  const decoys = Array.from(
    { length: 200 },
    (_, index) => [`${name}__x${index}`, `${name}__X_${index}`, `${name}_x${index}`, `${name}__y${index}`][index % 4] ?? '',
  );
  decoys[0] = `${name}__x`;
  const connection = await server.connect();
  for (const [index, decoy] of decoys.entries())
    await connection.query(
      `CREATE DATABASE \`${decoy}\`${index % 3 === 0 ? " COMMENT 'coppice 7f1c3c1e-0000-4000-8000-000000000000 0'" : ''}`,
    );
  await connection.end();
  const before = await server.databases();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`, config);
  const { worktree } = await add(world, main);
  const [own] = (await server.databases()).filter((database) => !before.includes(database));
  expect(own).toMatch(new RegExp(`^${name}__x_[0-9a-f]{8}$`));
  expect(read(worktree, '.env')).toBe(`DATABASE_URL=${server.url(own ?? '')}\n`);
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(read(worktree, '.env')).toBe(`DATABASE_URL=${server.url(own ?? '')}\n`);
  await down(world, worktree);
  expect(await server.databases()).toEqual(before);
  await world.git(main, 'worktree', 'remove', '--force', worktree);
  await world.coppice(main, 'gc');
  expect(await server.databases()).toEqual(before);
  await server.sql(...decoys.map((decoy) => `DROP DATABASE \`${decoy}\``));
});

test('one that bears another mark by now is not dropped, and is said', async () => {
  const world = makeWorld();
  const name = await server.source();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const { worktree } = await add(world, main);
  await server.sql(`ALTER DATABASE ${name}__x COMMENT 'coppice 7f1c3c1e-0000-4000-8000-000000000000 0'`);
  const kept = await world.coppice(worktree, 'down');
  expect(kept.code).toBe(1);
  expect(kept.stderr).toContain('which is not ours any more');
  expect(await server.databases()).toContain(`${name}__x`);
  await server.sql(`DROP DATABASE ${name}__x`);
  await down(world, worktree);
});

test("one that became another's does not make the next name ours", async () => {
  const world = makeWorld();
  const name = await server.source();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const { worktree } = await add(world, main);
  const salted = fitName(`${name}__x`, 48, `${records(world)[0]?.id} DATABASE_URL`);
  await server.sql(`ALTER DATABASE ${name}__x COMMENT 'coppice 7f1c3c1e-0000-4000-8000-000000000000 0'`, `CREATE DATABASE ${salted}`);
  const theirs = await server.databases();
  const again = await world.coppice(worktree, 'up');
  expect(again.code).toBe(1);
  expect(again.stderr).toContain(`there are databases already under every name that this worktree could have (${name}__x, ${salted})`);
  await world.coppice(worktree, 'down');
  expect(await server.databases()).toEqual(theirs);
  await server.sql(`DROP DATABASE ${salted}`, `DROP DATABASE ${name}__x`);
  await down(world, worktree);
});

test('two resources that would have one database: the second is refused in a sentence, with a name of its own it is made', async () => {
  const world = makeWorld();
  const name = await server.source();
  const before = await server.databases();
  const config = 'resources:\n  A_URL: mysql\n  B_URL: mysql\n';
  const main = await shop(world, `A_URL=${server.url(name)}\nB_URL=${server.url(name)}\n`, config);
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  expect(added.code).toBe(1);
  expect(added.stderr).toContain(
    `B_URL would have the database ${name}__x at localhost:${server.port}, as A_URL. Give one of them another \`name:\`.`,
  );
  const worktree = path.join(world.root, 'x');
  writeFiles(worktree, { 'worktree.config.yaml': config.replace('B_URL: mysql', 'B_URL: { type: mysql, name: "other_{{slug_}}" }') });
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  const made = (await server.databases()).filter((database) => !before.includes(database));
  expect(made).toEqual(['other_x', `${name}__x`].sort());
  for (const database of made) expect(await count(`${database}.line`)).toBe(3);
  await down(world, worktree);
  expect(await server.databases()).toEqual(before);
});

describe('how much is copied', () => {
  test('schema: the tables, views and routines without a row', async () => {
    const world = makeWorld();
    const name = await server.source();
    const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`, 'resources:\n  DATABASE_URL: { type: mysql, data: schema }\n');
    const { worktree } = await add(world, main);
    expect([await count(`${name}__x.item`), await count(`${name}__x.names`)]).toEqual([0, 0]);
    await down(world, worktree);
  });

  test('empty: nothing, and with a seed what it makes', async () => {
    const world = makeWorld();
    const name = await server.source();
    const config = 'resources:\n  DATABASE_URL: { type: mysql, data: empty, seed: db/seed.sql }\n';
    const seed =
      "DELIMITER ;;\nCREATE PROCEDURE p() SELECT 1;;\nDELIMITER ;\nCREATE TABLE seeded (t TEXT) CHARACTER SET utf8mb4;\nINSERT INTO seeded VALUES ('é🍐');\n";
    const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`, config, { 'db/seed.sql': seed });
    const { worktree } = await add(world, main);
    expect(await server.rows(`SELECT t FROM ${name}__x.seeded`)).toEqual([{ t: 'é🍐' }]);
    expect(await server.rows('SHOW TABLES FROM ??', [`${name}__x`])).toHaveLength(1);
    await down(world, worktree);
  });

  test('a seed that is a command has the new database in its variable, and its failure leaves nothing', async () => {
    const world = makeWorld();
    const name = await server.source();
    const before = await server.databases();
    const config = `resources:\n  DATABASE_URL: { type: mysql, seed: 'echo "$DATABASE_URL" > seed.log; test -f ok.log' }\n`;
    const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`, config);
    const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    expect(added.code).not.toBe(0);
    expect(added.stderr).toMatch(/the seed `.*` failed: exit code 1/);
    const worktree = path.join(world.root, 'x');
    expect(read(worktree, 'seed.log')).toBe(`${server.url(`${name}__x`)}\n`);
    expect(await server.databases()).toEqual(before);
    writeFiles(worktree, { 'ok.log': '' });
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect(await count(`${name}__x.line`)).toBe(3);
    await down(world, worktree);
    expect(await server.databases()).toEqual(before);
  });

  test('tables that have no snapshot are named', async () => {
    const world = makeWorld();
    const name = await server.source();
    await server.sql(`CREATE TABLE ${name}.old (id INT) ENGINE=MyISAM`);
    const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
    const { worktree, said } = await add(world, main);
    expect(said).toContain('old (MyISAM): not InnoDB');
    await down(world, worktree);
  });
});

test('an app that reads parts gets the name alone', async () => {
  const world = makeWorld();
  const name = await server.source();
  const config = `resources:
  DB:
    type: mysql
    vars: { host: DB_HOST, port: DB_PORT, user: DB_USERNAME, password: DB_PASSWORD, database: DB_DATABASE }
    seed: 'echo "$DB_DATABASE $DB_USERNAME $DB_PASSWORD" > seed.log'
`;
  const env = `APP_NAME=Shop\nDB_CONNECTION=mysql\nDB_HOST=127.0.0.1\nDB_PORT=${server.port}\nDB_DATABASE=${name}\nDB_USERNAME=app\nDB_PASSWORD="${PASSWORD}"\n`;
  const before = await server.databases();
  const main = await shop(world, env, config);
  const { worktree } = await add(world, main);
  expect(read(worktree, '.env')).toBe(env.replace(`DB_DATABASE=${name}`, `DB_DATABASE=${name}__x`));
  expect(read(worktree, 'seed.log')).toBe(`${name}__x app ${PASSWORD}\n`);
  expect(await count(`${name}__x.line`)).toBe(3);
  await down(world, worktree);
  expect(await server.databases()).toEqual(before);
});

test('with admin: the app, which may not make databases, may use its own, and that right goes with it', async () => {
  const world = makeWorld();
  const name = await server.source();
  const before = await server.databases();
  await server.sql(`CREATE OR REPLACE USER poor@'%' IDENTIFIED BY '${PASSWORD}'`, `GRANT ALL ON \`${name}\`.* TO poor@'%'`);
  const grants = await server.rows("SHOW GRANTS FOR poor@'%'");
  const env = `DATABASE_URL=${server.url(name, 'poor')}\nROOT_PASSWORD=${PASSWORD}\n`;
  const admin = `mysql://root:{{main.env.ROOT_PASSWORD}}@127.0.0.1:${server.port}/`;
  const main = await shop(world, env, `resources:\n  DATABASE_URL: { type: mysql, admin: "${admin}" }\n`);
  const { worktree } = await add(world, main);
  expect(await count(`${name}__x.line`)).toBe(3);
  expect(await server.rows("SHOW GRANTS FOR poor@'%'")).toHaveLength(grants.length + 1);
  expect(ledgerText(world, main)).not.toContain(PASSWORD);
  await down(world, worktree);
  expect(await server.databases()).toEqual(before);
  expect(await server.rows("SHOW GRANTS FOR poor@'%'")).toEqual(grants);
});

/** There is no daemon where the tests run: this program is what docker is to us, with a container's own, empty environment. */
const DOCKER = `#!/bin/sh
case "$1" in
  ps) test "$*" = "ps --quiet --filter publish=PORT" && echo cafe;;
  port) echo "PORT/tcp -> 0.0.0.0:PORT"; echo "PORT/tcp -> [::]:PORT";;
  exec) shift
    while :; do case "$1" in
      -i) shift;;
      -e) test "$2" = MYSQL_PWD && PASS="MYSQL_PWD=$MYSQL_PWD"; shift 2;;
      *) break;;
    esac; done
    test "$1" = cafe || exit 1
    shift
    exec env -i PATH=/usr/bin:/bin $PASS "$@";;
esac
`;

test('without programs here, those in the container that publishes the port are used', async () => {
  const world = makeWorld();
  const name = await server.source();
  const before = await server.databases();
  const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
  const bin = path.join(world.root, 'bin');
  fs.mkdirSync(bin);
  const needed = ['git', 'sh', 'node', 'sed', 'cat', 'test', 'mkdir', 'dirname', 'basename', 'uname', 'env'];
  for (const program of needed) {
    const folder = (process.env.PATH ?? '').split(':').find((each) => fs.existsSync(path.join(each, program)));
    if (folder !== undefined) fs.symlinkSync(path.join(folder, program), path.join(bin, program));
  }
  writeFiles(bin, { docker: DOCKER.replaceAll('PORT', String(server.port)) });
  fs.chmodSync(path.join(bin, 'docker'), 0o755);
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], { env: { PATH: bin } });
  expect(added.code, added.stderr).toBe(0);
  expect(await count(`${name}__x.line`)).toBe(3);
  await down(world, path.join(world.root, 'x'));
  expect(await server.databases()).toEqual(before);
});

describe('hostile names', () => {
  test.for(["'; DROP TABLE x; --", '$(touch$IFS"pwned)`id`', 'ünï/çødé🍐', `long-${'x'.repeat(180)}`])('a branch %j', async (branch) => {
    const world = makeWorld();
    const name = await server.source();
    const before = await server.databases();
    const main = await shop(world, `DATABASE_URL=${server.url(name)}\n`);
    const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', branch.replaceAll(' ', '\u00a0')]);
    expect(added.code, added.stderr).toBe(0);
    const [own = ''] = (await server.databases()).filter((database) => !before.includes(database));
    expect(Buffer.byteLength(own)).toBeLessThanOrEqual(48);
    expect((await server.rows(`SELECT * FROM \`${own}\`.line`)).length).toBe(3);
    await down(world, path.join(world.root, 'x'));
    expect(await server.databases()).toEqual(before);
  });

  test.for(["a`b'; DROP DATABASE mysql; --", '-rf $(id) %_', 'é"\\é*'])('a database %j', async (name) => {
    const world = makeWorld();
    const id = `\`${name.replaceAll('`', '``')}\``;
    await server.sql(`CREATE DATABASE ${id} CHARACTER SET latin1`, `CREATE TABLE ${id}.line (id INT)`, `INSERT INTO ${id}.line VALUES (1)`);
    await server.sql(
      `CREATE VIEW ${id}.v AS SELECT id FROM ${id}.line`,
      `CREATE PROCEDURE ${id}.p() SELECT 1`,
      `ALTER DATABASE ${id} CHARACTER SET utf8mb4`,
    );
    const before = await server.databases();
    const main = await shop(
      world,
      `DATABASE_URL='${server.url(name).replaceAll("'", '%27')}'\n`,
      'resources:\n  DATABASE_URL: { type: mysql, owns: ["test_{database}*"] }\n',
    );
    const { worktree } = await add(world, main);
    const own = `\`${`${name}__x`.replaceAll('`', '``')}\``;
    expect((await server.rows(`SELECT * FROM ${own}.v`)).length).toBe(1);
    expect(
      (await server.rows('SELECT DEFAULT_CHARACTER_SET_NAME AS c FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?', [name]))[0]?.c,
    ).toBe('utf8mb4');
    await down(world, worktree);
    expect(await server.databases()).toEqual(before);
    await server.sql(`DROP DATABASE ${id}`);
  });

  test.for(['x'.repeat(65), 'mysql', 'ends with a space '])('name: %j is refused', async (name) => {
    const world = makeWorld();
    const source = await server.source();
    const before = await server.databases();
    const main = await shop(
      world,
      `DATABASE_URL=${server.url(source)}\n`,
      `resources:\n  DATABASE_URL: { type: mysql, name: "${name}" }\n`,
    );
    const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    expect(added.code).not.toBe(0);
    expect(added.stderr).toContain('`name:` gives');
    expect(await server.databases()).toEqual(before);
  });
});
