import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PASSWORD, startMariaDb } from '../fixtures/servers/mysql.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { startRedis } from '../fixtures/servers/redis.ts';
import { makeWorld, read, until, type World, writeFiles } from '../fixtures/world.ts';

const postgres = await startPostgres();

/** A repository of an example, with what a person would have written into its `.env`. */
async function repositoryOf(world: World, example: string, dotenv: string, more: Record<string, string> = {}): Promise<string> {
  const folder = path.resolve('examples', example);
  const files = fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => fs.statSync(path.join(folder, name)).isFile());
  const committed = Object.fromEntries(files.map((name) => [name, read(folder, name)]));
  return world.repository(example, { '.gitignore': '.env\n', ...committed, ...more }, { '.env': dotenv });
}

async function addReady(world: World, main: string, branch: string): Promise<string> {
  const added = await world.run(main, 'git', ['worktree', 'add', `../${branch}`, '-b', branch]);
  expect(added.code, added.stderr).toBe(0);
  return path.join(world.root, branch);
}

async function removeAll(world: World, main: string, branches: string[]): Promise<void> {
  for (const branch of branches) await world.git(main, 'worktree', 'remove', '--force', `../${branch}`);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
}

test('postgres-app: a migration and rows of one worktree are not seen in another, nor in the main worktree', async () => {
  const world = makeWorld();
  await postgres.sql('postgres', 'create database todo_development');
  const main = await repositoryOf(world, 'postgres-app', `PORT=24950\nDATABASE_URL=${postgres.url('todo_development')}\n`, {
    'worktree.config.yaml': read('examples/postgres-app/worktree.config.yaml').replace('3000', '24950'),
  });
  const install = await world.run(main, 'npm', ['install', '--no-audit', '--no-fund']);
  expect(install.code, install.stderr).toBe(0);
  const inMain = { DATABASE_URL: postgres.url('todo_development'), PORT: '24950' };
  expect((await world.run(main, 'npm', ['run', 'migrate'], { env: inMain })).code).toBe(0);
  const a = await addReady(world, main, 'a');
  const b = await addReady(world, main, 'b');
  fs.writeFileSync(path.join(a, 'migrations/002-done.sql'), 'alter table todo add done boolean not null default false;\n');
  expect((await world.run(a, 'git', ['coppice', 'run', 'npm', 'run', 'migrate'])).code).toBe(0);
  const apps: ReturnType<typeof spawn>[] = [];
  for (const [folder, port, title] of [
    [main, 24_950, 'main'],
    [a, 24_960, 'a'],
    [b, 24_970, 'b'],
  ] as const) {
    const env =
      folder === main ? { ...world.env, ...inMain } : { ...world.env, ...JSON.parse(await world.git(folder, 'coppice', 'env', '--json')) };
    const child = spawn(process.execPath, ['server.js'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
    apps.push(child);
    onTestFinished(() => void child.kill());
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    await until(() => said.includes(`listening on ${port}`), `the app of ${title}`);
    await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body: title });
    expect(await (await fetch(`http://127.0.0.1:${port}`)).json()).toEqual([title]);
  }
  const columns = (database: string) =>
    postgres.sql(database, "select column_name from information_schema.columns where table_name = 'todo' and column_name = 'done'");
  expect(
    [await columns('todo_development__a'), await columns('todo_development__b'), await columns('todo_development')].map(
      (rows) => rows.length,
    ),
  ).toEqual([1, 0, 0]);
  await Promise.all(apps.map((app) => new Promise((resolve) => app.on('close', resolve) && app.kill())));
  await removeAll(world, main, ['a', 'b']);
  expect((await postgres.databases()).filter((name) => name.startsWith('todo_'))).toEqual(['todo_development']);
});

