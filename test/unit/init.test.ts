import { describe, expect, test } from 'vitest';
import { losesData } from '../../src/init/safety.ts';
import { configText } from '../../src/init/text.ts';
import { lookOf, proposed } from '../fixtures/look.ts';

const json = (data: unknown) => JSON.stringify(data);

describe('databases', () => {
  test('several variables that name one database become one resource, named after the first', async () => {
    const { proposal, lines } = await proposed({
      ignored: { '.env': 'DATABASE_URL=postgres://me@localhost/shop?schema=public\nDIRECT_URL=postgresql://me@127.0.0.1:5432/shop\n' },
    });
    expect(lines).toEqual({ 'resources.DATABASE_URL': 'postgres', 'files..env': 'merge' });
    expect(proposal.found[0]?.why).toContain('DIRECT_URL follows');
  });

  test('parts with defaults in code are one resource; a database that a URL names as well is not made twice', async () => {
    const php =
      "<?php return ['host' => env('DB_HOST', 'localhost'), 'database' => env('DB_DATABASE', 'forge'), 'username' => env('DB_USERNAME')];";
    const tracked = { 'config/database.php': php, artisan: '', 'composer.json': '{}' };
    const parts = await proposed({ tracked, ignored: { '.env': 'DB_CONNECTION=pgsql\nDB_USERNAME=me\n' } });
    expect(parts.lines['resources.DB']).toEqual({
      type: 'postgres',
      vars: { host: 'DB_HOST', user: 'DB_USERNAME', database: 'DB_DATABASE' },
      default: { host: 'localhost', database: 'forge' },
      owns: ['{database}_test_*'],
    });
    const both = await proposed({
      tracked,
      ignored: { '.env': 'DB_URL=postgres://me@localhost/forge\nDB_CONNECTION=pgsql\nDB_USERNAME=me\n' },
    });
    expect(both.lines['resources.DB']).toBeUndefined();
    expect(both.lines['env.DB_DATABASE']).toBe('{{resources.DB_URL.database}}');
  });

  test('a password that stands in code is not taken over: its variable is to be set first', async () => {
    const exs =
      'config :x, X.Repo, username: System.get_env("DB_USER", "me"), password: System.get_env("DB_PASSWORD", "Tr0ub4dor"), hostname: System.get_env("DB_HOST", "localhost"), database: System.get_env("DB_NAME", "x_dev")';
    const tracked = {
      'mix.exs': '{:postgrex, ">= 0.0.0"}',
      'config/dev.exs': exs,
      'site/settings.py': 'env("OTHER_URL", default="postgres://me:Tr0ub4dor@localhost/other")',
    };
    const without = await proposed({ tracked });
    expect(without.lines['resources.DB']).toBeUndefined();
    expect(without.notes).toContain('Set DB_PASSWORD in .env');
    expect(without.notes).toContain('OTHER_URL is read in site/settings.py with a password');
    expect(configText(without.proposal)).not.toContain('Tr0ub4dor');
    const set = await proposed({ tracked, ignored: { '.env': 'DB_PASSWORD=other\n' } });
    expect(set.lines['resources.DB']).toMatchObject({ vars: { password: 'DB_PASSWORD' }, default: { database: 'x_dev', user: 'me' } });
  });

  test('a server elsewhere is never taken on one word, and a URL of other variables is not guessed', async () => {
    const { lines, notes } = await proposed({
      ignored: { '.env': 'DATABASE_URL=postgres://me:s3cr3t@db.example.com/shop\nOTHER_URL=postgres://$USER@localhost/$NAME\n' },
    });
    expect(lines).toEqual({ 'files..env': 'merge' });
    expect(notes).toContain('from: "{{main.env.DATABASE_URL}}"');
    expect(notes).toContain('OTHER_URL in .env is made of other variables');
    expect(notes).not.toContain('s3cr3t');
  });

  test('the database of .env.test is another resource, and the file gets its URL', async () => {
    const { lines } = await proposed({
      ignored: { '.env': 'DATABASE_URL=mysql://me@localhost/shop\n', '.env.test': 'DATABASE_URL=mysql://me@localhost/shop_test\n' },
    });
    expect(lines).toMatchObject({
      'resources.TEST_DATABASE_URL': { type: 'mysql', from: '{{envfile ".env.test" "DATABASE_URL"}}', data: 'schema', export: false },
      'files..env.test': { action: 'merge', set: { DATABASE_URL: '{{TEST_DATABASE_URL}}' } },
    });
  });

  test('a second variable of one database whose value is a default of the code cannot follow by itself: it is computed', async () => {
    const py =
      'env("DATABASE_URL", default="postgres://app@localhost:5432/shop")\nenv("REPLICA_URL", default="postgres://app@localhost:5432/shop")\nenv("MONGO_URL", default="mongodb://localhost/x")\n';
    const { lines, notes } = await proposed({ tracked: { 'site/settings.py': py } });
    expect(lines).toEqual({
      'resources.DATABASE_URL': { type: 'postgres', from: 'postgres://app@localhost:5432/shop' },
      'env.REPLICA_URL': '{{DATABASE_URL}}',
    });
    expect(notes).toContain('MONGO_URL in site/settings.py (mongodb) is shared by all worktrees');
  });

  test('SQLite: by the variable, or by the file that git ignores', async () => {
    expect((await proposed({ ignored: { '.env': 'DATABASE_URL=file:./dev.db\n', 'dev.db': '' } })).lines).toEqual({
      'resources.DATABASE_URL': 'sqlite',
      'files..env': 'merge',
    });
    const { lines } = await proposed({
      tracked: { 'manage.py': 'import django', 'site/settings.py': "'NAME': BASE_DIR / 'db.sqlite3'", 'requirements.txt': 'django\n' },
      ignored: { 'db.sqlite3': '' },
    });
    expect(lines).toMatchObject({
      'files.db.sqlite3': 'sqlite',
      'steps.migrate': { run: '.venv/bin/python manage.py migrate --noinput', needs: ['python'] },
    });
  });
});

