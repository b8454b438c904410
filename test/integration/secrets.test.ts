import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type Canary, envLine, filesBelow, leaked, makeCanaries } from '../fixtures/canaries.ts';
import { startMariaDb, type TestServer } from '../fixtures/servers/mysql.ts';
import { type PostgresServer, startPostgres } from '../fixtures/servers/postgres.ts';
import { endWorktreeServers, type RedisServer, startRedis } from '../fixtures/servers/redis.ts';
import { CLI, makeWorld, type Result, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const CANARIES = makeCanaries(100, 20_261);
let rest = [...CANARIES];

function take(): Canary {
  const next = rest.shift();
  if (!next) throw new Error('more canaries are asked for than there are');
  return next;
}

const ROLES = { app: take(), admin: take(), parts: take(), redis: take() };
const others = [...rest];
// Each test gets the same ones whatever its turn is: the order of tests is another in each run.
beforeEach(() => {
  rest = [...others];
});
const url = (scheme: string, user: string, { value }: Canary, where: string) => `${scheme}://${user}:${encodeURIComponent(value)}@${where}`;

let postgres: PostgresServer;
let mysql: TestServer;
beforeAll(async () => {
  [postgres, mysql] = await Promise.all([startPostgres(), startMariaDb()]);
  const sql = ({ value }: Canary) => `'${value.replaceAll("'", "''")}'`;
  await postgres.sql('postgres', `create role app login createdb password ${sql(ROLES.app)}`);
  await postgres.sql('postgres', `create role maker login superuser password ${sql(ROLES.admin)}`);
  await postgres.sql('postgres', 'create database shop owner app');
  await postgres.sql('postgres', 'create database other owner app');
  const password = ROLES.parts.value.replaceAll('\\', '\\\\').replaceAll("'", "''");
  await mysql.sql(`CREATE USER shop@'%' IDENTIFIED BY '${password}'`, "GRANT ALL ON *.* TO shop@'%'", 'CREATE DATABASE stock');
});
afterAll(() => mysql?.stop());

/** The programs that coppice's children may start, each writing down how it was called. */
const PROGRAMS = ['psql', 'pg_dump', 'mariadb', 'mariadb-dump', 'sqlite3', 'redis-server', 'sed', 'git', 'docker', 'sh'];

/** A world in which every command line is written down, and all that is printed. */
function recorded(): World & { said: string[]; argv: string } {
  const world = makeWorld();
  endWorktreeServers(world.state);
  const bin = path.join(world.root, 'bin');
  const argv = path.join(world.root, 'argv');
  fs.writeFileSync(argv, '');
  for (const program of PROGRAMS) {
    const real = execFileSync('sh', ['-c', `command -v ${program} || true`], { encoding: 'utf8' }).trim();
    if (real === '') continue;
    writeFiles(bin, { [program]: `#!/bin/sh\nprintf '%s\\n' "$0 $*" >> ${argv}\nexec ${real} "$@"\n` });
    fs.chmodSync(path.join(bin, program), 0o755);
  }
  Object.assign(world.env, {
    PATH: `${bin}:${world.env.PATH}`,
    NODE_OPTIONS: `--require ${path.resolve(import.meta.dirname, '../fixtures/recorder.cjs')}`,
    COPPICE_TEST_ARGUMENTS: argv,
  });
  const said: string[] = [];
  const run: World['run'] = async (...args) => {
    const result = await world.run(...args);
    said.push(result.stdout, result.stderr);
    return result;
  };
  return { ...world, said, argv, run, coppice: (cwd, ...args) => run(cwd, process.execPath, [CLI, ...args]) };
}

/** The files that are there to hold secrets: nobody else may read them. The last remembers a config with what is written in it. */
const HOLDERS = /\/coppice-kept$|\/redis\.conf$|\/state\/compose\/|\/runner\/.*\/config\.json$/;

/** No secret in what was printed, in the ledger, in the repository's folder of git, or in the command line of a program. */
function expectNoLeaks(world: ReturnType<typeof recorded>, main: string) {
  expect(leaked(world.said.join('\n'), CANARIES), 'what was printed').toEqual([]);
  expect(read(world.argv).split('\n').length).toBeGreaterThan(10);
  expect(leaked(read(world.argv), CANARIES), 'command lines').toEqual([]);
  const files = [...filesBelow(world.state), ...filesBelow(path.join(main, '.git'))].filter((file) => !file.includes('/.git/objects/'));
  for (const file of files) {
    if (HOLDERS.test(file)) expect([file, fs.statSync(file).mode & 0o077]).toEqual([file, 0]);
    else expect(leaked(fs.readFileSync(file, 'latin1') + read(file), CANARIES), file).toEqual([]);
  }
}

/** Prints all that it knows, in every form that comes to mind, and fails. */
const SHOUT = `env; export -p; set; cat .env* apps/web/.env; node shout.cjs; exit 3`;
const SHOUT_CJS = `const values = Object.values(process.env);
console.log(process.env, JSON.stringify(process.env), JSON.stringify(JSON.stringify(values)));
for (const value of values) console.log(encodeURIComponent(value), new URLSearchParams({ x: value }).toString(), Buffer.from(value).toString('base64'));
console.error('%s', values.join('\\n') + ' last words ' + values.join(' '));
`;

async function shop(world: World, config: string, env: string, committed: Record<string, string> = {}, web = '') {
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': config, '.gitignore': '.env*\n*.sqlite3\n', 'shout.cjs': SHOUT_CJS, ...committed },
    { '.env': env, 'apps/web/.env': web === '' ? 'X=1\n' : web },
  );
  return main;
}