test('rails: development and test databases and Redis of its own; what parallel tests made goes too', async () => {
  const world = makeWorld();
  const redis = await startRedis();
  for (const name of ['blog_development', 'blog_test']) {
    await postgres.sql('postgres', `create database ${name}`);
    await postgres.sql(name, 'create table posts (id serial primary key, title text)');
  }
  const dotenv = `PORT=24980\nDATABASE_URL=${postgres.url('blog_development')}\nTEST_DATABASE_URL=${postgres.url('blog_test')}\nREDIS_URL=${redis.url}/0\nCABLE_URL=${redis.url}\n`;
  const config = read('examples/rails/worktree.config.yaml').replace('3000', '24980');
  const main = await repositoryOf(world, 'rails', dotenv, {
    'worktree.config.yaml': config,
    '.gitignore': '.env\n/config/master.key\n/storage\n/worktree.config.local.yaml\n',
  });
  writeFiles(main, {
    'config/master.key': 'key\n',
    'storage/blob': 'x',
    // In the place of Ruby, which is no part of what is claimed here.
    'worktree.config.local.yaml': `steps: { bundle: "true", migrate: { run: 'psql "$DATABASE_URL" -c "alter table posts add body text"' } }\n`,
  });
  const a = await addReady(world, main, 'a');
  expect(read(a, '.env')).toBe(
    `PORT=24990\nDATABASE_URL=${postgres.url('blog_development__a')}\nTEST_DATABASE_URL=${postgres.url('blog_test__a')}\nREDIS_URL=${redis.url}/1\nCABLE_URL=${redis.url}/1\n`,
  );
  expect([read(a, 'config/master.key'), read(a, 'storage/blob')]).toEqual(['key\n', 'x']);
  const body = (database: string) =>
    postgres.sql(database, "select 1 from information_schema.columns where table_name = 'posts' and column_name = 'body'");
  expect([(await body('blog_development__a')).length, (await body('blog_development')).length]).toEqual([1, 0]);
  await postgres.sql('postgres', 'create database "blog_test__a-0"');
  await postgres.sql('postgres', 'create database "blog_test__a-1"');
  await removeAll(world, main, ['a']);
  expect((await postgres.databases()).filter((name) => name.startsWith('blog_'))).toEqual(['blog_development', 'blog_test']);
  expect(redis.keys()).toEqual({});
});

test('laravel: the parts that differ are written, all others stay', async () => {
  const world = makeWorld();
  const [redis, mysql] = [await startRedis(), await startMariaDb()];
  onTestFinished(() => mysql.stop());
  await mysql.sql(
    'create database koel',
    'create table koel.songs (id int primary key, title text)',
    "insert into koel.songs values (1, 'one')",
  );
  const dotenv = `APP_PORT=24990\nAPP_URL=http://localhost:24990\nDB_CONNECTION=mysql\nDB_PORT=${mysql.port}\nDB_DATABASE=koel\nDB_USERNAME=app\nDB_PASSWORD=${PASSWORD}\nREDIS_PORT=${redis.port}\nSESSION_DOMAIN=localhost\n`;
  const config = read('examples/laravel/worktree.config.yaml').replace('8000', '24990');
  const main = await repositoryOf(world, 'laravel', dotenv, {
    'worktree.config.yaml': config,
    '.gitignore': '.env\n/worktree.config.local.yaml\n',
  });
  // In the place of PHP, which is no part of what is claimed here.
  writeFiles(main, {
    'worktree.config.local.yaml': 'steps: { composer: "true", migrate: { run: "echo $DB_DATABASE $REDIS_DB > migrated.log" } }\n',
  });
  const a = await addReady(world, main, 'a');
  const block = `# >>> coppice >>> this worktree's own values; \`git coppice up\` writes this block again\nREDIS_DB=1\n# <<< coppice <<<\n`;
  expect(read(a, '.env')).toBe(dotenv.replaceAll('24990', '25000').replace('=koel', '=koel__a') + block);
  expect(read(a, 'migrated.log')).toBe('koel__a 1\n');
  expect(await mysql.rows('select title from koel__a.songs')).toEqual([{ title: 'one' }]);
  await mysql.sql('create database koel__a_test_1');
  await removeAll(world, main, ['a']);
  expect(await mysql.databases()).toEqual(['koel']);
});