describe('Redis and what has no resource type', () => {
  test('one resource a logical database; parts with a variable for it, else a server of its own', async () => {
    const urls = 'REDIS_URL=redis://localhost:6379\nCACHE_URL=redis://127.0.0.1:6379/0\nQUEUE_URL=redis://localhost:6379/3\n';
    expect((await proposed({ ignored: { '.env': urls } })).lines).toEqual({
      'resources.REDIS_URL': 'redis',
      'resources.QUEUE_URL': 'redis',
      'files..env': 'merge',
    });
    expect(
      (await proposed({ ignored: { '.env': 'REDIS_HOST=localhost\nREDIS_PORT=6379\nREDIS_DB=0\n' } })).lines['resources.REDIS'],
    ).toEqual({
      type: 'redis',
      vars: { host: 'REDIS_HOST', port: 'REDIS_PORT', database: 'REDIS_DB' },
    });
    expect((await proposed({ ignored: { '.env': 'REDIS_HOST=localhost\nREDIS_PORT=6379\n' } })).lines['resources.REDIS']).toMatchObject({
      isolate: 'server',
    });
  });

  test('a service without a resource type is said; a path in the main worktree becomes one in the worktree', async () => {
    const { lines, notes } = await proposed({
      ignored: { '.env': 'MONGO_URL=mongodb://localhost:27017/shop\nCACHE_DIR=/main/shop/tmp/cache\n' },
    });
    expect(notes).toContain('`shared: [MONGO_URL]`');
    expect(lines['env.CACHE_DIR']).toBe('{{path}}/tmp/cache');
  });
});

