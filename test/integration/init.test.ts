import fs from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { kinds } from '../fixtures/repositories.ts';
import { PASSWORD, startMariaDb } from '../fixtures/servers/mysql.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { startRedis } from '../fixtures/servers/redis.ts';
import { CLI, makeWorld, type Result, read, type World, writeFiles } from '../fixtures/world.ts';

const postgres = await startPostgres();
const mysql = await startMariaDb();
afterAll(() => mysql.stop());

/** Package managers and frameworks that are not what is claimed here: each writes down how it was called. */
const STAND_INS = ['npx', 'pnpm', 'bundle', 'rails-stand-in', 'composer', 'php', 'uv', 'mix', 'go'];

interface Repository {
  world: World;
  main: string;
  /** What the programs that stand in were called with: `php artisan migrate`, and the database that they were told. */
  calls(): string[];
}

/** A repository of one of the kinds, as a person has it who does not know coppice. */
async function repository(kind: string): Promise<Repository> {
  const redis = await startRedis();
  const { username, password } = new URL(postgres.url('x'));
  const { committed, ignored } = kinds({
    postgres: (database) => postgres.url(database),
    pg: { port: postgres.port, user: username, password: decodeURIComponent(password) },
    mysql: { port: mysql.port, user: 'app', password: PASSWORD },
    redis: { port: redis.port },
  })[kind] as ReturnType<typeof kinds>[string];
  return repositoryOf(kind, committed, ignored, STAND_INS);
}

/** A repository with these files, and programs that only write down how they were called. */
async function repositoryOf(
  name: string,
  committed: Record<string, string>,
  ignored: Record<string, string> = {},
  standIns: string[] = [],
): Promise<Repository> {
  const world = makeWorld();
  const main = path.join(world.root, name);
  fs.mkdirSync(main);
  await world.git(main, 'init', '-q');
  writeFiles(main, committed);
  if (fs.existsSync(path.join(main, 'bin/rails'))) fs.chmodSync(path.join(main, 'bin/rails'), 0o755);
  await world.git(main, 'add', '-A');
  await world.git(main, 'commit', '-q', '-m', 'first');
  writeFiles(main, ignored);
  const bin = path.join(world.root, 'bin');
  const log = path.join(world.root, 'calls');
  const script = `#!/bin/sh\necho "\${0##*/} $*|\${DATABASE_URL##*/}|$DB_NAME$DB_DATABASE|$(pwd)" >> '${log}'\n`;
  writeFiles(bin, Object.fromEntries(standIns.map((program) => [program, script])));
  for (const program of standIns) fs.chmodSync(path.join(bin, program), 0o755);
  world.env.PATH = `${bin}:${world.env.PATH}`;
  return { world, main, calls: () => (fs.existsSync(log) ? read(log).trim().split('\n') : []) };
}

interface Added {
  init: Result;
  config: string;
  worktree: string;
  env: Record<string, string>;
}

/** `init --yes`, `check`, commit, `git worktree add`: it must come out ready, and share nothing. */
async function initAndAdd({ world, main }: Repository): Promise<Added> {
  const init = await world.coppice(main, 'init', '--yes');
  expect(init.code, init.stderr).toBe(0);
  const config = read(main, 'worktree.config.yaml');
  const check = await world.coppice(main, 'check');
  expect(check.code, check.stderr).toBe(0);
  await world.git(main, 'add', '-A');
  await world.git(main, 'commit', '-q', '-m', 'config');
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  expect(added.code, `${config}\n${added.stderr}`).toBe(0);
  const worktree = path.join(world.root, 'a');
  const { worktrees } = JSON.parse((await world.coppice(main, 'status', '--json')).stdout);
  expect(worktrees).toMatchObject([{ state: 'ready', warnings: [] }]);
  const env = JSON.parse(await world.git(worktree, 'coppice', 'env', '--json'));
  for (const secret of ['c4n4ry', PASSWORD, 'canary']) expect(config + init.stderr, 'a secret').not.toContain(secret);
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  return { init, config, worktree, env };
}

/** A PATH of every program but those of Docker: what the compose file gives is there without an engine. */
function withoutDocker(world: World): void {
  const bin = path.join(world.root, 'no-docker');
  fs.mkdirSync(bin);
  const programs = new Map<string, string>();
  for (const from of (world.env.PATH ?? '').split(path.delimiter).filter((name) => fs.existsSync(name)))
    for (const name of fs.readdirSync(from))
      if (!name.startsWith('docker') && !programs.has(name)) programs.set(name, path.join(from, name));
  for (const [name, file] of programs) fs.symlinkSync(file, path.join(bin, name));
  world.env.PATH = bin;
}

