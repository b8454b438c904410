import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { CLI, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const CONFIG = `resources: { PORT: 24750 }
env: { URL: "http://localhost:{{PORT}}/a b" }
files: {}
steps:
  talk: echo "said $PORT"
`;

async function shop(world: World) {
  const main = await world.repository('shop', { 'worktree.config.yaml': CONFIG, 'sub/file': '' });
  await world.git(main, 'worktree', 'add', '../a', '-b', 'feature/a');
  return { main, worktree: path.join(world.root, 'a') };
}

test('status --json has the promised form, on stdout alone', async () => {
  const world = makeWorld();
  const { main } = await shop(world);
  const status = await world.coppice(main, 'status', '--json');
  expect([status.code, status.stderr]).toEqual([0, '']);
  expect(JSON.parse(status.stdout)).toEqual({
    version: 1,
    worktrees: [
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        slug: 'feature-a',
        slot: 1,
        branch: 'feature/a',
        path: path.join(world.root, 'a'),
        state: 'ready',
        url: 'http://localhost:24760',
        resources: [{ name: 'PORT', type: 'port', state: 'ready' }],
        files: [],
        steps: [{ name: 'talk', state: 'ok', ms: expect.any(Number) }],
        warnings: [],
        ms: expect.any(Number),
      },
    ],
  });
});

test('status for people names branch, state, slot and address; a folder that is gone is said', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(world);
  const status = await world.coppice(main, 'status');
  expect(status.stdout).toMatch(/BRANCH +STATE +SLOT +URL/);
  expect(status.stdout).toMatch(/feature\/a +ready +1 +http:\/\/localhost:24760/);
  fs.rmSync(worktree, { recursive: true });
  expect((await world.coppice(main, 'status')).stdout).toContain('git worktree prune');
  expect((await world.coppice(main, 'gc')).stderr).toContain('git worktree prune');
});

test('status and gc --merged call a branch merged whose own commits are in main, and not one that has none', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': 'resources: { PORT: 24000 }\n' });
  const origin = path.join(world.root, 'origin');
  await world.git(main, 'branch', 'theirs');
  await world.git(world.root, 'clone', '-q', '--bare', main, origin);
  await world.git(main, 'branch', '-D', 'theirs');
  await world.git(main, 'remote', 'add', 'origin', origin);
  await world.git(main, 'fetch', '-q', 'origin');
  for (const words of [
    ['../own', '-b', 'own'],
    ['../fresh', '-b', 'fresh'],
    ['../based', '-b', 'based', 'origin/main'],
    ['../theirs', 'theirs'],
  ])
    await world.git(main, 'worktree', 'add', ...words);
  await world.git(path.join(world.root, 'own'), 'commit', '-q', '--allow-empty', '-m', 'own');
  await world.git(main, 'merge', '-q', '--no-ff', '-m', 'merge', 'own');
  const { stdout } = await world.coppice(main, 'status');
  const merged = stdout.split('\n').filter((line) => /\bmerged\b/.test(line));
  expect(merged.map((line) => line.trim().split(/\s+/)[0]).sort()).toEqual(['own', 'theirs']);
  const gc = await world.coppice(main, 'gc', '--merged');
  expect([...gc.stderr.matchAll(/^(\S+) is merged/gm)].map(([, name]) => name).sort()).toEqual(['own', 'theirs']);
});

test('env prints the variables for a shell, as an env file and as JSON', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(world);
  const shell = await world.run(worktree, 'sh', ['-c', `eval "$(${process.execPath} ${CLI} env)"; printf '%s|%s' "$PORT" "$URL"`]);
  expect(shell.stdout).toBe('24760|http://localhost:24760/a b');
  expect((await world.coppice(worktree, 'env', '--dotenv')).stdout).toBe("PORT=24760\nURL='http://localhost:24760/a b'\n");
  expect(JSON.parse((await world.coppice(main, 'env', 'feature/a', '--json')).stdout)).toEqual({
    PORT: '24760',
    URL: 'http://localhost:24760/a b',
  });
  expect(JSON.parse((await world.coppice(main, 'env', '--json')).stdout)).toEqual({ PORT: '24750', URL: 'http://localhost:24750/a b' });
});