describe('ports', () => {
  test.each([
    [{ scripts: { dev: 'next dev' } }, 'PORT', 3000, null],
    [{ scripts: { dev: 'next dev -p 3100' } }, 'PORT', 3100, 'write `next dev -p ${PORT:-3100}` into the script `dev` of package.json'],
    [{ scripts: { dev: 'vite' } }, 'PORT', 5173, `start it with \`git coppice run -- sh -c 'npx vite --port "$PORT"'\``],
    [{ scripts: { dev: 'PORT=8020 node .' } }, 'PORT', 8020, 'PORT is ignored'],
    [{ scripts: { start: 'ng serve --port ${WEB_PORT:-4300}' } }, 'WEB_PORT', 4300, null],
  ])('%j', async (data, name, base, note) => {
    const { lines, notes } = await proposed({ tracked: { 'package.json': json(data) } });
    expect(lines[`resources.${name}`]).toBe(base);
    if (note === null) expect(notes).toBe('');
    else expect(notes.toLowerCase()).toContain(note.toLowerCase());
  });

  test('bases that worktrees would meet get another step', async () => {
    const { lines } = await proposed({ ignored: { '.env': 'PORT=8000\nADMIN_PORT=8080\nMETRICS_PORT=8081\n' } });
    expect(lines).toMatchObject({
      'resources.PORT': { type: 'port', base: 8000, step: 30 },
      'resources.ADMIN_PORT': 8080,
      'resources.METRICS_PORT': 8081,
    });
  });

  test('two variables of one port are one resource; ports of servers that the app connects to are none of its own', async () => {
    const { lines } = await proposed({ ignored: { '.env': 'PORT=3000\nWEB_PORT=3000\nSMTP_PORT=1025\nDB_PORT=5432\n' } });
    expect(lines).toEqual({ 'resources.PORT': 3000, 'env.WEB_PORT': '{{PORT}}', 'files..env': 'merge' });
  });

  test('in a monorepo each app has its own, put into its own env file', async () => {
    const { lines } = await proposed({
      tracked: { 'package.json': '{}' },
      ignored: { '.env': 'PORT=3000\n', 'apps/api/.env': 'PORT=4000\nWEB_URL=http://localhost:3000\n' },
    });
    expect(lines).toMatchObject({
      'resources.PORT': 3000,
      'resources.API_PORT': { type: 'port', base: 4000, export: false },
      'files.apps/api/.env': { action: 'merge', set: { PORT: '{{API_PORT}}' } },
    });
  });

  test.each([
    ['Rails', { Gemfile: 'gem "rails"\n' }, 'PORT', 3000],
    [
      'Phoenix',
      { 'mix.exs': '{:phoenix, "~> 1.7"}', 'config/dev.exs': 'http: [port: String.to_integer(System.get_env("PORT") || "4000")]' },
      'PORT',
      4000,
    ],
    ['Spring', { 'pom.xml': 'spring-boot', 'src/main/resources/application.yml': 'server:\n  port: 8090\n' }, 'SERVER_PORT', 8090],
    ['Go', { 'go.mod': '', 'main.go': 'port := os.Getenv("PORT"); if port == "" { port = "9090" }' }, 'PORT', 9090],
    ['Laravel', { artisan: '' }, 'SERVER_PORT', 8000],
    ['Flask', { 'requirements.txt': 'flask==3\n' }, 'FLASK_RUN_PORT', 5000],
  ])('%s has its usual port and variable', async (_title, tracked, name, base) => {
    expect((await proposed({ tracked })).lines[`resources.${name}`]).toBe(base);
  });
});

describe('compose files', () => {
  const compose = (ports: string) => `services:\n  db:\n    image: postgres:17\n    ports: [${ports}]\n`;

  test('a database that the compose file publishes is the project’s: no clone, and its port follows everywhere', async () => {
    const { lines } = await proposed({
      tracked: { 'compose.yaml': compose('"5433:5432"') },
      ignored: { '.env': 'DATABASE_URL=postgres://me@localhost:5433/shop\nDB_HOST=localhost\nDB_PORT=5433\nDB_NAME=shop\n' },
    });
    expect(lines).toEqual({
      'resources.COMPOSE_PROJECT_NAME': 'compose',
      'env.DB_PORT': '{{resources.COMPOSE_PROJECT_NAME.db_5432}}',
      'files..env': 'merge',
    });
  });

  test('one that it does not publish is cloned', async () => {
    const { lines } = await proposed({
      tracked: { 'compose.yaml': compose('"5433:5432"') },
      ignored: { '.env': 'DATABASE_URL=postgres://me@localhost:5432/shop\n' },
    });
    expect(lines['resources.DATABASE_URL']).toBe('postgres');
  });

  test('where steps migrate it, it is started before them', async () => {
    const { lines } = await proposed({
      tracked: {
        'compose.yaml': compose('5433:5432'),
        'package.json': json({ scripts: { migrate: 'node migrate.js' } }),
        'package-lock.json': '',
      },
      ignored: { '.env': 'DATABASE_URL=postgres://me@localhost:5433/shop\n' },
    });
    expect(lines).toMatchObject({
      'resources.COMPOSE_PROJECT_NAME': { type: 'compose', up: true, services: ['db'] },
      'steps.migrate': { run: 'npm run migrate', needs: ['install', 'COMPOSE_PROJECT_NAME'] },
    });
  });

  test('what code takes by default goes to the main worktree’s: it is said again with the port of Compose', async () => {
    const tracked = {
      'compose.yaml': compose('5432:5432'),
      'manage.py': 'import django',
      'site/settings.py': 'dj_database_url.config(default="postgres://saleor@localhost:5432/saleor")',
      'uv.lock': '',
    };
    expect((await proposed({ tracked })).lines).toMatchObject({
      'env.DATABASE_URL': 'postgres://saleor@localhost:{{resources.COMPOSE_PROJECT_NAME.db_5432}}/saleor',
      'steps.migrate': { needs: ['python', 'COMPOSE_PROJECT_NAME'] },
    });
  });

  test.each([
    ['DATABASE_URL=postgres://me@localhost/shop\n', 'DATABASE_URL in .env does not say its port'],
    ['DB_HOST=localhost\nDB_USER=me\nDB_NAME=shop\nDB_CONNECTION=pgsql\n', 'no variable says the port'],
    ['DATABASE_URL=postgres://me@db.example.com/shop\n', 'not on this machine'],
  ])('a database that stays shared is never migrated: %j', async (env, said) => {
    const { lines, notes } = await proposed({
      tracked: { 'compose.yaml': compose('5432:5432'), 'package.json': json({ scripts: { migrate: 'node migrate.js' } }) },
      ignored: { '.env': env, 'other.sqlite3': '' },
    });
    expect(lines['steps.migrate']).toBeUndefined();
    expect(notes).toContain(said);
    expect(notes).toContain('`npm run migrate` is left out');
  });

  test('a port that is a variable is that variable’s', async () => {
    const { lines } = await proposed({ tracked: { 'compose.yaml': compose('"${PG_PORT:-5433}:5432"') } });
    expect(lines).toMatchObject({ 'resources.PG_PORT': 5433 });
  });

  test('a service’s own name as host is inside the project, and meant', async () => {
    const { proposal } = await proposed({
      tracked: { 'compose.yaml': compose('5432') },
      ignored: { '.env': 'DATABASE_URL=postgres://me@db:5432/shop\n' },
    });
    expect(proposal.shared.map(({ name }) => name)).toEqual(['DATABASE_URL']);
  });

  test('a script that says -f to Compose is named', async () => {
    const { notes } = await proposed({
      tracked: { 'compose.yaml': compose('5432'), 'package.json': json({ scripts: { up: 'docker compose -f compose.yaml up -d' } }) },
    });
    expect(notes).toContain('The script `up` calls Compose with `-f`');
  });
});

