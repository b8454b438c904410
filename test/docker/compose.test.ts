import fs from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { atOnce } from '../fixtures/at-once.ts';
import { countPoints, JOURNAL, killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { type Compose, type DockerEngine, startDocker } from '../fixtures/servers/docker.ts';
import { CLI, isAlive, makeWorld, type Result, read, start, until, type World } from '../fixtures/world.ts';

const engine: DockerEngine = await startDocker();
// What a test that fails leaves makes no other one fail.
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await engine.clear();
});

const SHOP = `services:
  web:
    image: coppice-test:1
    command: /bin/httpd -f -p 80 -h /
    container_name: shop_web
    env_file: .env
    ports: ["18080:80"]
  db:
    image: coppice-test:1
    command: /bin/sh -c "touch /data/x; sleep 1000"
    stop_signal: SIGKILL
    healthcheck: { test: [CMD, /bin/sh, -c, test -e /data/x], interval: 1s }
    volumes: ["data:/data", "./files:/files"]
    ports: ["127.0.0.1:15432:5432"]
volumes:
  data: {}
`;
/** Ends a runner at a moment that is counted; see there. */
const UP = 'resources: { COMPOSE_PROJECT_NAME: { type: compose, up: true, timeout: 60s } }\n';

/** A repository with a compose file. The world's programs reach the engine of these tests. */
async function shop(world: World, compose: Compose, files: Record<string, string> = {}, name = 'shop'): Promise<string> {
  Object.assign(world.env, engine.env(compose));
  return world.repository(
    name,
    {
      'compose.yaml': SHOP.replace('shop_web', `${name}_web`),
      'worktree.config.yaml': UP,
      '.gitignore': '.env\n',
      'files/a': '1',
      ...files,
    },
    { '.env': 'DATABASE_URL=postgres://me:secret@localhost:15432/shop\nSITE=http://localhost:18080\n' },
  );
}

/** All that bears a project's label. */
function things(project: string): string[] {
  const filter = ['--filter', `label=com.docker.compose.project=${project}`];
  return [
    ...engine.docker('ps', '-a', ...filter, '--format', '{{.Names}}'),
    ...engine.docker('network', 'ls', ...filter, '--format', '{{.Name}}'),
    ...engine.docker('volume', 'ls', ...filter, '--format', '{{.Name}}'),
  ].sort();
}

function add(world: World, main: string, name: string, branch = name): Promise<Result> {
  return atOnce(() => world.run(main, 'git', ['worktree', 'add', `../${name}`, '-B', branch]));
}

function port(worktree: string): string {
  return /SITE=http:\/\/localhost:(\d+)/.exec(read(worktree, '.env'))?.[1] ?? '';
}

