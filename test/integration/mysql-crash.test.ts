import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { countPoints, killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { makeWorld, read, start, until, type World } from '../fixtures/world.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startMariaDb();
}, 120_000);
afterAll(() => server?.stop());

const CONFIG = 'resources:\n  DATABASE_URL: { type: mysql, owns: ["test_{database}*"] }\n';
/** How many writes to the journal a set-up makes; the first test says when it is not so any more. */
const SET_UP_WRITES = 14;

async function shop(world: World, name: string): Promise<string> {
  return world.repository(
    'shop',
    { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n' },
    { '.env': `DATABASE_URL=${server.url(name)}\n` },
  );
}

async function addKilled(world: World, main: string, point: number): Promise<void> {
  const killed = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], {
    env: killedAfter(point),
  });
  expect(killed.code).not.toBe(0);
}

async function rows(table: string): Promise<unknown[]> {
  return server.rows(`SELECT * FROM ${table} ORDER BY 1`);
}

async function expectCloned(name: string, own: string): Promise<void> {
  expect(await rows(`\`${own}\`.names`)).toHaveLength(2);
  for (const table of ['item', 'line']) expect(await rows(`\`${own}\`.${table}`)).toEqual(await rows(`${name}.${table}`));
}

async function expectGone(world: World, main: string, before: string[]): Promise<void> {
  const worktree = path.join(world.root, 'x');
  if (fs.existsSync(worktree)) await world.git(main, 'worktree', 'remove', '--force', worktree);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(await server.databases()).toEqual(before);
  expect(records(world)).toEqual([]);
  const claims = path.join(world.state, 'claims');
  expect(fs.readdirSync(claims).filter((claim) => claim.startsWith('database-'))).toEqual([]);
}

/** The process that sets up, as its own record says. */
function runner(world: World): number {
  const [record] = records(world);
  const owner = path.join(world.state, 'repos', record?.repository ?? '', 'worktrees', record?.id ?? '', 'owner');
  return Number(/"pid":(\d+)/.exec(read(owner))?.[1]);
}

test('the points at which the tests below kill a run are all there are', async () => {
  const world = makeWorld();
  const before = await server.databases();
  const name = await server.source();
  const main = await shop(world, name);
  expect(await countPoints(world, (env) => world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], { env }))).toBe(SET_UP_WRITES);
  await expectGone(world, main, [...before, name].sort());
});

describe('a set-up killed after a journal entry', () => {
  const points = Array.from({ length: SET_UP_WRITES }, (_, index) => index + 1);

  test.for(points)('entry %i: up makes it whole, and nothing is left of it', async (point) => {
    const world = makeWorld();
    const name = await server.source();
    const before = await server.databases();
    const main = await shop(world, name);
    await addKilled(world, main, point);
    const again = await world.coppice(path.join(world.root, 'x'), 'up');
    expect(again.code, again.stderr).toBe(0);
    await expectCloned(name, `${name}__x`);
    expect(read(world.root, 'x/.env')).toBe(`DATABASE_URL=${server.url(`${name}__x`)}\n`);
    await expectGone(world, main, before);
  });

  test.for(points)('entry %i: gc alone leaves nothing', async (point) => {
    const world = makeWorld();
    const name = await server.source();
    const before = await server.databases();
    const main = await shop(world, name);
    await addKilled(world, main, point);
    await expectGone(world, main, before);
  });

  // From the next entry on the server has made ours, and there is no room for another's.
  const earlier = points.slice(0, 8);
  test.for(earlier.flatMap((point) => ['nothing', 'a table'].map((holds) => ({ point, holds }))))(
    "entry $point: a database of another's that has our name by then, and holds $holds, is left alone",
    async ({ point, holds }) => {
      const world = makeWorld();
      const name = await server.source();
      const main = await shop(world, name);
      const own = `${name}__x`;
      await addKilled(world, main, point);
      await server.sql(`CREATE DATABASE ${own}`);
      if (holds === 'a table') await server.sql(`CREATE TABLE ${own}.theirs (id INT)`);
      const theirs = await server.databases();
      const again = await world.coppice(path.join(world.root, 'x'), 'up');
      expect(again.code, again.stderr).toBe(0);
      const [made = ''] = (await server.databases()).filter((database) => !theirs.includes(database));
      expect(made).toMatch(new RegExp(`^${own}_[0-9a-f]{8}$`));
      await expectCloned(name, made);
      await expectGone(world, main, theirs);
    },
  );
});