describe('files', () => {
  test('a sample alone says what will be there, and how to make it', async () => {
    const { lines, notes } = await proposed({ tracked: { '.env.example': 'PORT=3005\n' } });
    expect(lines).toEqual({ 'resources.PORT': 3005, 'files..env': 'merge' });
    expect(notes).toContain('`cp .env.example .env`');
  });

  test('an env file that git tracks cannot differ: that is said', async () => {
    const { lines, notes } = await proposed({ tracked: { '.env': 'PORT=3000\n' }, ignored: { '.env.local': 'KEY=x\n' } });
    expect(lines).toEqual({ 'resources.PORT': 3000, 'files..env.local': 'merge' });
    expect(notes).toContain('git tracks .env, which sets PORT');
  });

  test('a file of Next’s or Vite’s order is read, and one that git does not ignore is named', async () => {
    const { proposal, notes } = await proposed({ untracked: { '.env.development.local': 'PORT=3000\n' } });
    expect(proposal.envFiles).toEqual(['.env.development.local']);
    expect(notes).toContain('git does not ignore .env.development.local');
  });

  test('a link to another env file becomes a file of its own', async () => {
    const { lines } = await proposed({
      ignored: { '.env': 'PORT=3000\n', 'apps/web/.env': 'PORT=3000\n' },
      links: { 'apps/web/.env': '../../.env' },
    });
    expect(lines['files.apps/web/.env']).toBe('merge');
  });

  test('keys and settings that git ignores are copied, several of a kind by a glob', async () => {
    const { lines, notes } = await proposed({
      tracked: { '.worktreeinclude': 'secrets/\n' },
      ignored: {
        'config/master.key': '',
        'certs/a.pem': '',
        'certs/b.pem': '',
        '.claude/settings.local.json': '{}',
        'node_modules/x/a.pem': '',
      },
    });
    expect(Object.keys(lines)).toEqual(['files..claude/settings.local.json', 'files.certs/*.pem', 'files.config/master.key']);
    expect(notes).toContain('.worktreeinclude is honoured');
  });
});

test('a file that everybody makes from a sample is copied, and what it says of databases counts', async () => {
  const { lines, notes } = await proposed({
    tracked: { 'config/database.yml.sample': '', Gemfile: 'gem "rails"\n', 'db/schema.rb': '' },
    ignored: { 'config/database.yml': 'development:\n  adapter: postgresql\n  database: news_dev\n' },
  });
  expect(lines).toMatchObject({ 'files.config/database.yml': 'copy' });
  expect(lines['steps.migrate']).toBeUndefined();
  expect(notes).toContain('config/database.yml names the database `news_dev`');
});