const add = (world: World, main: string, name: string) => world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name]);

function databases(redis: RedisServer) {
  return [
    `DATABASE_URL=${url('postgres', 'app', ROLES.app, `localhost:${postgres.port}/shop`)}\n`,
    `OTHER_URL=${url('postgres', 'app', ROLES.app, `localhost:${postgres.port}/other`)}\n`,
    `ADMIN_URL=${url('postgres', 'maker', ROLES.admin, `localhost:${postgres.port}/postgres`)}\n`,
    `DB_HOST=127.0.0.1\nDB_PORT=${mysql.port}\nDB_USERNAME=shop\nDB_DATABASE=stock\n${envLine('DB_PASSWORD', ROLES.parts.value)}`,
    `REDIS_URL=${url('redis', '', ROLES.redis, `localhost:${redis.port}/0`)}\n`,
  ].join('');
}

const DATABASES = `  DATABASE_URL: { type: postgres, seed: "env" }
  OTHER: { type: postgres, from: "{{main.env.OTHER_URL}}", admin: "{{main.env.ADMIN_URL}}" }
  DB: { type: mysql, vars: { host: DB_HOST, port: DB_PORT, user: DB_USERNAME, password: DB_PASSWORD, database: DB_DATABASE }, seed: "env" }
  REDIS_URL: redis
`;

