import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { atOnce } from '../fixtures/at-once.ts';
import { makeWorld, start, until } from '../fixtures/world.ts';

test.for(['wal', 'delete'])('a database in %s mode is copied whole while another process writes to it all the time', async (mode) => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { DB: { type: sqlite, from: dev.db } }\nfiles: {}\n',
    '.gitignore': '*.db*\n*.log\n',
  });
  await world.run(main, 'sqlite3', ['dev.db', `pragma journal_mode = ${mode}; create table t(batch); create index i on t(batch)`]);
  // Each transaction adds ten rows: a copy that is not a multiple of ten holds half of one.
  const batch = 'begin immediate; insert into t select value from generate_series(1, 10); commit;';
  const writer = start(world, main, 'sh', [
    '-c',
    `while :; do printf '%s\\n' '.timeout 5000' '${batch}' '${batch}' | sqlite3 dev.db || exit 1; echo x >> writes.log; done`,
  ]);
  const size = () => (fs.existsSync(path.join(main, 'writes.log')) ? fs.statSync(path.join(main, 'writes.log')).size : 0);
  await until(() => size() > 6, 'the writer');
  for (const name of ['a', 'b', 'c']) {
    const before = size();
    const added = await world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name]);
    expect(added.code, added.stderr).toBe(0);
    const copy = await world.run(path.join(world.root, name), 'sqlite3', [
      'dev.db',
      'pragma integrity_check; select count(*) % 10, count(*) > 0 from t',
    ]);
    expect(copy.stdout).toBe('ok\n0|1\n');
    await until(() => size() > before, 'the writer to go on');
  }
  writer.child.kill('SIGTERM');
  await writer.ended;
  const own = await world.run(main, 'sqlite3', ['dev.db', '.timeout 5000', 'pragma integrity_check; select count(*) % 10 from t']);
  expect(own.stdout).toBe('ok\n0\n');
});

test('a database that a SQLite with locks of its own is using is not touched', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { DB: { type: sqlite, from: dev.db } }\nfiles: {}\n',
    '.gitignore': '*.db*\n',
  });
  await world.run(main, 'sqlite3', ['dev.db', 'create table t(a)']);
  fs.mkdirSync(path.join(main, 'dev.db.lock'));
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  expect([added.code, added.stderr]).toEqual([1, expect.stringContaining('locks with the folder')]);
  expect(fs.existsSync(path.join(world.root, 'a/dev.db'))).toBe(false);
  fs.rmdirSync(path.join(main, 'dev.db.lock'));
  expect((await world.coppice(path.join(world.root, 'a'), 'up')).code).toBe(0);
});

test('a value of the env file keeps its form: relative as it is, absolute at the worktree', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { ONE: sqlite, TWO: sqlite, THREE: sqlite }\nfiles: { .env: merge }\n',
    '.gitignore': '*.db\n.env\n',
  });
  for (const name of ['one.db', 'data/two.db', '../outside.db']) {
    fs.mkdirSync(path.dirname(path.join(main, name)), { recursive: true });
    await world.run(main, 'sqlite3', [name, 'create table t(a)']);
  }
  fs.writeFileSync(
    path.join(main, '.env'),
    `ONE=file:./one.db?mode=rw\nTWO="sqlite:////${path.join(main, 'data/two.db').slice(1)}"\nTHREE=${path.join(world.root, 'outside.db')}\nCOPY=${path.join(main, 'data/two.db')}\n`,
  );
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  expect(added.code, added.stderr).toBe(0);
  const worktree = path.join(world.root, 'a');
  expect(fs.readFileSync(path.join(worktree, '.env'), 'utf8')).toBe(
    `ONE=file:./one.db?mode=rw\nTWO="sqlite:///${worktree}/data/two.db"\nTHREE=${worktree}/outside.db\nCOPY=${worktree}/data/two.db\n`,
  );
  for (const name of ['one.db', 'data/two.db', 'outside.db']) expect(fs.existsSync(path.join(worktree, name)), name).toBe(true);
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
});