describe('steps', () => {
  test.each([
    ['pnpm-lock.yaml', 'install', 'pnpm install --frozen-lockfile --prefer-offline'],
    ['bun.lock', 'install', 'bun install --frozen-lockfile'],
    ['package-lock.json', 'install', 'npm ci --prefer-offline --no-audit --no-fund'],
    ['yarn.lock', 'install', 'yarn install --frozen-lockfile'],
    ['Gemfile.lock', 'bundle', 'bundle install'],
    ['composer.lock', 'composer', 'composer install --no-interaction'],
    ['uv.lock', 'python', 'uv sync'],
    ['poetry.lock', 'python', 'poetry install --no-interaction'],
    ['mix.exs', 'deps', 'mix deps.get'],
    ['go.sum', 'modules', 'go mod download'],
  ])('%s installs', async (lockfile, name, run) => {
    expect((await proposed({ tracked: { [lockfile]: '' } })).lines[`steps.${name}`]).toEqual({ run, needs: [] });
  });

  test('a migration without a database of the worktree’s own is left out', async () => {
    const { lines, notes } = await proposed({ tracked: { 'package.json': json({ scripts: { migrate: 'knex migrate:latest' } }) } });
    expect(lines['steps.migrate']).toBeUndefined();
    expect(notes).toContain('`npm run migrate` is left out');
  });

  test.each([
    'prisma migrate reset',
    'prisma migrate dev',
    'prisma db push',
    'rails db:reset',
    'bin/rails db:setup',
    'php artisan migrate:fresh --seed',
    'php artisan migrate:refresh',
    'mix ecto.reset',
    'python manage.py flush --noinput',
    'dropdb shop && createdb shop',
    'psql -c "DROP TABLE x"',
    'docker compose down -v',
    'redis-cli flushall',
    'sequelize db:migrate:undo:all',
    'npm run again',
    './bin/again',
    'mix again',
    'make again',
    'composer again',
    'node lib/unread.js',
    'just again',
    'node lib/anew.js',
    'knex migrate:rollback',
  ])('`%s` is never adopted', async (command) => {
    const look = await lookOf({
      tracked: {
        'package.json': json({ scripts: { again: 'npm run one', one: 'bash bin/again' } }),
        'bin/again': '#!/bin/sh\n# all anew\nbin/rails db:drop db:create\n',
        'lib/anew.js': 'await client.query("DROP TABLE post");',
        'lib/migrate.js': 'cache.delete(1); try { run() } catch { await client.query("rollback"); reset(); }',
        Makefile: 'again: base\n\techo x\nbase:\n\tdropdb x\n',
        'composer.json': json({ scripts: { again: ['@php artisan migrate:fresh'] } }),
        'mix.exs': 'defp aliases, do: [again: ["ecto.drop --quiet", "ecto.create"]]',
      },
    });
    const unread = { ...look, files: new Set([...look.files, 'lib/unread.js']) };
    expect(losesData(unread, command)).not.toBeNull();
  });

  test.each([
    'prisma migrate deploy',
    'bin/rails db:migrate',
    'php artisan migrate --no-interaction',
    'mix ecto.migrate',
    'knex migrate:latest',
    'npm run presets',
    'pnpm run build',
    'make deps',
    'node lib/migrate.js',
  ])('`%s` is safe', async (command) => {
    expect(
      losesData(
        await lookOf({
          tracked: {
            'package.json': json({ scripts: { presets: 'node presets.js' } }),
            'lib/migrate.js': 'cache.delete(1); try { run() } catch { await client.query("rollback"); reset(); }',
            Makefile: 'deps:\n\tgo mod download\n',
          },
        }),
        command,
      ),
    ).toBeNull();
  });
});