/** Removes the worktree: nothing that it made is left. */
async function removeAndCollect({ world, main }: Repository): Promise<void> {
  await world.git(main, 'worktree', 'remove', '../a');
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
}

async function makePostgres(...names: string[]): Promise<void> {
  for (const name of names) {
    await postgres.sql('postgres', `drop database if exists ${name}`);
    await postgres.sql('postgres', `create database ${name}`);
  }
}

describe('the file that init writes passes check, its worktree is ready, and nothing in it points at the main worktree:', () => {
  test('Next.js with Prisma, two URLs of one database, a shadow database, and a port in a script', async () => {
    await makePostgres('shop', 'shop_shadow', 'shop_test');
    const repo = await repository('next-prisma');
    const { init, config, worktree, env } = await initAndAdd(repo);
    expect(read(worktree, '.env')).toBe(
      read(repo.main, '.env')
        .replaceAll('/shop?', '/shop__a?')
        .replaceAll('/shop"', '/shop__a"')
        .replace('/shop_shadow', '/shop_shadow__a')
        .replace('localhost:23000', `localhost:${env.PORT}`) +
        `# >>> coppice >>> this worktree's own values; \`git coppice up\` writes this block again\nPORT=${env.PORT}\n# <<< coppice <<<\n`,
    );
    expect(read(worktree, '.env.test')).toBe(`DATABASE_URL=${postgres.url('shop_test__a')}\n`);
    expect(Number(env.PORT)).toBeGreaterThan(23_000);
    expect(read(worktree, 'certificates/localhost.pem')).toBe('pem\n');
    expect(repo.calls()).toEqual([`npx prisma migrate deploy|shop__a?schema=public||${worktree}`]);
    expect(config).toContain(`sh -c 'npx next dev -p "$PORT"'`);
    expect(config).not.toMatch(/run: .*reset/);
    expect(init.stderr).toContain('Cursor: `npx coppice install --agents`');
    expect(init.stderr).toContain('`npm run db:reset` of .cursor/worktrees.json is left out');
    await removeAndCollect(repo);
    expect((await postgres.databases()).filter((name) => name.startsWith('shop'))).toEqual(['shop', 'shop_shadow', 'shop_test']);
  });

  test('a monorepo of Vite and Express, whose env files are in apps/*', async () => {
    await makePostgres('board');
    const repo = await repository('vite-express');
    const { worktree, env, config } = await initAndAdd(repo);
    const api = read(worktree, 'apps/api/.env');
    const port = /^PORT=(\d+)$/m.exec(api)?.[1];
    const redis = new URL(env.REDIS_URL ?? '').port;
    expect(Number(port)).toBeGreaterThan(24_000);
    expect(api).toBe(
      `PORT=${port}\nDATABASE_URL=${postgres.url('board__a')}\nREDIS_URL=redis://localhost:${redis}/1\nQUEUE_URL=redis://localhost:${redis}/1\nCORS_ORIGIN=http://localhost:${env.VITE_PORT}\n`,
    );
    expect(read(worktree, 'apps/web/.env.local')).toBe(`VITE_API_URL=http://localhost:${port}/api\n`);
    expect(repo.calls().map((call) => call.split('|')[0])).toEqual([
      'pnpm install --frozen-lockfile --prefer-offline',
      'pnpm run db:migrate',
    ]);
    expect(config).toContain('teardown:');
    await removeAndCollect(repo);
    expect((await postgres.databases()).filter((name) => name.startsWith('board'))).toEqual(['board']);
  });

  test('Rails, which reads parts, with a key, a Procfile and a bin/setup that drops', async () => {
    await makePostgres('blog_development');
    const repo = await repository('rails');
    const { worktree, env, config } = await initAndAdd(repo);
    expect(env).toMatchObject({ DB_NAME: 'blog_development__a' });
    expect(read(worktree, '.env')).toContain('DB_NAME=blog_development__a\n');
    expect(read(worktree, '.env')).toMatch(/^REDIS_URL=redis:\/\/localhost:\d+\/1$/m);
    expect(read(worktree, 'config/master.key')).toBe('key\n');
    expect(repo.calls()).toEqual([
      expect.stringMatching(/^bundle install\|/),
      `rails-stand-in db:migrate||blog_development__a|${worktree}`,
    ]);
    expect(config).toContain('bin/setup');
    await postgres.sql('postgres', 'create database "blog_development__a_test"');
    await removeAndCollect(repo);
    expect((await postgres.databases()).filter((name) => name.startsWith('blog'))).toEqual(['blog_development']);
  });

  test('Laravel with MariaDB and Redis', async () => {
    await mysql.sql('create database koel');
    const repo = await repository('laravel');
    const { worktree, env } = await initAndAdd(repo);
    expect(env).toMatchObject({ DB_DATABASE: 'koel__a', REDIS_DB: '1', REDIS_CACHE_DB: '1' });
    expect(read(worktree, '.env')).toContain(`APP_URL=http://localhost:${env.SERVER_PORT}\n`);
    expect(read(worktree, '.env')).toContain('DB_DATABASE=koel__a\n');
    expect(repo.calls()).toEqual([
      expect.stringMatching(/^composer install --no-interaction\|/),
      `php artisan migrate --no-interaction||koel__a|${worktree}`,
    ]);
    await removeAndCollect(repo);
    expect((await mysql.databases()).filter((name) => name.startsWith('koel'))).toEqual(['koel']);
  });

  test('Django with SQLite, whose server does not read PORT', async () => {
    const repo = await repository('django');
    const { worktree, config, env } = await initAndAdd(repo);
    expect(fs.existsSync(path.join(worktree, 'db.sqlite3'))).toBe(true);
    expect(read(worktree, '.env')).toContain(`PORT=${env.PORT}\n`);
    expect(config).toContain('manage.py runserver "$PORT"');
    expect(repo.calls().map((call) => call.split('|')[0])).toEqual(['uv sync', 'uv run python manage.py migrate --noinput']);
  });

  test('Phoenix, whose port is written into its config', async () => {
    await makePostgres('hub_dev');
    const repo = await repository('phoenix');
    const { worktree, config } = await initAndAdd(repo);
    expect(read(worktree, '.env')).toContain('/hub_dev__a\n');
    expect(repo.calls()).toEqual([expect.stringMatching(/^mix deps\.get\|/), `mix ecto.migrate|hub_dev__a||${worktree}`]);
    for (const said of ['config/dev.exs', 'hub_test', '`mix setup`']) expect(config).toContain(said);
    await removeAndCollect(repo);
  });

  test('Spring Boot, whose properties have placeholders with defaults', async () => {
    await makePostgres('clinic');
    const repo = await repository('spring');
    const { env } = await initAndAdd(repo);
    expect(env).toMatchObject({ DB_NAME: 'clinic__a' });
    expect(Number(env.SERVER_PORT)).toBeGreaterThan(28_080);
    await removeAndCollect(repo);
  });

  test('Go with a compose file of literal ports: its database is the one of Compose', async () => {
    const repo = await repository('go-compose');
    withoutDocker(repo.world);
    const { worktree, config, env } = await initAndAdd(repo);
    const text = read(worktree, '.env');
    const db = /@localhost:(\d+)\/fider/.exec(text)?.[1];
    expect(Number(db)).toBeGreaterThan(25_555);
    expect(text).toContain(`DB_PORT=${db}\n`);
    expect(text).toContain(`PORT=${env.PORT}\nBASE_URL=http://localhost:${env.PORT}\n`);
    expect(text).not.toContain('28025');
    expect(Number(env.SMTP_PORT)).toBeGreaterThan(21_025);
    expect(config).not.toContain(': postgres\n');
    await removeAndCollect(repo);
  });

  test('only a package.json', async () => {
    const repo = await repository('package-json');
    const { worktree, env } = await initAndAdd(repo);
    expect(read(worktree, '.env')).toContain(`PORT=${env.PORT}\n`);
    expect(Number(env.PORT)).toBeGreaterThan(23_400);
  });

  test('nothing at all', async () => {
    const repo = await repository('nothing');
    const { worktree } = await initAndAdd(repo);
    expect(fs.readdirSync(worktree).sort()).toEqual(['.git', 'README.md', 'worktree.config.yaml']);
  });
});