test.for(['v2', 'v1'] as const)(
  'with Compose %s two worktrees are up at once, each with its own, and each takes only its own along',
  async (compose) => {
    const world = makeWorld();
    const main = await shop(world, compose);
    const added = await Promise.all([add(world, main, 'a', 'feature/a'), add(world, main, 'b')]);
    for (const { code, stderr } of added) expect(code, stderr).toBe(0);
    const [a, b] = ['a', 'b'].map((name) => path.join(world.root, name)) as [string, string];
    expect(port(a)).not.toBe(port(b));
    for (const worktree of [a, b]) {
      const env = read(worktree, '.env');
      const [, project = ''] = /COMPOSE_PROJECT_NAME=(.*)/.exec(env) ?? [];
      const [database = ''] = things(project).filter((name) => /[-_]db[-_]1$/.test(name));
      const [, published] = /:(\d+)$/.exec(engine.docker('port', database)[0] ?? '') ?? [];
      expect(Number(published)).not.toBe(15_432);
      expect(env).toContain(`DATABASE_URL=postgres://me:secret@localhost:${published}/shop`);
      const page = await fetch(`http://localhost:${port(worktree)}/bin/sh`, { method: 'HEAD' });
      expect(page.status).toBe(200);
      expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
    }
    const names = (project: string) =>
      things(project)
        .map((name) => name.replaceAll('_', '-'))
        .sort();
    const own = (project: string) => [`${project}-data`, `${project}-db-1`, `${project}-default`, `${project}-web-1`];
    expect(names('shop-feature-a')).toEqual(own('shop-feature-a'));
    expect(names('shop-b')).toEqual(own('shop-b'));
    // What a user types in the worktree is of the same project.
    const typed = await world.run(
      a,
      ...((compose === 'v2' ? ['docker', ['compose', 'ps', '-q']] : ['docker-compose', ['ps', '-q']]) as [string, string[]]),
    );
    expect(typed.stdout.trim().split('\n').length, typed.stderr).toBe(2);
    // A bind mount is of the worktree's own folder.
    const [db = ''] = things('shop-feature-a').filter((name) => /[-_]db[-_]1$/.test(name));
    expect(engine.docker('inspect', '-f', '{{range .Mounts}}{{.Source}} {{end}}', db)[0]).toContain(path.join(a, 'files'));
    const again = await world.coppice(a, 'up');
    expect([again.code, things('shop-feature-a').length], again.stderr).toEqual([0, 4]);
    const down = await world.coppice(a, 'down');
    expect(down.code, down.stderr).toBe(0);
    expect(things('shop-feature-a')).toEqual([]);
    expect(things('shop-b').length).toBe(4);
    const up = await world.coppice(a, 'up');
    expect(up.code, up.stderr).toBe(0);
    for (const name of ['a', 'b']) expect((await world.coppice(main, 'remove', `../${name}`)).code).toBe(0);
    expect([...things('shop-feature-a'), ...things('shop-b')]).toEqual([]);
  },
);

test.for(['v2', 'v1', 'none'] as const)(
  'with Compose %s there, the folder of a worktree that is gone leaves nothing behind, and 200 volumes of others stay',
  async (compose) => {
    const world = makeWorld();
    const main = await shop(world, compose === 'none' ? 'v2' : compose);
    const decoys = Array.from({ length: 200 }, (_, index) => ({
      name: `shop-a_data${index}`,
      project: ['shop-a2', 'shop', 'shop-', 'Shop-a'][index % 4],
    }));
    for (const { name, project } of decoys) engine.docker('volume', 'create', '--label', `com.docker.compose.project=${project}`, name);
    engine.docker('volume', 'create', 'shop-a_unlabelled');
    const added = await add(world, main, 'a');
    expect(added.code, added.stderr).toBe(0);
    expect(things('shop-a').length).toBe(4);
    fs.rmSync(path.join(world.root, 'a'), { recursive: true });
    await world.git(main, 'worktree', 'prune');
    Object.assign(world.env, engine.env(compose));
    const gc = await world.coppice(main, 'gc');
    expect(gc.code, gc.stderr).toBe(0);
    expect(gc.stderr).toContain('gave back Compose project shop-a');
    expect(things('shop-a')).toEqual([]);
    const volumes = engine.docker('volume', 'ls', '-q');
    expect(volumes.filter((name) => name.startsWith('shop-a_')).length).toBe(201);
    expect(records(world)).toEqual([]);
    engine.docker('volume', 'rm', 'shop-a_unlabelled', ...decoys.map(({ name }) => name));
  },
);

test('a vanished worktree gives its containers and networks back at once and keeps its volumes', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  expect((await add(world, main, 'a')).code).toBe(0);
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const next = await world.run(main, 'git', ['worktree', 'add', '../b', '-b', 'b']);
  expect(next.code, next.stderr).toBe(0);
  await until(() => things('shop-a').length === 1, 'containers to go', 60_000);
  expect(things('shop-a')).toEqual(['shop-a_data']);
  await until(
    () => records(world).some(({ goneAt, resources }) => goneAt !== null && resources.COMPOSE_PROJECT_NAME?.state === 'stopped'),
    'the record',
  );
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
  expect((await world.coppice(main, 'remove', '../b')).code).toBe(0);
});