describe('other tools’ files', () => {
  const base = { 'package.json': json({ scripts: { setup: 'x' } }), 'package-lock.json': '' };

  test.each([
    [
      '.cursor/worktrees.json',
      json({ 'setup-worktree': ['npm ci', 'cp $ROOT_WORKTREE_PATH/config/key.txt config/key.txt', 'npm run codegen'] }),
    ],
    [
      'conductor.json',
      json({ scripts: { setup: 'npm install && cp "$CONDUCTOR_ROOT_PATH/config/key.txt" config/key.txt && npm run codegen' } }),
    ],
    [
      '.codex/environments/environment.toml',
      `version = 1\n\n[setup]\nscript = '''\nset -e\nnpm ci\ncp $ROOT_PATH/config/key.txt config/key.txt\nnpm run codegen\n'''\n\n[[actions]]\ncommand = "npm start"\n`,
    ],
    ['package.json', json({ worktreeSetup: { copy: ['config/key.txt'], run: ['npm ci', 'npm run codegen'] } })],
  ])('%s is converted: files, no second install, its own commands', async (file, text) => {
    const { lines, notes } = await proposed({ tracked: { ...base, [file]: text } });
    expect(lines).toMatchObject({ 'files.config/key.txt': 'copy', 'steps.codegen': 'npm run codegen' });
    expect(Object.keys(lines).filter((name) => name.startsWith('steps.'))).toEqual(['steps.install', 'steps.codegen']);
    expect(notes).toContain('Put `git coppice up` in the place of its set-up');
  });

  test('wt.config.json: its env files and its command', async () => {
    const text = json({ baseDatabaseName: 'x', envFiles: [{ source: '.env' }, { source: 'apps/web/.env' }], postSetup: 'npm run codegen' });
    expect((await proposed({ tracked: { ...base, 'wt.config.json': text } })).lines).toMatchObject({
      'files..env': 'merge',
      'files.apps/web/.env': { action: 'merge', set: {} },
      'steps.codegen': 'npm run codegen',
    });
  });

  test('what drops data, or leads to the main worktree, is left out and named', async () => {
    const text = json({
      scripts: {
        setup:
          'npm run db:reset\nln -s $CONDUCTOR_ROOT_PATH/node_modules node_modules\nln -s $CONDUCTOR_ROOT_PATH/storage storage\n$CONDUCTOR_ROOT_PATH/bin/x',
        archive: 'dropdb x',
      },
    });
    const { lines, notes } = await proposed({ tracked: { ...base, 'conductor.json': text } });
    expect(Object.keys(lines).filter((name) => !name.startsWith('steps.install'))).toEqual(['files.storage']);
    for (const said of [
      '`npm run db:reset` of conductor.json is left out',
      'links storage to the main worktree',
      "uses the main worktree's own files",
      '`dropdb x`',
    ])
      expect(notes).toContain(said);
  });
});

describe('tests', () => {
  test('what parallel runners make from our database is owned', async () => {
    const env = { '.env': 'DATABASE_URL=postgres://me@localhost/shop\n' };
    expect((await proposed({ tracked: { 'manage.py': 'django' }, ignored: env })).lines['resources.DATABASE_URL']).toEqual({
      type: 'postgres',
      owns: ['test_{database}*'],
    });
  });

  test.each([
    [{ 'phpunit.xml': '<env name="DB_DATABASE" value="testing"/>' }, '`testing`'],
    [{ 'config/database.yml': 'test:\n  adapter: postgresql\n  database: blog_test\n' }, '`blog_test`'],
    [{ 'config/test.exs': 'config :x, X.Repo, database: "x_test"' }, '`x_test`'],
    [{ '.env.test': 'DATABASE_URL=postgres://localhost/shop_test\n' }, '.env.test'],
  ])('a test database that all worktrees share is said: %j', async (tracked, said) => {
    expect((await proposed({ tracked })).notes).toContain(said);
  });
});

test('each line has its reason: beside it, above it where it is long; what is to be copied is on one line', async () => {
  const { proposal } = await proposed({
    tracked: { 'package.json': json({ scripts: { dev: 'vite' } }), 'package-lock.json': '' },
    ignored: { '.env': 'DB_HOST=localhost\nDB_PORT=5432\nDB_USERNAME=a_long_name_of_a_user\nDB_PASSWORD=x\nDB_DATABASE=shop\n' },
  });
  const text = configText(proposal);
  const lines = text.split('\n');
  expect(lines[0]).toBe('# yaml-language-server: $schema=./node_modules/coppice/schema/worktree.config.schema.json');
  expect(lines).toContain("  PORT: 5173  # 5173 of Vite stays the main worktree's");
  expect(text).toContain(
    '  # a copy of the database `shop`, whose parts .env names\n  DB:\n    type: postgres\n    vars: { host: DB_HOST,',
  );
  expect(lines.some((line) => line.includes(`\`git coppice run -- sh -c 'npx vite --port "$PORT"'\``))).toBe(true);
});
