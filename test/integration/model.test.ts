import path from 'node:path';
import { expect, test } from 'vitest';
import { claimedNames } from '../../src/ledger/claims.ts';
import { openStateDir } from '../../src/ledger/state-dir.ts';
import { records } from '../fixtures/ledger.ts';
import { check, INDEXES, OF_OTHERS } from '../fixtures/model/checks.ts';
import { type ModelRepository, randomFrom } from '../fixtures/model/model.ts';
import { actOnce, gc } from '../fixtures/model/operations.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { startRedis } from '../fixtures/servers/redis.ts';
import { makeWorld, until, type World } from '../fixtures/world.ts';

const OPERATIONS = Number(process.env.COPPICE_MODEL_OPERATIONS ?? 2000);
const SEED = Number(process.env.COPPICE_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** As long as one operation may take on a busy machine, in milliseconds. */
const EACH = 2000;

const postgres = await startPostgres();
await postgres.sql('postgres', 'create database shop');
await postgres.sql('shop', 'create table item (id int)');
await postgres.sql('postgres', 'create database shop__decoy');

const CONFIG = 'resources:\n  PORT: 28100\n  WEB_PORT: 28655\n  REDIS_URL: redis\n  FILE_URL: sqlite\n';

async function shop(world: World, name: string, redisUrl: string, hasPostgres: boolean): Promise<ModelRepository> {
  const main = await world.repository(
    name,
    {
      'worktree.config.yaml': `${CONFIG}${hasPostgres ? '  DATABASE_URL: postgres\n' : ''}`,
      '.gitignore': '.env\n*.db\nworktree.config.local.yaml\n',
    },
    { '.env': `# of the shop\nPORT=28100\nREDIS_URL=${redisUrl}/0\nFILE_URL=file:./dev.db\nDATABASE_URL=${postgres.url('shop')}\n` },
  );
  await world.run(main, 'sqlite3', ['dev.db', 'create table item (id); insert into item values (1)']);
  return { main, worktrees: [], branches: [], hasPostgres, made: 0, done: [] };
}

test(`ledger, git and servers agree after each of ${OPERATIONS} random operations in 3 repositories (seed ${SEED})`, {
  timeout: 60_000 + OPERATIONS * EACH,
}, async () => {
  const world = makeWorld();
  const redis = await startRedis([`databases ${INDEXES}`]);
  redis.cli(0, ['MSET', 'one', '1', 'two', '2']);
  redis.cli(OF_OTHERS, ['SET', 'of', 'others']);
  const repositories = [];
  for (const name of ['one', 'two', 'three']) repositories.push(await shop(world, name, redis.url, name === 'three'));
  const lanes = repositories.map((repository, index) => ({ world, repository, random: randomFrom(SEED + index) }));
  const counts = new Map<string, number>();
  for (let done = 0; done < OPERATIONS; done += lanes.length) {
    try {
      // At once, so that they meet in what is the machine's; then nothing moves but what runs in the background.
      const acts = await Promise.allSettled(lanes.map(actOnce));
      for (const act of acts) {
        if (act.status === 'rejected') throw act.reason;
        counts.set(act.value, (counts.get(act.value) ?? 0) + 1);
      }
      await check(world, repositories, { redis, postgres });
    } catch (error) {
      const last = repositories.map(({ main, done }) => `${path.basename(main)}: ${done.slice(-25).join(', ')}`);
      // In the message: the JSON reporter leaves causes out.
      const why = error instanceof Error ? error.stack : error;
      throw new Error(`COPPICE_MODEL_SEED=${SEED}, after ${done} operations:\n${last.join('\n')}\n${why}`);
    }
  }
  // The rarest is a hundredth of all: chance alone does not take it below a quarter of that.
  if (OPERATIONS >= 1000) for (const [name, count] of counts) expect(count, name).toBeGreaterThan(OPERATIONS / 400);
  await giveEverythingBack(world, repositories);
  expect(redis.keys()).toEqual({ 0: 2, [OF_OTHERS]: 1 });
  expect((await postgres.databases()).filter((name) => name.startsWith('shop'))).toEqual(['shop', 'shop__decoy']);
});

/** However it came to this, `gc` gives back what is gone, and nothing is left of it anywhere. */
async function giveEverythingBack(world: World, repositories: ModelRepository[]): Promise<void> {
  for (const { main, worktrees } of repositories) {
    for (const { path: at } of worktrees) await world.git(main, 'worktree', 'remove', '--force', '--force', at);
    await gc(world, main);
    expect((await gc(world, main)).stderr).toContain('nothing to give back');
  }
  await until(() => records(world).length === 0, 'no record is left');
  expect([...claimedNames(openStateDir(world.env))].filter((name) => !name.startsWith('base-'))).toEqual([]);
}