async function startLocked(): Promise<RedisServer> {
  const hex = [...Buffer.from(ROLES.redis.value)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  // redis-cli is not used on it.
  return startRedis([`requirepass "${hex}"`]);
}

test('a hundred secrets, in every place for one, are in nothing that a whole life of a worktree prints, keeps or starts', async () => {
  const world = recorded();
  const redis = await startLocked();
  const [text, token, line, words, destroyed, parameter, http] = [take(), take(), take(), take(), take(), take(), take()];
  const web = [take(), take(), take()];
  const others = rest.splice(0, 60);
  writeFiles(world.root, {
    text: text.value,
    token: JSON.stringify({ value: url('db', 'u', words, 'h/x'), token: token.value }),
    line: envLine('SERVICE_TOKEN', line.value),
  });
  writeFiles(world.root, { destroyed: destroyed.value });
  const config = `resources:
${DATABASES}  CACHE_URL: { type: redis, isolate: server, from: "{{main.env.REDIS_URL}}" }
  SERVICE: { type: command, create: 'cat ../text; cat ../text >&2' }
  BRANCH_URL: { type: command, output: json, create: 'cat ../token; cat ../token >&2', destroy: 'cat ../text ../token "$COPPICE_MAIN/.env"; exit 1' }
  SERVICE_KEYS: { type: command, output: env, create: 'cat ../line; cat ../line >&2' }
  COMPOSE_PROJECT_NAME: compose
env:
  DSN: "driver=x;host=h;password={{main.env.OWN_PASSWORD}};"
  LINK: "https://example.test/?access_token={{main.env.LINK_TOKEN}}"
url: "http://localhost:3000/?token={{main.env.LINK_TOKEN}}"
files:
  .env: { action: merge, set: { DATABASE_URL: "{{DATABASE_URL}}", REDIS_URL: "{{REDIS_URL}}", CACHE_URL: "{{CACHE_URL}}" } }
  .env.copy: copy
  apps/web/.env: { action: merge, set: { X: "{{slug}}" } }
  notes.txt: { text: "{{main.env.OWN_PASSWORD}}" }
  "dev.sqlite3": sqlite
steps:
  warm: { run: 'env; cat apps/web/.env', background: true, needs: [] }
  shout: '${SHOUT}'
teardown:
  say: '${SHOUT}'
`;
  const env = [
    databases(redis),
    envLine('LINK_TOKEN', parameter.value),
    envLine('OWN_PASSWORD', http.value),
    ...others.map(({ value }, index) =>
      envLine([`VENDOR_${index}_TOKEN`, `apiKey${index}`, `S${index}_SECRET_KEY`][index % 3] ?? '', value),
    ),
  ].join('');
  const main = await shop(
    world,
    config,
    env,
    {
      'compose.yaml': `services: { db: { image: postgres, ports: ["25432:5432"], environment: { POSTGRES_PASSWORD: "\${OWN_PASSWORD}" } } }\n`,
    },
    web.map(({ value }, index) => envLine(`WEB_${index}_SECRET`, value)).join(''),
  );
  writeFiles(main, { '.env.copy': env });
  execFileSync('sqlite3', [path.join(main, 'dev.sqlite3'), 'create table a (b)']);

  const worktree = path.join(world.root, 'a');
  const added = await add(world, main, 'a');
  expect(added.stderr).toMatch(/✗ shout +exit code 3/);
  // What was printed came to pass: the secrets were in it.
  expect(added.stderr).toContain('access_token=*** last words');
  const up = await world.coppice(worktree, 'up');
  expect(up.stderr).toMatch(/✗ shout +exit code 3/);
  for (const args of [
    ['up', '--step', 'shout'],
    ['logs', 'shout'],
    ['logs', 'DB'],
    ['logs', 'warm'],
    ['up', '--dry-run'],
    ['check'],
    ['check', '--json'],
  ])
    await world.coppice(worktree, ...args);
  for (const args of [
    ['status'],
    ['status', '--json'],
    ['doctor'],
    ['doctor', '--json'],
    ['gc', '--dry-run'],
    ['logs', '--worktree', 'a', 'shout'],
  ])
    await world.coppice(main, ...args);
  expectNoLeaks(world, main);
  // Its purpose is to give them.
  const given = await world.run(worktree, process.execPath, [CLI, 'env', '--json']);
  expect(leaked(world.said.splice(-2).join(''), CANARIES).length).toBeGreaterThan(5);
  expect(given.code).toBe(0);

  const down = await world.coppice(worktree, 'down');
  expect(down.stderr).toMatch(/✗ say +exit code 3/);
  expect(down.stderr).toContain('is still there: `destroy`: exit code 1');
  await world.coppice(main, 'remove', 'a', '--force');
  await world.coppice(main, 'gc');
  expectNoLeaks(world, main);
});

test('servers that are down, refuse or cut what they quote do not bring a secret into what is said of them', async () => {
  const world = recorded();
  const redis = await startLocked();
  const main = await shop(world, `resources:\n${DATABASES}`, databases(redis));
  const right = read(main, '.env');
  const ends: Result[] = [];
  const attempt = async (env: string, name: string) => {
    writeFiles(main, { '.env': env });
    ends.push(await add(world, main, name));
    await world.coppice(main, 'doctor');
    await world.coppice(path.join(world.root, name), 'up', '--dry-run');
  };
  const wrong = (all: string) =>
    Object.values(ROLES).reduce((text, { value }) => text.replaceAll(encodeURIComponent(value), encodeURIComponent(take().value)), all);
  await attempt(wrong(right).replace(/DB_PASSWORD=.*/, envLine('DB_PASSWORD', take().value).trim()), 'wrong');
  await attempt(
    right.replaceAll(String(postgres.port), '1').replaceAll(String(mysql.port), '1').replaceAll(String(redis.port), '1'),
    'dead',
  );
  await attempt(right.replaceAll('@localhost', '%00@localhost'), 'nul');
  await attempt(right.replaceAll('localhost', 'db.example.test'), 'elsewhere');
  await attempt(right.replace('/shop\n', `/shop?password=${encodeURIComponent(take().value)}&sslmode=require\n`), 'parameter');
  // Nobody has encoded it.
  await attempt(
    right.replace(/DATABASE_URL=.*/, envLine('DATABASE_URL', `postgres://app:${take().value}@localhost:${postgres.port}/shop`).trim()),
    'raw',
  );
  await attempt(
    right.replace(/DATABASE_URL=.*/, envLine('DATABASE_URL', `nonsense://app:${take().value}@localhost/shop`).trim()),
    'scheme',
  );
  expect(ends.map(({ code }) => code)).toEqual(ends.map(() => 1));
  writeFiles(main, { '.env': right });
  expect((await add(world, main, 'right')).code).toBe(0);
  await world.git(main, 'worktree', 'remove', '--force', '../right');
  await redis.stop();
  writeFiles(main, { '.env': wrong(right) });
  await world.coppice(main, 'gc');
  await world.coppice(main, 'doctor');
  expectNoLeaks(world, main);
});

test('seeds, commands and steps that fail with a secret in their last words', async () => {
  const world = recorded();
  const redis = await startLocked();
  const [seeded, printed, slow] = [take(), take(), take()];
  const sql = `insert into nowhere values (1);\nselect '${seeded.middle}' '${seeded.middle}' from ${seeded.middle};\n`;
  const config = `resources:
  DATABASE_URL: { type: postgres, data: empty, seed: seed.sql }
  DB: { type: mysql, data: empty, vars: { host: DB_HOST, port: DB_PORT, user: DB_USERNAME, password: DB_PASSWORD, database: DB_DATABASE }, seed: seed.sql }
  WRONG: { type: command, output: json, create: 'cat .env >&2; cat ../printed' }
  NONE: { type: command, create: 'cat "$COPPICE_MAIN/.env" >&2; exit 4' }
files: { .env: copy }
steps:
  slow: { run: 'cat .env; exec sleep 60', timeout: 1s, needs: [] }
  huge: { run: 'node huge.cjs', needs: [] }
`;
  writeFiles(world.root, { printed: printed.value });
  const env = `${databases(redis)}SEED_SECRET=${seeded.middle}\n${envLine('PRINTED_TOKEN', printed.value)}${envLine('SLOW_TOKEN', slow.value)}`;
  const huge = `const fs = require('node:fs');\nconst text = fs.readFileSync('.env', 'utf8');\nfor (let i = 0; i < 4000; i += 1) console.log('-'.repeat(i % 977) + text);\nprocess.exit(1);\n`;
  const main = await shop(world, config, env, { 'seed.sql': sql, 'huge.cjs': huge });
  const added = await add(world, main, 'a');
  expect(added.stderr).toMatch(/✗ DATABASE_URL[\s\S]*✗ |✗ DB/);
  for (const name of ['DATABASE_URL', 'DB', 'WRONG', 'NONE', 'slow', 'huge']) expect(added.stderr).toContain(`✗ ${name}`);
  writeFiles(path.join(world.root, 'a'), { 'seed.sql': sql.replace('insert into nowhere values (1);\n', '') });
  await world.coppice(path.join(world.root, 'a'), 'up');
  const logs = filesBelow(path.join(main, '.git/coppice/logs'));
  expect(logs.some((file) => file.endsWith('huge.log') && fs.statSync(file).size > 2 ** 21)).toBe(true);
  expectNoLeaks(world, main);
});

test('what is wrong with a config is shown without the secrets in it, also where nothing else is known of them', async () => {
  const world = recorded();
  const [one, two, three] = [take(), take(), take()];
  const main = await shop(world, 'resources: { PORT: 23990 }\n', 'X=1\n');
  await add(world, main, 'a');
  const worktree = path.join(world.root, 'a');
  // What no encoding takes away.
  const password = `it's)(!*${encodeURIComponent(one.value)}`;
  for (const config of [
    `resources:\n  A: { type: postgres, from: "postgres://app:${password}@localhost/shop" }\n`,
    `resources:\n  A: "postgres://app:${password}@localhost/shop"\n`,
    `resources:\n  A: { type: mysql, admin: "mysql://localhost/?user=root&password=${password}", nonsense: 1 }\n`,
    `steps:\n  a: { run: x, env: { API_TOKEN: "${two.middle}", API_TOKEN: "${three.middle}" } }\n`,
    `env:\n  API_KEY: ${two.middle}\n API_SECRET: ${three.middle}\n`,
    `env:\n  API_KEY: [${two.middle}\n`,
    `env: { STRIPE_SECRET_KEY: "${two.middle}" }\nresources: { A: { type: postgres, default: { password: ${three.middle} } } }\n`,
    `env: { URL: "https://u:${password}@h/{{nope}}" }\n`,
  ]) {
    writeFiles(worktree, { 'worktree.config.yaml': config });
    const checked = await world.coppice(worktree, 'check');
    expect(checked.code, config).toBe(2);
    for (const args of [['check', '--json'], ['up'], ['status'], ['doctor']]) await world.coppice(worktree, ...args);
  }
  await world.coppice(main, 'gc', '--forget', `postgres://app:${password}@localhost`);
  await world.coppice(main, 'up', `--nonsense=https://app:${password}@h`);
  expectNoLeaks(world, main);
});

test('files that cannot be read or written, and a full disk', async () => {
  const world = recorded();
  const secrets = [take(), take()];
  const env = secrets.map(({ value }, index) => envLine(`S${index}_TOKEN`, value)).join('');
  const main = await shop(world, `resources: { PORT: 23970 }\nsteps: { shout: '${SHOUT}' }\n`, env);
  await add(world, main, 'a');
  const full = path.join(world.root, 'full');
  fs.mkdirSync(full);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'coppice-test', full]);
  onTestFinished(() => void execFileSync('umount', ['-l', full]));
  Object.assign(world.env, { COPPICE_STATE_DIR: full });
  await add(world, main, 'b');
  fs.writeFileSync(path.join(full, 'fill'), Buffer.alloc(40 * 1024));
  const failed = await add(world, main, 'c');
  expect(failed.code).not.toBe(0);
  Object.assign(world.env, { COPPICE_STATE_DIR: world.state });
  fs.rmSync(path.join(main, '.env'));
  fs.mkdirSync(path.join(main, '.env'));
  for (const args of [['up'], ['logs', 'shout'], ['status'], ['env']]) await world.coppice(path.join(world.root, 'a'), ...args);
  expectNoLeaks(world, main);
});