test('a name that another project has is not taken, and what is there stays', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  engine.docker('volume', 'create', '--label', 'com.docker.compose.project=shop-a', 'shop-a_data');
  const added = await add(world, main, 'a');
  expect(added.code, added.stderr).toBe(0);
  const [, project = ''] = /COMPOSE_PROJECT_NAME=(.*)/.exec(read(world.root, 'a/.env')) ?? [];
  expect(project).toMatch(/^shop-a-[0-9a-f]{8}$/);
  expect(things(project).length).toBe(4);
  expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
  expect([things(project), things('shop-a')]).toEqual([[], ['shop-a_data']]);
  engine.docker('volume', 'rm', 'shop-a_data');
});

test('the mark of another worktree on one of its things vetoes: nothing goes, and it is listed', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  expect((await add(world, main, 'a')).code).toBe(0);
  engine.docker('volume', 'create', '--label', 'com.docker.compose.project=shop-a', '--label', 'coppice.worktree=another', 'shop-a_other');
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, gc.stderr]).toEqual([1, expect.stringContaining('the mark of another worktree')]);
  expect(things('shop-a').length).toBe(5);
  engine.docker('volume', 'rm', 'shop-a_other');
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

test('without an engine the files are made and the start fails with a sentence; up makes it whole, and gc keeps what it cannot ask about', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  await engine.kill();
  const added = await add(world, main, 'a');
  expect([added.code, added.stderr]).toEqual([
    1,
    expect.stringMatching(/shop-a was not started: the Docker engine does not answer \(.*\)\. Start it/),
  ]);
  expect(read(world.root, 'a/.env')).toContain('COMPOSE_PROJECT_NAME=shop-a\n');
  await engine.start();
  const up = await world.coppice(path.join(world.root, 'a'), 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(things('shop-a').length).toBe(4);
  await engine.kill();
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, gc.stderr]).toEqual([1, expect.stringContaining('Whether the Compose project shop-a is still there cannot be told')]);
  await engine.start();
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

test.for([1, 2, 3, 5, 8])('a set-up killed in its start is made whole by up, and leaves nothing (%i)', async (moment) => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  const running = start(world, main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  await until(() => things('shop-a').length >= Math.min(moment, 4) || running.child.exitCode !== null, 'the start');
  const owner = fs
    .readdirSync(path.join(world.state, 'repos'), { recursive: true, encoding: 'utf8' })
    .find((name) => name.endsWith('/owner'));
  const [, pid] = /"pid":(\d+)/.exec(owner === undefined ? '' : read(world.state, 'repos', owner)) ?? [];
  if (pid !== undefined && isAlive(Number(pid))) process.kill(Number(pid), 'SIGKILL');
  await running.ended;
  if (moment % 2 === 0) {
    const up = await world.coppice(path.join(world.root, 'a'), 'up');
    expect(up.code, up.stderr).toBe(0);
    expect(things('shop-a').length).toBe(4);
  }
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

/** Quick to start and to end, with one of each kind of thing. */
const SMALL = `services:
  db: { image: "coppice-test:1", command: /bin/sleep 1000, stop_signal: SIGKILL, volumes: ["data:/data"], ports: ["15432:5432"] }
volumes: { data: {} }
`;

test.for(['journal', 'programs'] as const)(
  'killed at any moment of its %s, up makes it whole and gc leaves nothing',
  { timeout: 900_000 },
  async (what) => {
    const world = makeWorld();
    const main = await shop(world, 'v2', { 'compose.yaml': SMALL });
    const kind = what === 'journal' ? JOURNAL : '^start .*docker';
    const own = (name: string) => [`shop-${name}-db-1`, `shop-${name}_data`, `shop-${name}_default`];
    const adding = (name: string, env: NodeJS.ProcessEnv) => world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name], { env });
    const removing = (name: string, env: NodeJS.ProcessEnv) =>
      world.run(main, process.execPath, [CLI, 'remove', '--force', `../${name}`], { env });
    const entries = await countPoints(world, (env) => adding('c', env), kind);
    expect(things('shop-c')).toEqual(own('c'));
    const ends = await countPoints(world, (env) => removing('c', env), kind);
    expect([entries > 8, ends > 3, things('shop-c')]).toEqual([true, true, []]);
    for (let point = 1; point <= entries; point += 1) {
      const name = `a${point}`;
      await adding(name, killedAfter(point, kind));
      if (point % 2 === 0) {
        const up = await world.coppice(path.join(world.root, name), 'up');
        expect([up.code, things(`shop-${name}`)], `${point}: ${up.stderr}`).toEqual([0, own(name)]);
      }
      await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
      const gc = await world.coppice(main, 'gc');
      expect([gc.code, things(`shop-${name}`), records(world)], `${point}: ${gc.stderr}`).toEqual([0, [], []]);
    }
    for (let point = 1; point <= ends; point += 1) {
      const name = `r${point}`;
      expect((await adding(name, {})).code).toBe(0);
      await removing(name, killedAfter(point, kind));
      if (point % 2 === 0 && fs.existsSync(path.join(world.root, name))) {
        const up = await world.coppice(path.join(world.root, name), 'up');
        expect([up.code, things(`shop-${name}`)], `${point}: ${up.stderr}`).toEqual([0, own(name)]);
      }
      if (fs.existsSync(path.join(world.root, name))) await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
      const gc = await world.coppice(main, 'gc');
      expect([gc.code, things(`shop-${name}`), records(world)], `${point}: ${gc.stderr}`).toEqual([0, [], []]);
    }
  },
);

