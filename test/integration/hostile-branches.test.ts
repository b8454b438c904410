import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parse as parseDotenv } from 'dotenv';
import { afterAll, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { claimedNames } from '../../src/ledger/claims.ts';
import { openStateDir } from '../../src/ledger/state-dir.ts';
import { atOnce } from '../fixtures/at-once.ts';
import { HOSTILE_BRANCHES, INVALID_BRANCHES } from '../fixtures/hostile-branches.ts';
import { records } from '../fixtures/ledger.ts';
import { freePort } from '../fixtures/servers/free-port.ts';
import { startMariaDb } from '../fixtures/servers/mysql.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { startRedis } from '../fixtures/servers/redis.ts';
import { pathWithoutDocker } from '../fixtures/without-docker.ts';
import { makeWorld, type Result, read, type World } from '../fixtures/world.ts';

const [postgres, mysql] = await Promise.all([startPostgres(), startMariaDb()]);
await postgres.sql('postgres', 'create database shop');
await postgres.sql('shop', 'create table item (id int); insert into item values (1)');
await mysql.sql('CREATE DATABASE shop', 'CREATE TABLE shop.item (id INT)', 'INSERT INTO shop.item VALUES (1)');
afterAll(() => mysql.stop());

/** How many worktrees are added at once. */
const LANES = 3;

const bin = pathWithoutDocker();

/** A branch as git and Coppice's parts see it. */
interface Branch {
  /** For printf(1). */
  octal: string;
  /** As Node reads the bytes. */
  text: string;
  folder: string;
}

const BRANCHES: Branch[] = [
  ...HOSTILE_BRANCHES.map((text) => Buffer.from(text)),
  ...INVALID_BRANCHES.map((octal) => execFileSync('printf', [octal])),
].map((bytes, index) => ({
  octal: [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''),
  text: bytes.toString('utf8'),
  folder: `w${index}`,
}));

/** Adds a worktree on a new branch, whose name may be any bytes. */
function add(world: World, main: string, { octal, folder }: Branch): Promise<Result> {
  return atOnce(() => world.run(main, 'sh', ['-c', 'exec git worktree add "../$1" -B "$(printf "$2")"', 'sh', folder, octal]));
}

async function removePlainly(world: World, main: string, worktree: string): Promise<void> {
  const removed = await atOnce(() => world.run(main, 'git', ['worktree', 'remove', '--force', worktree]));
  expect(removed.code, removed.stderr).toBe(0);
}

/** Does a work for each branch, some at once. */
async function each(work: (branch: Branch) => Promise<void>, branches = BRANCHES): Promise<void> {
  const waiting = [...branches];
  const lane = async () => {
    for (let branch = waiting.shift(); branch; branch = waiting.shift()) await work(branch);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** Files that only a name taken for a command would make. */
function canaries(world: World): string[] {
  const inside = fs.readdirSync(world.root, { recursive: true, encoding: 'utf8' });
  const outside = ['/', os.tmpdir(), process.cwd()].flatMap((folder) => fs.readdirSync(folder).map((name) => path.join(folder, name)));
  return [...inside, ...outside].filter((name) => /^(canary|pwned)/.test(path.basename(name)));
}

/** What no terminal may get of what others wrote; line ends are the report's own. */
const RAW = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** What Coppice said: git's own first line has the name as it is. */
const said = (stderr: string) => stderr.replace(/^Preparing worktree[^\n]*\n/, '').replaceAll(/^HEAD is now at[^\n]*$/gm, '');

/** What a worktree would have from every kind of resource, file and step, each with the name of the branch in it. */
const CONFIG = `resources:
  PORT: 26000
  DATABASE_URL: postgres
  MYSQL_URL: mysql
  REDIS_URL: redis
  FILE_URL: sqlite
  COMPOSE_PROJECT_NAME: compose
env:
  ENCODED: "http://localhost/?branch={{urlencode branch}}"
files:
  .env: merge
  note.md: { text: "{{branch}}" }
  branch.json: { text: "{{json branch}}" }
steps:
  say: printf '%s\\n' "$COPPICE_BRANCH" "$ENCODED"
  tables: printf '%s' "$COPPICE_BRANCH" > said.out
teardown:
  bye: printf '%s\\n' "$COPPICE_BRANCH" >> "$COPPICE_MAIN/../teardown.log"
`;

test(`${BRANCHES.length} hostile branches reach servers, files, steps and reports as they are, do nothing, and give everything back`, {
  timeout: 1_200_000,
}, async () => {
  expect(BRANCHES.length).toBeGreaterThanOrEqual(60);
  const world = makeWorld();
  world.env.PATH = bin;
  const redis = await startRedis(['databases 100']);
  redis.cli(0, ['SET', 'of', 'others']);
  const things = async () => ({
    postgres: await postgres.databases(),
    mysql: await mysql.databases(),
    redis: redis.keys(),
    claims: [...claimedNames(openStateDir(world.env))].filter((name) => !name.startsWith('base-')),
    // The folders stay: what each has in it is asked of the worktrees.
    files: fs.readdirSync(world.state, { recursive: true, encoding: 'utf8' }).filter((name) => /compose|\.yaml$/.test(name)),
  });
  const main = await world.repository(
    'shop',
    {
      'worktree.config.yaml': CONFIG,
      '.gitignore': '.env\n*.db\n*.out\n',
      'compose.yaml': `services:\n  web:\n    image: x\n    container_name: shop_web\n    ports: ["${await freePort()}:80"]\n`,
    },
    {
      '.env': `SECRET=canary-secret\nDATABASE_URL=${postgres.url('shop')}\nMYSQL_URL=${mysql.url('shop')}\nREDIS_URL=${redis.url}/0\nFILE_URL=file:./dev.db\n`,
    },
  );
  await world.run(main, 'sqlite3', ['dev.db', 'create table item (id)']);
  const before = await things();

  await each(async (branch) => {
    const added = await add(world, main, branch);
    expect(added.code, `${JSON.stringify(branch.text)}: ${added.stderr}`).toBe(0);
    expect(said(added.stderr)).not.toMatch(RAW);
    const worktree = path.join(world.root, branch.folder);
    expect([read(worktree, 'note.md'), JSON.parse(read(worktree, 'branch.json')), read(worktree, 'said.out')]).toEqual(
      Array(3).fill(branch.text),
    );
    const own = parseDotenv(read(worktree, '.env'));
    expect(decodeURIComponent(own.ENCODED ?? '')).toBe(`http://localhost/?branch=${branch.text}`);
    expect(own.SECRET).toBe('canary-secret');
    const [, generated = ''] = (own.COMPOSE_FILE ?? '').split(':');
    expect(Object.keys(parseYaml(read(generated), { logLevel: 'silent' }).services)).toEqual(['web']);
    expect((await world.coppice(worktree, 'logs', 'say')).stdout).toBe(`${branch.text}\n${own.ENCODED}\n`);
    expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  });
  expect(canaries(world)).toEqual([]);

  const status = JSON.parse((await world.coppice(main, 'status', '--json')).stdout);
  const states = new Map(
    status.worktrees.map(({ path: at, branch, state }: Record<string, string>) => [path.basename(at ?? ''), { branch, state }]),
  );
  expect(states).toEqual(new Map(BRANCHES.map(({ folder, text }) => [folder, { branch: text, state: 'ready' }])));
  expect((await world.coppice(main, 'status')).stdout).not.toMatch(RAW);
  const all = records(world);
  for (const of of ['slug', 'slot'] as const) expect(new Set(all.map((record) => record[of])).size).toBe(BRANCHES.length);
  for (const { slug } of all) expect(slug).toMatch(/^[a-z0-9][a-z0-9-]*$/);
  const now = await things();
  expect(now.postgres.length - before.postgres.length).toBe(BRANCHES.length);
  expect(now.mysql.length - before.mysql.length).toBe(BRANCHES.length);
  expect(Object.keys(now.redis).length - Object.keys(before.redis).length).toBe(BRANCHES.length);

  // Every second is named by its branch where that is one's own, and taken down; the others are removed by git.
  await each(async ({ folder, text }) => {
    const index = Number(folder.slice(1));
    const isAlone = BRANCHES.filter((other) => other.text === text).length === 1;
    const worktree = path.join(world.root, folder);
    if (index % 2 === 0) {
      const down = await world.coppice(main, 'down', '--', isAlone ? text : worktree);
      expect(down.code, `${JSON.stringify(text)}: ${down.stderr}`).toBe(0);
      expect(down.stderr).not.toMatch(RAW);
    }
    if (index % 4 === 0) {
      const removed = await world.coppice(main, 'remove', '--', isAlone ? text : worktree);
      expect(removed.code, `${JSON.stringify(text)}: ${removed.stderr}`).toBe(0);
    } else await removePlainly(world, main, worktree);
  });
  const told = read(world.root, 'teardown.log');
  for (const [index, { text }] of BRANCHES.entries()) if (index % 2 === 0) expect(told).toContain(`${text}\n`);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(gc.stderr).not.toMatch(RAW);
  expect(records(world)).toEqual([]);
  expect(await things()).toEqual(before);
  expect(redis.cli(0, ['GET', 'of'])).toBe('others');
  expect(await postgres.sql('shop', 'select * from item')).toHaveLength(1);
  expect(await mysql.rows('SELECT * FROM shop.item')).toHaveLength(1);
  expect(canaries(world)).toEqual([]);
});

/** A variable that is the branch's name. */
const RAW_CONFIG = 'resources: { PORT: 27000 }\nenv: { BRANCH: "{{branch}}" }\nfiles: { .env: merge, own.env: env }\n';

test('a branch in an env file is read as it is by dotenv and by the shell, or the set-up says that it cannot be written', {
  timeout: 600_000,
}, async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': RAW_CONFIG, '.gitignore': '*.env\n.env\n' },
    { '.env': '# of the shop\nSECRET=canary-secret\nBRANCH=main\nPORT=27000\n' },
  );
  let written = 0;
  await each(async (branch) => {
    const added = await add(world, main, branch);
    const { text, folder } = branch;
    const worktree = path.join(world.root, folder);
    const about = JSON.stringify(text);
    if (added.code === 0) {
      written += 1;
      for (const file of ['.env', 'own.env']) {
        expect(parseDotenv(read(worktree, file)).BRANCH, about).toBe(text);
        const sourced = await world.run(worktree, 'sh', ['-c', '. "./$1"; printf "%s" "$BRANCH"', 'sh', file]);
        expect([sourced.stdout, sourced.stderr], about).toEqual([text, '']);
      }
    } else {
      expect(added.stderr, about).toContain('BRANCH');
      expect(said(added.stderr), about).not.toMatch(RAW);
      expect(text, about).toMatch(/["'`$\\\p{Cc}]/u);
      for (const file of ['.env', 'own.env']) expect(fs.existsSync(path.join(worktree, file)), about).toBe(false);
    }
    const evaluated = await world.run(worktree, 'sh', ['-c', 'eval "$(git coppice env)"; printf "%s" "$BRANCH"']);
    expect([evaluated.stdout, evaluated.stderr], about).toEqual([text, '']);
    const ran = await world.coppice(worktree, 'run', '--', 'printenv', 'BRANCH');
    expect(ran.stdout, about).toBe(`${text}\n`);
  });
  expect(written).toBeGreaterThan(30);
  expect(canaries(world)).toEqual([]);
});

test('a branch as the name of a database is that name and nothing else, or is refused in a sentence', { timeout: 900_000 }, async () => {
  const world = makeWorld();
  const before = { postgres: await postgres.databases(), mysql: await mysql.databases() };
  const main = await world.repository(
    'shop',
    {
      'worktree.config.yaml': ['postgres', 'mysql']
        .map((type) => `  ${type.toUpperCase()}_URL: { type: ${type}, name: "x{{branch}}", data: empty }\n`)
        .reduce((text, line) => text + line, 'resources:\n'),
      '.gitignore': '.env\n',
    },
    { '.env': `POSTGRES_URL=${postgres.url('shop')}\nMYSQL_URL=${mysql.url('shop')}\n` },
  );
  const named: string[] = [];
  await each(
    async (branch) => {
      const added = await add(world, main, branch);
      if (added.code === 0) named.push(branch.text);
      // MariaDB's names have no characters beyond U+FFFF, nor a space at their end.
      else expect(added.stderr, JSON.stringify(branch.text)).toMatch(/✗ MYSQL_URL .*`name:` gives|MYSQL_URL.*[Ii]ncorrect|Invalid/);
    },
    BRANCHES.filter(({ octal }) => octal.length / 4 < 40),
  );
  expect(named.length).toBeGreaterThan(45);
  expect(await postgres.databases()).toEqual(expect.arrayContaining(named.map((name) => `x${name}`)));
  expect(await mysql.databases()).toEqual(expect.arrayContaining(named.map((name) => `x${name}`)));
  for (const { folder } of BRANCHES) {
    const worktree = path.join(world.root, folder);
    if (fs.existsSync(worktree)) await world.git(main, 'worktree', 'remove', '--force', worktree);
  }
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect({ postgres: await postgres.databases(), mysql: await mysql.databases() }).toEqual(before);
});