describe('init on the examples, without their config:', () => {
  /** An example with what a person would have written into its `.env`. */
  async function example(name: string, dotenv: string, more: Record<string, string> = {}): Promise<Repository> {
    const folder = path.resolve('examples', name);
    const files = fs
      .readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => !/^(worktree\.config\.yaml|node_modules\b)/.test(file) && fs.statSync(path.join(folder, file)).isFile());
    const committed = Object.fromEntries(files.map((file) => [file, read(folder, file)]));
    const gitignore = `${committed['.gitignore'] ?? ''}\n.env\n/config/master.key\n`;
    return repositoryOf(name, { 'README.md': '# Example\n', ...committed, '.gitignore': gitignore }, { '.env': dotenv, ...more }, ['npm']);
  }

  test('notes', async () => {
    const repo = await example('notes', 'PORT=24900\nDATABASE_URL=file:notes.db\n', { 'notes.db': '' });
    const { env } = await initAndAdd(repo);
    expect(Number(env.PORT)).toBeGreaterThan(24_900);
    expect(repo.calls().map((call) => call.split('|')[0])).toEqual([expect.stringMatching(/^npm ci /), 'npm run migrate']);
  });

  test('postgres-app', async () => {
    await makePostgres('todo_development');
    const repo = await example('postgres-app', `PORT=24910\nDATABASE_URL=${postgres.url('todo_development')}\n`);
    const { env } = await initAndAdd(repo);
    expect(env.DATABASE_URL).toBe(postgres.url('todo_development__a'));
    await removeAndCollect(repo);
  });

  test('compose', async () => {
    const dotenv = read('examples/compose/.env.example');
    const repo = await example('compose', dotenv);
    withoutDocker(repo.world);
    const { worktree, init } = await initAndAdd(repo);
    for (const port of ['5432', '1025', '8025']) expect(read(worktree, '.env')).not.toContain(`localhost:${port}`);
    expect(init.stderr).toContain('The database `shop` is taken to be the one that the compose file publishes');
    await removeAndCollect(repo);
  });

  test('rails', async () => {
    await makePostgres('journal_development', 'journal_test');
    const redis = await startRedis();
    const repo = await example(
      'rails',
      `PORT=24930\nDATABASE_URL=${postgres.url('journal_development')}\nTEST_DATABASE_URL=${postgres.url('journal_test')}\nREDIS_URL=${redis.url}/0\nCABLE_URL=${redis.url}\n`,
      { 'config/master.key': 'key\n' },
    );
    const { worktree, env } = await initAndAdd(repo);
    expect(read(worktree, '.env')).toBe(
      `PORT=${env.PORT}\nDATABASE_URL=${postgres.url('journal_development__a')}\nTEST_DATABASE_URL=${postgres.url('journal_test__a')}\nREDIS_URL=${redis.url}/1\nCABLE_URL=${redis.url}/1\n`,
    );
    await removeAndCollect(repo);
  });

  test('laravel', async () => {
    await mysql.sql('create database shelf');
    const redis = await startRedis();
    const repo = await example(
      'laravel',
      `APP_PORT=24940\nAPP_URL=http://localhost:24940\nDB_CONNECTION=mysql\nDB_PORT=${mysql.port}\nDB_DATABASE=shelf\nDB_USERNAME=app\nDB_PASSWORD=${PASSWORD}\nREDIS_PORT=${redis.port}\nREDIS_DB=0\n`,
    );
    const { env } = await initAndAdd(repo);
    expect(env).toMatchObject({ DB_DATABASE: 'shelf__a', REDIS_DB: '1' });
    await removeAndCollect(repo);
  });
});