test('a service that ends with an error fails the set-up with its last line', async () => {
  const world = makeWorld();
  const broken = SHOP.replace('touch /data/x; sleep 1000', 'echo no such table; exit 3').replace(/ {4}healthcheck.*\n/, '');
  const main = await shop(world, 'v2', { 'compose.yaml': broken });
  const added = await add(world, main, 'a');
  expect([added.code, added.stderr]).toEqual([
    1,
    expect.stringContaining('db of shop-a ended with exit code 3. Its last line: no such table'),
  ]);
  expect((await world.coppice(main, 'remove', '../a', '--force')).code).toBe(0);
});

test('after a reset of its engine, a worktree that is there and one that is gone are given up by name, and up goes on', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  for (const name of ['a', 'b']) expect((await add(world, main, name)).code).toBe(0);
  const a = path.join(world.root, 'a');
  const early = await world.coppice(main, 'gc', '--forget', 'shop-a');
  expect([early.code, early.stderr]).toEqual([1, expect.stringContaining('The Docker engine of the Compose project shop-a answers')]);
  expect(things('shop-a').length).toBe(4);
  await engine.reset();
  await world.git(main, 'worktree', 'remove', '--force', '../b');
  // Somebody else's by now: a project of the same name on the new engine.
  engine.docker('volume', 'create', '--label', 'com.docker.compose.project=shop-b', 'shop-b_data');
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, gc.stderr]).toEqual([1, expect.stringContaining('gone for good, `git coppice gc --forget shop-b`')]);
  const dry = await world.coppice(main, 'gc', '--forget', 'shop-b', '--dry-run');
  expect([dry.code, records(world).length], dry.stderr).toEqual([0, 2]);
  const forgotten = await world.coppice(world.root, 'gc', '--forget', 'shop-b');
  expect([forgotten.code, forgotten.stderr]).toEqual([0, expect.stringMatching(/shop-b +forgotten/)]);
  expect([things('shop-b'), records(world).map(({ slug }) => slug)]).toEqual([['shop-b_data'], ['a']]);
  const before = port(a);
  const up = await world.coppice(a, 'up');
  expect([up.code, up.stderr]).toEqual([1, expect.stringMatching(/another Docker engine.*`git coppice gc --forget shop-a` first/)]);
  expect((await world.coppice(a, 'gc', '--forget', 'shop-a')).code).toBe(0);
  const again = await world.coppice(a, 'up');
  expect([again.code, things('shop-a').length, port(a)], again.stderr).toEqual([0, 4, before]);
  const unknown = await world.coppice(a, 'gc', '--forget', 'shop-b');
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('Nothing here is called `shop-b`')]);
  expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
  engine.docker('volume', 'rm', 'shop-b_data');
});