test('env in the main worktree gives what its own env files say, and no worktree’s', async () => {
  const world = makeWorld();
  const config = `resources:
  PORT: 24000
  DATABASE_URL: postgres
  DB: { type: mysql, vars: { host: DB_HOST, port: DB_PORT, user: DB_USER, password: DB_PASS, database: DB_NAME } }
  REDIS_URL: redis
  CACHE_URL: { type: redis, isolate: server }
  API_URL: { type: command, create: echo x }
env: { COPY: "{{DATABASE_URL}} {{resources.DATABASE_URL.database}}" }
`;
  const own = {
    PORT: '24000',
    DATABASE_URL: 'postgres://a@localhost:1/shop',
    REDIS_URL: 'redis://localhost:1/3',
    CACHE_URL: 'redis://localhost:2/1',
    API_URL: 'http://api.test',
    DB_NAME: 'stock',
  };
  const all = { ...own, DB_HOST: 'localhost', DB_PORT: '1', DB_USER: 'u', DB_PASS: 'p' };
  const text = Object.entries(all).map(([name, value]) => `${name}=${value}\n`);
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': text.join('') });
  const given = await world.coppice(main, 'env', '--json');
  expect(given.stderr).toBe('');
  expect(JSON.parse(given.stdout)).toEqual({ ...own, COPY: `${own.DATABASE_URL} shop` });
});

test('run passes on arguments, variables, exit codes and signals; 125 when it could not start', async () => {
  const world = makeWorld();
  const { worktree, main } = await shop(world);
  const sub = path.join(worktree, 'sub');
  const ran = await world.coppice(sub, 'run', '--', 'sh', '-c', 'echo "$PORT $COPPICE_SLUG $1 $PWD"; exit 7', 'sh', '--flag');
  expect([ran.code, ran.stdout]).toEqual([7, `24760 feature-a --flag ${sub}\n`]);
  expect((await world.coppice(worktree, 'run', 'no-such-program')).code).toBe(125);
  await world.run(main, 'git', ['worktree', 'add', '../b', '-b', 'b'], { env: { COPPICE: '0' } });
  const notSetUp = await world.coppice(path.join(world.root, 'b'), 'run', 'true');
  expect([notSetUp.code, notSetUp.stderr]).toEqual([125, expect.stringContaining('git coppice up')]);

  const child = start(world, worktree, 'git', [
    'coppice',
    'run',
    'sh',
    '-c',
    'trap "echo ended >> end.log; exit 9" TERM; echo ready; while :; do sleep 0.05; done',
  ]);
  await until(() => child.output().includes('ready'), 'the command');
  child.child.kill('SIGTERM');
  await child.ended;
  await until(() => fs.existsSync(path.join(worktree, 'end.log')), 'the command to be told');
});

test('logs prints what a step said, lists the logs, and names them when one is unknown', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(world);
  expect((await world.coppice(worktree, 'logs', 'talk')).stdout).toBe('said 24760\n');
  expect((await world.coppice(worktree, 'logs')).stdout).toBe('talk\n');
  expect((await world.coppice(main, 'logs', 'talk', '--worktree', 'feature/a')).stdout).toBe('said 24760\n');
  const unknown = await world.coppice(worktree, 'logs', 'nope');
  expect([unknown.code, unknown.stderr]).toEqual([2, 'There is no log of `nope`. Logs: talk.\n']);
});

test('check judges the file: 0 when right, 2 with every problem when wrong or absent', async () => {
  const world = makeWorld();
  const { main } = await shop(world);
  expect((await world.coppice(path.join(main, 'sub'), 'check')).code).toBe(0);
  writeFiles(main, { 'worktree.config.yaml': 'resorces: {}\nsteps: { a: { run: x, neds: [] } }\n' });
  const wrong = await world.coppice(main, 'check');
  expect([wrong.code, wrong.stderr]).toEqual([
    2,
    expect.stringMatching(/worktree\.config\.yaml:1:1[\s\S]*resources[\s\S]*:2:[\s\S]*needs/),
  ]);
  const json = await world.coppice(main, 'check', '--json');
  expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, problems: [{ line: 1 }, { line: 2 }] });
  fs.rmSync(path.join(main, 'worktree.config.yaml'));
  expect((await world.coppice(main, 'check')).code).toBe(2);
});