describe('what init writes, and when', () => {
  const app = { '.gitignore': '.env\n', 'package.json': '{"scripts":{"dev":"next dev"}}\n' };

  test('without a terminal and without --yes it shows the file and writes nothing', async () => {
    const { world, main } = await repositoryOf('app', app);
    const before = fs.readdirSync(path.join(main, '.git')).sort();
    const shown = await world.coppice(main, 'init');
    expect(shown).toMatchObject({ code: 0, stdout: '' });
    expect(shown.stderr).toContain('PORT: 3000  # ');
    expect(shown.stderr).toContain('`npx coppice init --yes` writes it');
    expect(fs.readdirSync(main).sort()).toEqual(['.git', '.gitignore', 'package.json']);
    expect(fs.readdirSync(path.join(main, '.git')).sort()).toEqual(before);
  });

  test('--print prints a file that check takes, and nothing else', async () => {
    const { world, main } = await repositoryOf('app', app);
    const printed = await world.coppice(main, 'init', '--print');
    expect(printed).toMatchObject({ code: 0, stderr: '' });
    expect(fs.existsSync(path.join(main, 'worktree.config.yaml'))).toBe(false);
    fs.writeFileSync(path.join(main, 'worktree.config.yaml'), printed.stdout);
    expect((await world.coppice(main, 'check')).code).toBe(0);
  });

  test('a config that is there stays as it is', async () => {
    const { world, main } = await repositoryOf('app', { ...app, 'worktree.config.yml': 'resources: {}\n' });
    const refused = await world.coppice(main, 'init', '--yes');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('There is a worktree.config.yml already. `npx coppice check` judges it');
    expect(fs.existsSync(path.join(main, 'worktree.config.yaml'))).toBe(false);
  });

  test.each([
    ['y', true],
    ['n', false],
    ['', false],
  ])('on a terminal it asks: %j', async (answer, written) => {
    const { world, main } = await repositoryOf('app', app);
    const command = [process.execPath, CLI, 'init'].map((word) => `'${word}'`).join(' ');
    const asked = await world.run(main, 'script', ['-qec', command, '/dev/null'], { input: `${answer}\n` });
    expect(asked.stdout).toContain('Write it as worktree.config.yaml and install the hook? (y/n)');
    expect(asked.code).toBe(0);
    expect(fs.existsSync(path.join(main, 'worktree.config.yaml'))).toBe(written);
    expect(fs.existsSync(path.join(main, '.git/hooks/post-checkout'))).toBe(written);
  });

  test('on a terminal it offers the set-up files of the programs that are used here', async () => {
    const { world, main } = await repositoryOf('app', { ...app, '.cursor/rules/x.mdc': '' });
    const command = [process.execPath, CLI, 'init'].map((word) => `'${word}'`).join(' ');
    const asked = await world.run(main, 'script', ['-qec', command, '/dev/null'], { input: 'y\ny\n' });
    expect(asked.stdout).toContain('Write the set-up files of Cursor too');
    expect(asked.code).toBe(0);
    expect(read(main, '.cursor/worktrees.json')).toContain('git coppice up');
  });

  test('package.json is never changed: what to add is only said', async () => {
    const { world, main } = await repositoryOf('app', app);
    const done = await world.coppice(main, 'init', '--yes');
    expect(done.stderr).toContain('"prepare": "coppice install || true"');
    expect(read(main, 'package.json')).toBe(app['package.json']);
  });

  test('what a server would refuse is said, and the file is written', async () => {
    const redis = await startRedis(['requirepass c0rrect']);
    const { world, main } = await repositoryOf('app', app, { '.env': `REDIS_URL=redis://:wr0ng-c4n4ry@localhost:${redis.port}/0\n` });
    const done = await world.coppice(main, 'init', '--yes');
    expect([done.code, done.stderr]).toEqual([0, expect.stringMatching(/REDIS_URL.*refuses the user or password/)]);
    expect(fs.existsSync(path.join(main, 'worktree.config.yaml'))).toBe(true);
  });

  test('a server that is down is said, and the file is written', async () => {
    const { world, main } = await repositoryOf('app', app, { '.env': 'DATABASE_URL=postgres://me:c4n4ry@localhost:1/shop\n' });
    const done = await world.coppice(main, 'init', '--yes');
    expect(done.code).toBe(0);
    expect(done.stderr).toContain('DATABASE_URL: nothing answers at localhost:1 now');
    expect(done.stderr).not.toContain('c4n4ry');
    expect(read(main, 'worktree.config.yaml')).toMatch(/^ {2}DATABASE_URL: postgres {2}#/m);
  });

  test('from a linked worktree the file stands there, by what the main worktree has', async () => {
    const { world, main } = await repositoryOf('app', app, { '.env': 'PORT=24960\n' });
    await world.git(main, 'worktree', 'add', '-q', '../b', '-b', 'b');
    const done = await world.coppice(path.join(world.root, 'b'), 'init', '--yes');
    expect(done.code, done.stderr).toBe(0);
    expect(read(world.root, 'b/worktree.config.yaml')).toContain('PORT: 24960');
    expect(fs.existsSync(path.join(main, 'worktree.config.yaml'))).toBe(false);
  });

  test('what stands in files of the repository is text, not YAML and not a command', async () => {
    const hostile = 'x\ny: "{{main.path}}" # \u001b[31m `$(touch pwned)`';
    const { world, main } = await repositoryOf(
      'app',
      {
        '.gitignore': '.env\nodd/\n',
        'package.json': JSON.stringify({ scripts: { dev: `next dev -p 3000 ${hostile}`, 'db:reset': hostile } }),
        'conductor.json': JSON.stringify({ scripts: { setup: 'echo "$(touch pwned)"', archive: 'echo {{x}}' } }),
      },
      { '.env': 'A.PORT=3001\npath=/x\nCOPPICE_PORT=3002\nif=1\nDB_PORT={{PORT}}\nSECRET_PORT=3003\n', 'odd/a {b}[c].pem': 'x' },
    );
    const done = await world.coppice(main, 'init', '--yes');
    expect(done.code, done.stderr).toBe(0);
    expect((await world.coppice(main, 'check')).code).toBe(0);
    expect(done.stderr).not.toContain('\u001b[31m');
    expect(fs.existsSync(path.join(main, 'pwned'))).toBe(false);
  });
});