test('init proposes a config from a repository full of secrets, and shows none', async () => {
  const world = recorded();
  const [one, two, three] = [take(), take(), take()];
  const main = path.join(world.root, 'app');
  fs.mkdirSync(main);
  await world.git(main, 'init', '-q');
  writeFiles(main, {
    '.gitignore': '.env\n',
    'package.json': JSON.stringify({ scripts: { dev: 'vite' } }),
    'compose.yaml': `services: { db: { image: postgres, ports: ["5432:5432"], environment: { POSTGRES_PASSWORD: ${one.middle} } } }\n`,
    '.env': `DATABASE_URL=${url('postgres', 'app', two, 'localhost/app')}\n${envLine('API_TOKEN', three.value)}PORT=23960\n`,
  });
  await world.git(main, 'add', '-A');
  await world.git(main, 'commit', '-qm', 'first');
  const shown = await world.coppice(main, 'init', '--print');
  expect(shown.stdout).toContain('DATABASE_URL');
  await world.coppice(main, 'init', '--yes');
  expect(leaked(read(main, 'worktree.config.yaml'), CANARIES)).toEqual([]);
  expectNoLeaks(world, main);
});

test('a log that is followed while its step runs shows no secret either', async () => {
  const world = recorded();
  const secret = take();
  const service = take();
  const config = `resources: { X: { type: command, create: 'cat ../service' } }
steps: { talk: 'cat .env; printenv X; echo said; until [ -e go ]; do sleep 0.05; done; cat .env; printenv X' }
files: { .env: copy }
`;
  writeFiles(world.root, { service: service.value });
  const main = await shop(world, config, envLine('API_TOKEN', secret.value));
  const adding = add(world, main, 'a');
  const worktree = path.join(world.root, 'a');
  const logs = path.join(main, '.git/coppice/logs');
  await until(() => filesBelow(logs).some((file) => read(file).includes('said')), 'its log');
  expect(new Set(filesBelow(logs).map((file) => fs.statSync(file).mode & 0o777))).toEqual(new Set([0o600]));
  const following = start(world, worktree, process.execPath, [CLI, 'logs', '-f', 'talk']);
  await until(() => following.output().includes('said'), 'the log');
  writeFiles(worktree, { go: '' });
  await adding;
  await until(() => following.output().split('API_TOKEN').length > 2, 'the rest of the log');
  following.child.kill();
  await following.ended;
  expect(leaked(following.output(), CANARIES)).toEqual([]);
  expect(following.output()).toContain('***');
  expectNoLeaks(world, main);
});