test('what other tools keep in the folder, and what cosmiconfig would run there, is neither read nor run', async () => {
  const world = makeWorld();
  const { main } = await shop(world);
  const canary = `require('node:fs').writeFileSync(${JSON.stringify(path.join(world.root, 'canary'))}, '')`;
  const files = Object.fromEntries(['js', 'cjs', 'ts'].map((end) => [`.config/config.${end}`, canary]));
  writeFiles(main, {
    ...files,
    '.config/config.mjs': `import fs from 'node:fs'; fs.writeFileSync(${JSON.stringify(path.join(world.root, 'canary'))}, '');`,
    'package.json': '{ not json',
    'package.yaml': '{',
    '.config/config.json': '{',
  });
  const checked = await world.coppice(main, 'check');
  expect(checked.code, checked.stderr).toBe(0);
  expect(fs.existsSync(path.join(world.root, 'canary'))).toBe(false);
});

test('a step run alone does not make a worktree ready whose other steps never ran', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': 'files: {}\nsteps: { a: "true", b: "true" }\n' });
  await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a'], { env: { COPPICE: '0' } });
  const alone = await world.coppice(path.join(world.root, 'a'), 'up', '--step', 'b');
  expect([alone.code, alone.stderr]).toEqual([0, expect.stringContaining('not run yet: a.')]);
  expect(JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees[0].state).toBe('failed');
});

test('up --dry-run says what would be done and changes nothing', async () => {
  const world = makeWorld();
  const { main } = await shop(world);
  await world.run(main, 'git', ['worktree', 'add', '../b', '-b', 'b'], { env: { COPPICE: '0' } });
  const claims = fs.readdirSync(path.join(world.state, 'claims'));
  const dry = await world.coppice(path.join(world.root, 'b'), 'up', '--dry-run');
  expect([dry.code, dry.stderr]).toEqual([0, expect.stringMatching(/slot 2[\s\S]*PORT +port +24770[\s\S]*talk[\s\S]*nothing was changed/)]);
  expect(fs.readdirSync(path.join(world.state, 'claims'))).toEqual(claims);
  expect(JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees[1]).toMatchObject({ branch: 'b', state: 'none' });
});

test('a wrong config: git worktree add exits 1, nothing is made or held, and up tells the same', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { PORT: 24750, OTHER: prot }\nsteps: { a: touch made.txt }\n',
  });
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  expect([added.code, added.stderr]).toEqual([1, expect.stringMatching(/`prot` is not a resource type[\s\S]*`port`[\s\S]*git coppice up/)]);
  expect(fs.readdirSync(path.join(world.root, 'a')).sort()).toEqual(['.git', 'worktree.config.yaml']);
  expect(fs.existsSync(path.join(world.state, 'claims')) ? fs.readdirSync(path.join(world.state, 'claims')) : []).toEqual([]);
  expect((await world.coppice(path.join(world.root, 'a'), 'up')).code).toBe(2);
});

test('every verb has help with an example; an unknown verb and option are wrong usage', async () => {
  const world = makeWorld();
  for (const verb of ['install', 'up', 'down', 'remove', 'gc', 'status', 'env', 'run', 'logs', 'check']) {
    const help = await world.coppice(world.root, verb, '--help');
    expect([help.code, help.stdout], verb).toEqual([0, expect.stringMatching(/Example:\n {2}\$ .*coppice/)]);
  }
  expect((await world.coppice(world.root, 'nope')).code).toBe(2);
  expect((await world.coppice(world.root, 'up', '--nope')).code).toBe(2);
  expect((await world.coppice(world.root, 'status')).stderr).toContain('is not in a git repository');
});

test('nothing from outside reaches the terminal as an escape', async () => {
  const world = makeWorld();
  const { main } = await shop(world);
  const result = await world.coppice(main, 'up', '\u001b[31mred\u202e');
  for (const character of ['\u001b', '\u202e']) expect(result.stderr.includes(character)).toBe(false);
  expect(result.stderr).toContain('\\u{1b}[31mred\\u{202e}');
  const branch = 'té🍐\u202e\u009b';
  await world.git(main, 'worktree', 'add', '-q', '../odd', '-b', branch);
  const { stdout } = await world.coppice(main, 'status', '--json');
  expect(stdout).toMatch(/^[ -~\p{L}]+\n$/u);
  expect(JSON.parse(stdout).worktrees.map((worktree: { branch: string }) => worktree.branch)).toContain(branch);
});