async function bigSource(): Promise<string> {
  const name = await server.source();
  await server.sql(
    `CREATE TABLE ${name}.big (id INT PRIMARY KEY, text VARCHAR(300), KEY (text))`,
    `USE ${name}`,
    `INSERT INTO big SELECT seq, REPEAT(MD5(seq), 6) FROM seq_1_to_60000`,
  );
  return name;
}

/** Whether rows of the big table are in the clone, and not all. */
async function isHalfFull(own: string): Promise<boolean> {
  const tables = await server.rows('SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?', [own]);
  if (!tables.some(({ TABLE_NAME }) => TABLE_NAME === 'big')) return false;
  return (await server.rows(`SELECT id FROM ${own}.big LIMIT 1`)).length === 1;
}

describe('killed while it loads', () => {
  test.for(['up', 'gc'] as const)('coppice: what it left running does not get into the next, and %s ends well', async (verb) => {
    const world = makeWorld();
    const name = await bigSource();
    const before = await server.databases();
    const main = await shop(world, name);
    const add = start(world, main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    await until(() => isHalfFull(`${name}__x`), 'the load');
    process.kill(runner(world), 'SIGKILL');
    await add.ended;
    expect(records(world)).toMatchObject([{ resources: { DATABASE_URL: { state: 'creating', made: { created: 'yes' } } } }]);
    if (verb === 'up') {
      const again = await world.coppice(path.join(world.root, 'x'), 'up');
      expect(again.code, again.stderr).toBe(0);
      await expectCloned(name, `${name}__x`);
      expect(await server.rows(`CHECKSUM TABLE ${name}__x.big`)).toMatchObject([
        { Checksum: (await server.rows(`CHECKSUM TABLE ${name}.big`))[0]?.Checksum },
      ]);
    }
    await expectGone(world, main, before);
  });

  test('interrupted: nothing of the copy runs or stays', async () => {
    const world = makeWorld();
    const name = await bigSource();
    const before = await server.databases();
    const main = await shop(world, name);
    const add = start(world, main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    await until(() => isHalfFull(`${name}__x`), 'the load');
    process.kill(runner(world), 'SIGINT');
    await add.ended;
    expect(await server.databases()).toEqual(before);
    const sessions = () => server.rows('SELECT ID FROM information_schema.PROCESSLIST WHERE DB IN (?, ?)', [name, `${name}__x`]);
    await until(async () => (await sessions()).length === 0, 'the end of all sessions');
    const again = await world.coppice(path.join(world.root, 'x'), 'up');
    expect(again.code, again.stderr).toBe(0);
    await expectGone(world, main, before);
  });

  test('interrupted, while the server says nothing any more: it ends, says what is left, and the next up goes on', async () => {
    const world = makeWorld();
    const name = await bigSource();
    const before = await server.databases();
    const main = await shop(world, name);
    const add = start(world, main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    await until(() => isHalfFull(`${name}__x`), 'the load');
    onTestFinished(() => server.resume());
    server.pause();
    process.kill(runner(world), 'SIGINT');
    expect((await add.ended).stderr).toMatch(/__x on localhost:\d+ is half full, and could not be dropped yet: .* does not answer/);
    server.resume();
    const again = await world.coppice(path.join(world.root, 'x'), 'up');
    expect(again.code, again.stderr).toBe(0);
    await expectCloned(name, `${name}__x`);
    await expectGone(world, main, before);
  });

  test.for(['up', 'gc'] as const)('the server: it is said, and %s ends well when it is there again', async (verb) => {
    const world = makeWorld();
    const name = await bigSource();
    const before = await server.databases();
    const main = await shop(world, name);
    const add = start(world, main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
    await until(() => isHalfFull(`${name}__x`), 'the load');
    onTestFinished(() => server.start());
    await server.kill();
    const added = await add.ended;
    expect(added.code).not.toBe(0);
    expect(added.stderr).toMatch(/could not be copied: .*(Lost connection|gone away|server)/);
    expect(added.stderr).toContain('half full');
    const down = await world.coppice(path.join(world.root, 'x'), 'up');
    expect(down.stderr).toContain('No MySQL answers at');
    await server.start();
    if (verb === 'up') {
      const again = await world.coppice(path.join(world.root, 'x'), 'up');
      expect(again.code, again.stderr).toBe(0);
      await expectCloned(name, `${name}__x`);
    }
    await expectGone(world, main, before);
  });
});
