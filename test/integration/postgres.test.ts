import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

const server = await startPostgres();
const CONFIG = 'resources: { DATABASE_URL: postgres }\n';

/** A repository whose `.env` names a database of its own, with rows in it. */
async function shop(world: World, source: string, config = CONFIG, user?: string): Promise<string> {
  await server.sql('postgres', `create database "${source}"`);
  await server.sql(
    source,
    'create table item (id serial primary key, name text); insert into item (name) select i::text from generate_series(1, 100) i',
  );
  return world.repository(
    'shop',
    { 'worktree.config.yaml': config, '.gitignore': '.env\n' },
    { '.env': `# the shop\nDATABASE_URL=${server.url(source, user)}?schema=public\nDIRECT_URL="${server.url(source, user)}"\nKEY=x\n` },
  );
}

const before = await server.databases();

/** What the tests of this file have left at the server. */
async function added(): Promise<string[]> {
  return (await server.databases()).filter((name) => !before.includes(name));
}

test("a worktree has a clone of the main worktree's database, other variables that name it follow, and it goes with the worktree", async () => {
  const world = makeWorld();
  const main = await shop(world, 'one');
  const add = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'feature/a']);
  expect(add.code, add.stderr).toBe(0);
  const worktree = path.join(world.root, 'a');
  expect(read(worktree, '.env')).toBe(
    `# the shop\nDATABASE_URL=${server.url('one__feature_a')}?schema=public\nDIRECT_URL="${server.url('one__feature_a')}"\nKEY=x\n`,
  );
  expect(await server.sql('one__feature_a', 'select count(*)::int as n from item')).toEqual([{ n: 100 }]);
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  await world.git(main, 'worktree', 'remove', '../a');
  expect(await added()).toContain('one__feature_a');
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, gc.stderr]).toEqual([0, expect.stringContaining('one__feature_a')]);
  expect(await added()).toEqual(['one']);
  await server.sql('postgres', 'drop database one');
});