test('a database made again runs the steps that fill it again; one that is there does not', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml':
      'resources: { DB: { type: sqlite, from: dev.db } }\nfiles: {}\nsteps:\n  apart: { run: echo apart >> runs.log, needs: [] }\n  migrate: echo migrate >> runs.log\n  seed: { run: echo seed >> runs.log, needs: [migrate] }\n',
    '.gitignore': '*.db\n*.log\n',
  });
  await world.run(main, 'sqlite3', ['dev.db', 'create table t(a)']);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const worktree = path.join(world.root, 'a');
  const runs = async () => {
    fs.writeFileSync(path.join(worktree, 'runs.log'), '');
    const up = await world.coppice(worktree, 'up');
    expect(up.code, up.stderr).toBe(0);
    return read(worktree, 'runs.log');
  };
  expect(await runs()).toBe('');
  fs.rmSync(path.join(worktree, 'dev.db'));
  expect(await runs()).toBe('migrate\nseed\n');
  expect(fs.existsSync(path.join(worktree, 'dev.db'))).toBe(true);
  await world.coppice(worktree, 'down');
  expect(await runs()).toBe('migrate\nseed\n');
});

test('a database that git tracks does not make its steps run again at every up', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { DB: { type: sqlite, from: dev.db } }\nfiles: {}\nsteps: { fill: echo fill >> runs.log }\n',
    '.gitignore': '*.log\n',
    'dev.db': 'tracked',
  });
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const worktree = path.join(world.root, 'a');
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(read(worktree, 'runs.log')).toBe('fill\n');
});

test('what was judged right is judged again when it or an override changes, or what is kept of it is damaged', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(world);
  const [runner = ''] = fs.readdirSync(path.join(main, '.git/coppice/runner'));
  const kept = path.join(main, '.git/coppice/runner', runner, 'config.json');
  expect(JSON.parse(read(kept))).toMatchObject({ texts: { branch: CONFIG, local: null } });
  const up = () => world.run(worktree, 'git', ['coppice', 'up']);
  const variables = async () => JSON.parse(await world.git(worktree, 'coppice', 'env', '--json'));
  expect((await up()).code).toBe(0);

  writeFiles(worktree, { 'worktree.config.yaml': CONFIG.replace('24750', '"port"') });
  const wrong = await up();
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('worktree.config.yaml:1:')]);
  writeFiles(main, { 'worktree.config.local.yaml': 'env: { MORE: x }\n' });
  writeFiles(worktree, { 'worktree.config.yaml': CONFIG });
  expect(await variables()).toMatchObject({ PORT: '24760', MORE: 'x' });
  for (const damage of ['', '{"name":', `${read(kept)}x`]) {
    fs.writeFileSync(kept, damage);
    expect(await variables()).toMatchObject({ PORT: '24760', MORE: 'x' });
    expect(JSON.parse(read(kept))).toMatchObject({ texts: { branch: CONFIG } });
  }

  const byTemplate = 'files: { note.md: { template: note.hbs } }\n';
  writeFiles(worktree, { 'worktree.config.yaml': byTemplate, 'note.hbs': '{{slug}}' });
  expect((await up()).code).toBe(0);
  writeFiles(worktree, { 'note.hbs': '{{nope}}' });
  const undefinedName = await up();
  expect([undefinedName.code, undefinedName.stderr]).toEqual([2, expect.stringContaining('nope')]);
});

test('logs -f goes on printing what a step adds', async () => {
  const world = makeWorld();
  const { worktree } = await shop(world);
  const log = path.join(
    fs.realpathSync(path.join(worktree, '..', 'shop', '.git/coppice/logs')),
    fs.readdirSync(path.join(world.root, 'shop/.git/coppice/logs'))[0] ?? '',
    'talk.log',
  );
  const following = start(world, worktree, process.execPath, [CLI, 'logs', '-f', 'talk']);
  await until(() => following.output().includes('said 24760'), 'what was there');
  fs.appendFileSync(log, 'more\n');
  await until(() => following.output().includes('more'), 'what was added');
  following.child.kill('SIGTERM');
  expect((await following.ended).code).toBe(0);
});