test("Prisma's file is relative to its schema; Django's, Rails' and plain paths to the root", async () => {
  const world = makeWorld();
  const config = `resources: { DATABASE_URL: sqlite, DJANGO: sqlite, RAILS: sqlite, PLAIN: sqlite }\n`;
  const env =
    'DATABASE_URL="file:./dev.db?connection_limit=1"\nDJANGO=sqlite:///db.sqlite3\nRAILS=sqlite3:storage/development.sqlite3\nPLAIN=./plain.db\n';
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': config, '.gitignore': '.env\n*.db\n*.sqlite3\n', 'prisma/schema.prisma': '', 'storage/keep': '' },
    { '.env': env },
  );
  const files = ['prisma/dev.db', 'db.sqlite3', 'storage/development.sqlite3', 'plain.db'];
  for (const file of files) await world.run(main, 'sqlite3', [file, `create table t(a); insert into t values ('${file}')`]);
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  expect(added.code, added.stderr).toBe(0);
  const worktree = path.join(world.root, 'a');
  for (const file of files) expect((await world.run(worktree, 'sqlite3', [file, 'select a from t'])).stdout).toBe(`${file}\n`);
  expect(fs.readFileSync(path.join(worktree, '.env'), 'utf8')).toBe(env);
});

test('20 worktrees at once from one source that is written all the time: each whole, as of one moment', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { DB: { type: sqlite, from: dev.db } }\nfiles: {}\n',
    '.gitignore': '*.db*\n*.log\n',
  });
  await world.run(main, 'sqlite3', ['dev.db', 'pragma journal_mode = wal; create table t(batch)']);
  const batch = 'begin immediate; insert into t select value from generate_series(1, 10); commit;';
  const writer = start(world, main, 'sh', [
    '-c',
    `while :; do printf '%s\\n' '.timeout 20000' '${batch}' | sqlite3 dev.db || exit 1; echo x >> writes.log; done`,
  ]);
  await until(() => fs.existsSync(path.join(main, 'writes.log')), 'the writer');
  const all = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const name = `w${index}`;
      return { ...(await atOnce(() => world.run(main, 'git', ['worktree', 'add', `../${name}`, '-B', name]))), name };
    }),
  );
  for (const { code, stderr, name } of all) {
    expect(code, stderr).toBe(0);
    const copy = await world.run(path.join(world.root, name), 'sqlite3', [
      'dev.db',
      'pragma integrity_check; select count(*) % 10, count(*) > 0 from t',
    ]);
    expect(copy.stdout).toBe('ok\n0|1\n');
  }
  writer.child.kill('SIGTERM');
  await writer.ended;
});

test('200 files that look like ours, beside it and in the main worktree, and one of another that took its place, are left alone', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { DB: { type: sqlite, from: data/dev.db } }\nfiles: {}\n',
    '.gitignore': 'data/\n',
  });
  fs.mkdirSync(path.join(main, 'data'));
  await world.run(main, 'sqlite3', ['data/dev.db', 'create table t(a)']);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const worktree = path.join(world.root, 'a');
  const names = Array.from({ length: 100 }, (_, index) => ['dev.db.', 'dev.db-', 'dev', '.dev.db'][index % 4] + String(index));
  const decoys = [main, worktree].flatMap((root) => names.map((name) => path.join(root, 'data', name)));
  for (const file of decoys) fs.writeFileSync(file, 'mine');
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(fs.existsSync(path.join(worktree, 'data/dev.db'))).toBe(false);
  expect(decoys.filter((file) => !fs.existsSync(file))).toEqual([]);
  expect(fs.existsSync(path.join(main, 'data/dev.db'))).toBe(true);
  // Made again, and then replaced by a person's.
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  fs.rmSync(path.join(worktree, 'data/dev.db'));
  fs.writeFileSync(path.join(worktree, 'data/dev.db'), 'mine');
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(fs.readFileSync(path.join(worktree, 'data/dev.db'), 'utf8')).toBe('mine');
});
