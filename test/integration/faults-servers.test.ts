import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectSentence } from '../fixtures/fault-checks.ts';
import { bounded } from '../fixtures/fault-shop.ts';
import { type Fault, fault } from '../fixtures/faults.ts';
import { heldClaims, records } from '../fixtures/ledger.ts';
import { type PostgresServer, startPostgres } from '../fixtures/servers/postgres.ts';
import { type RedisServer, startRedis } from '../fixtures/servers/redis.ts';
import { CLI, makeWorld, type Result, read, type World } from '../fixtures/world.ts';

/** All of them, not each message with one fault in turn. See CONTRIBUTING.md. */
const ALL = process.env.COPPICE_TEST_ALL_FAULTS === '1';
/** What may happen to a message: the server goes away before it, or after it and before its answer; or this process ends. */
const HOWS = ['ECONNRESET', 'lost', 'kill'];

/** A database of a server of the test's own, and what a worktree must get of it. */
interface Kind {
  name: string;
  variable: string;
  url(): string;
  /** What the server has, to compare. */
  all(): Promise<unknown>;
  /** That the worktree's own has what it should. */
  expectOwn(url: string): Promise<void>;
  /** As its app does. */
  write(url: string): Promise<void>;
}

let postgres: PostgresServer;
let redis: RedisServer;
const redisEnds: (() => unknown)[] = [];
beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.sql('postgres', 'create database shop');
  await postgres.sql('shop', 'create table t(a int); insert into t select generate_series(1, 50)');
  redis = await startRedis([], [], 'redis-server', (end) => redisEnds.push(end));
  redis.cli(0, ['SET', 'main', '1']);
});
afterAll(async () => {
  for (const end of redisEnds) await end();
});

const KINDS: Kind[] = [
  {
    name: 'PostgreSQL',
    variable: 'DATABASE_URL',
    url: () => postgres.url('shop'),
    all: () => postgres.databases(),
    async expectOwn(url) {
      expect(await postgres.sql(path.basename(url), 'select count(*)::int as n from t where a > 0')).toEqual([{ n: 50 }]);
    },
    async write(url) {
      await postgres.sql(path.basename(url), 'insert into t values (-1)');
    },
  },
  {
    name: 'Redis',
    variable: 'REDIS_URL',
    url: () => `${redis.url}/0`,
    all: () => Promise.resolve(redis.keys()),
    expectOwn(url) {
      expect(Number(path.basename(url))).toBeGreaterThan(0);
      return Promise.resolve();
    },
    write(url) {
      redis.cli(Number(path.basename(url)), ['SET', 'own', '1']);
      return Promise.resolve();
    },
  },
];

async function shop(world: World, { variable, url, name }: Kind): Promise<string> {
  const config = `resources: { ${variable}: ${name === 'Redis' ? 'redis' : 'postgres'} }\nfiles: { .env: merge }\n`;
  return world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': `${variable}=${url()}\n` });
}

const VERBS = ['set-up', 'up', 'down', 'gc'] as const;

describe.each(KINDS)('$name, of which any message or its answer is lost, or the run killed at it', (kind) => {
  test.for(VERBS)('in %s: a sentence, and then all is well', { timeout: 900_000 }, async (verb) => {
    const world = makeWorld();
    const main = await shop(world, kind);
    const worktree = path.join(world.root, 'x');
    const before = await kind.all();
    const own = () => new RegExp(`^${kind.variable}=(.*)$`, 'm').exec(read(worktree, '.env'))?.[1] ?? '';
    const coppice = (name: string) => bounded(world, name === 'gc' ? main : worktree, process.execPath, [CLI, name]);
    const add = (env = {}) => bounded(world, main, 'git', ['worktree', 'add', '--detach', '../x'], env);
    const remove = () => world.git(main, 'worktree', 'remove', '--force', worktree);
    const ok = (result: Result, about: string) => expect(result.code, `${about}\n${result.stderr}`).toBe(0);

    /** @returns whether there is such a point */
    const oneCase = async (spec: Fault): Promise<boolean> => {
      const about = `${verb}: ${spec.how} at ${spec.nth}`;
      const fired = path.join(world.root, 'fired');
      fs.rmSync(fired, { force: true });
      if (verb !== 'set-up') ok(await add(), about);
      if (verb !== 'set-up') await kind.write(own());
      if (verb === 'gc') await remove();
      const env = fault({ ...spec, fired });
      const run = verb === 'gc' ? main : worktree;
      const result = verb === 'set-up' ? await add(env) : await bounded(world, run, process.execPath, [CLI, verb], env);
      const happened = fs.existsSync(fired);
      const words = `${about}, ${happened ? read(fired) : ''}\n${result.stderr}`;
      if (spec.how !== 'kill') expectSentence(result, words);
      if (verb === 'down' && result.code !== 0) ok(await coppice('down'), words);
      if (verb === 'down') expect(await kind.all(), words).toEqual(before);
      if (verb !== 'gc' && (spec.nth ?? 0) % 3 !== 0) {
        ok(await coppice('up'), words);
        await kind.expectOwn(own());
      }
      if (fs.existsSync(worktree)) await remove();
      ok(await coppice('gc'), words);
      expect([await kind.all(), records(world), [...heldClaims(world)]], words).toEqual([before, [], []]);
      return happened;
    };

    const wrong: string[] = [];
    let points = 0;
    for (let happened = true; happened; points += happened ? 1 : 0) {
      happened = false;
      for (const how of ALL ? HOWS : [HOWS[points % HOWS.length]]) {
        const spec = { at: '^(send|connect)', nth: points + 1, how: how ?? '' };
        happened =
          (await oneCase(spec).catch(async (error: Error) => {
            wrong.push(error.message);
            if (fs.existsSync(worktree)) await remove();
            await coppice('gc');
            return true;
          })) || happened;
      }
    }
    expect(wrong.length, wrong.join('\n\n=====\n')).toBe(0);
    expect(points).toBeGreaterThan(3);
  });
});