test('with `services` only those are started, and what was started by hand and ended is no matter', async () => {
  const world = makeWorld();
  const config = 'resources: { COMPOSE_PROJECT_NAME: { type: compose, up: true, services: [db] } }\n';
  const main = await shop(world, 'v2', { 'worktree.config.yaml': config });
  const added = await add(world, main, 'a');
  expect([added.code, added.stderr]).toEqual([0, expect.stringContaining('db up')]);
  const own = ['shop-a-db-1', 'shop-a_data', 'shop-a_default'];
  expect(things('shop-a')).toEqual(own);
  const a = path.join(world.root, 'a');
  const typed = await world.run(a, 'docker', ['compose', 'up', '-d', 'web']);
  expect(typed.code, typed.stderr).toBe(0);
  engine.docker('kill', 'shop-a-web-1');
  const up = await world.coppice(a, 'up');
  expect([up.code, things('shop-a')], up.stderr).toEqual([0, ['shop-a-db-1', 'shop-a-web-1', 'shop-a_data', 'shop-a_default']]);
  expect(engine.docker('ps', '--format', '{{.Names}}')).toEqual(['shop-a-db-1']);
  expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

test('a service that does not become healthy within `timeout` fails the set-up, which says which, and steps do not run', async () => {
  const world = makeWorld();
  const config = 'resources: { COMPOSE_PROJECT_NAME: { type: compose, up: true, timeout: 40s } }\nsteps: { seed: touch seeded }\n';
  const never = SHOP.replace('test -e /data/x]', 'test -e /data/y], retries: 1000');
  const main = await shop(world, 'v2', { 'worktree.config.yaml': config, 'compose.yaml': never });
  const added = await add(world, main, 'a');
  expect([added.code, added.stderr]).toEqual([1, expect.stringContaining('shop-a was not healthy within 40s: db is starting.')]);
  const a = path.join(world.root, 'a');
  expect(fs.existsSync(path.join(a, 'seeded'))).toBe(false);
  engine.docker('exec', 'shop-a-db-1', '/bin/touch', '/data/y');
  const up = await world.coppice(a, 'up');
  expect([up.code, fs.existsSync(path.join(a, 'seeded'))], up.stderr).toEqual([0, true]);
  expect((await world.coppice(main, 'remove', '../a', '--force')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

test('a worktree that is moved keeps its project, whose bind mounts follow at the next up', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  expect((await add(world, main, 'a')).code).toBe(0);
  await world.git(main, 'worktree', 'move', '../a', '../moved');
  const moved = path.join(world.root, 'moved');
  const up = await world.coppice(moved, 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(things('shop-a').length).toBe(4);
  expect(engine.docker('inspect', '-f', '{{range .Mounts}}{{.Source}} {{end}}', 'shop-a-db-1')[0]).toContain(path.join(moved, 'files'));
  const typed = await world.run(moved, 'docker', ['compose', 'port', 'web', '80']);
  expect(typed.stdout.trim(), typed.stderr).toBe(`0.0.0.0:${port(moved)}`);
  expect((await world.coppice(main, 'remove', '../moved')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

test('a worktree that is removed while its project starts leaves nothing once gc has run', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  const running = start(world, main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  await until(() => things('shop-a').length > 0 || running.child.exitCode !== null, 'the start');
  // The engine may make a folder again for a volume while git empties the worktree, and then git says that it could not.
  await world.run(main, 'git', ['worktree', 'remove', '--force', '../a']);
  expect(fs.existsSync(path.join(main, '.git/worktrees/a'))).toBe(false);
  await running.ended;
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, things('shop-a'), records(world)], gc.stderr).toEqual([0, [], []]);
});

test('two set-ups of one worktree at once come to one project', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  expect((await add(world, main, 'a')).code).toBe(0);
  const a = path.join(world.root, 'a');
  expect((await world.coppice(a, 'down')).code).toBe(0);
  const both = await Promise.all([world.coppice(a, 'up'), world.coppice(a, 'up')]);
  for (const { code, stderr } of both) expect(code, stderr).toBe(0);
  expect(things('shop-a').length).toBe(4);
  expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

test('an engine that dies while a service gets healthy fails the set-up, and up makes it whole', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2', { 'compose.yaml': healthyAfter(5) });
  const running = start(world, main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  await until(() => wasProbed('shop-a-db-1') || running.child.exitCode !== null, 'a health check');
  await engine.kill();
  const { code, stderr } = await running.ended;
  expect([code, stderr]).toEqual([1, expect.stringContaining('Docker engine does not answer')]);
  await engine.start();
  const up = await world.coppice(path.join(world.root, 'a'), 'up');
  expect([up.code, things('shop-a').length], up.stderr).toEqual([0, 4]);
  expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

/** A database that takes its time, in seconds. */
function healthyAfter(seconds: number): string {
  return SHOP.replace('touch /data/x', `sleep ${seconds}; touch /data/x`).replace('test -e /data/x]', 'test -e /data/x], retries: 1000');
}

function wasProbed(container: string): boolean {
  const there = engine.docker('ps', '-q', '--filter', `name=${container}`);
  return there.length > 0 && engine.docker('inspect', '-f', '{{len .State.Health.Log}}', ...there)[0] !== '0';
}

/** What is said of a port that the engine may have kept. */
const KEPT = 'If no container has that port, Docker has kept it since it was killed: restart Docker, then run `git coppice up`.';

// In the quarter of a second in which it starts containers, it keeps their ports: https://github.com/moby/libnetwork/issues/2448
test.for([0, 100, 150, 200, 250, 300])(
  'an engine that dies %i ms into the start fails the set-up, and up makes it whole, at the latest when the engine was started anew',
  async (moment) => {
    const world = makeWorld();
    const main = await shop(world, 'v2', { 'compose.yaml': healthyAfter(2) });
    const running = start(world, main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
    await until(() => things('shop-a').length > 0 || running.child.exitCode !== null, 'the start');
    await new Promise((resolve) => setTimeout(resolve, moment));
    await engine.kill();
    const { code, stderr } = await running.ended;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/shop-a could not be started|Docker engine does not answer/)]);
    const a = path.join(world.root, 'a');
    await engine.start();
    let up = await world.coppice(a, 'up');
    if (up.code !== 0) {
      expect(up.stderr).toContain(KEPT);
      await engine.restart();
      up = await world.coppice(a, 'up');
    }
    expect([up.code, engine.docker('ps', '-q').length, port(a)], up.stderr).toEqual([0, 2, '18090']);
    expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
    expect([...things('shop-a'), ...engine.docker('volume', 'ls', '-q')]).toEqual([]);
  },
);

test('a volume whose labels Docker did not write down goes with the project when its name was free before, and stays when not', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  engine.docker('volume', 'create', 'shop-b_data');
  for (const name of ['a', 'b']) expect((await add(world, main, name)).code).toBe(0);
  expect(things('shop-b').length).toBe(3);
  engine.docker('rm', '-f', ...things('shop-a').filter((name) => name.endsWith('-1')));
  engine.docker('volume', 'rm', 'shop-a_data');
  engine.docker('volume', 'create', 'shop-a_data');
  const up = await world.coppice(path.join(world.root, 'a'), 'up');
  expect([up.code, things('shop-a').length], up.stderr).toEqual([0, 3]);
  for (const name of ['a', 'b']) expect((await world.coppice(main, 'remove', `../${name}`)).code).toBe(0);
  expect([...things('shop-a'), ...things('shop-b'), ...engine.docker('volume', 'ls', '-q')]).toEqual(['shop-b_data']);
  engine.docker('volume', 'rm', 'shop-b_data');
});

test.for(['v2', 'v1'] as const)(
  'with Compose %s, a port that a container has by then is said to be allocated, and how to free it',
  async (compose) => {
    const world = makeWorld();
    const main = await shop(world, compose);
    expect((await add(world, main, 'a')).code).toBe(0);
    const a = path.join(world.root, 'a');
    engine.docker('rm', '-f', ...things('shop-a').filter((name) => /[-_]1$/.test(name)));
    engine.docker('network', 'create', 'other');
    engine.docker('run', '-d', '--name', 'other', '--network', 'other', '-p', `${port(a)}:80`, 'coppice-test:1', '/bin/sleep', '1000');
    const up = await world.coppice(a, 'up');
    expect([up.code, up.stderr]).toEqual([1, expect.stringContaining(KEPT)]);
    engine.docker('rm', '-f', 'other');
    engine.docker('network', 'rm', 'other');
    const again = await world.coppice(a, 'up');
    expect([again.code, things('shop-a').length], again.stderr).toEqual([0, 4]);
    expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
    expect(things('shop-a')).toEqual([]);
  },
);

test('with `export: false` it is still its own project that is started', async () => {
  const world = makeWorld();
  const config = 'resources: { SHOP: { type: compose, up: true, export: false } }\n';
  const main = await shop(world, 'v2', { 'worktree.config.yaml': config, 'compose.yaml': `name: shop\n${SHOP}` });
  const added = await add(world, main, 'a');
  expect([added.code, things('shop'), things('shop-a').length], added.stderr).toEqual([0, [], 4]);
  expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
  expect(things('shop-a')).toEqual([]);
});

test('a folder with a hostile name, and a service of several containers that share a range of ports', async () => {
  const world = makeWorld();
  const compose = `services:
  __proto__: { image: "coppice-test:1", command: /bin/sleep 1000, stop_signal: SIGKILL, deploy: { replicas: 2 }, ports: ["15500-15501:80"] }
`;
  const main = await shop(world, 'v2', { 'compose.yaml': compose });
  const folder = "'; DROP TABLE x; --";
  const added = await world.run(main, 'git', ['worktree', 'add', '--detach', `../${folder}`]);
  expect(added.code, added.stderr).toBe(0);
  expect(things('shop-drop-table-x')).toEqual([
    'shop-drop-table-x-__proto__-1',
    'shop-drop-table-x-__proto__-2',
    'shop-drop-table-x_default',
  ]);
  const worktree = path.join(world.root, folder);
  const typed = await world.run(worktree, 'docker', ['compose', 'ps', '--format', '{{.Ports}}']);
  expect([...new Set(typed.stdout.match(/155\d\d->/g))].sort(), typed.stderr).toEqual(['15510->', '15511->']);
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect((await world.coppice(main, 'remove', `../${folder}`)).code).toBe(0);
  expect(things('shop-drop-table-x')).toEqual([]);
});

test('a branch with a hostile name gets a project of a plain one', async () => {
  const world = makeWorld();
  const main = await shop(world, 'v2');
  const added = await add(world, main, 'a', "';$(touch${IFS}pwned);--`id`");
  expect(added.code, added.stderr).toBe(0);
  const [, project = ''] = /COMPOSE_PROJECT_NAME=(.*)/.exec(read(world.root, 'a/.env')) ?? [];
  expect(project).toMatch(/^shop-[a-z0-9-]+$/);
  expect(things(project).length).toBe(4);
  expect((await world.coppice(main, 'remove', '../a')).code).toBe(0);
  expect(things(project)).toEqual([]);
});
