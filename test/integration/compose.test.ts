import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { expect, test } from 'vitest';
import { claimedNames } from '../../src/ledger/claims.ts';
import { openStateDir } from '../../src/ledger/state-dir.ts';
import { freePort } from '../fixtures/servers/free-port.ts';
import { pathWithoutDocker } from '../fixtures/without-docker.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

const CONFIG = 'resources: { COMPOSE_PROJECT_NAME: compose }\nenv: { DB_PORT: "{{resources.COMPOSE_PROJECT_NAME.db_5432}}" }\n';

const bin = pathWithoutDocker();

/** A repository with a compose file, in a world where there is neither docker nor docker-compose. */
async function shop(world: World, config = CONFIG, files: Record<string, string> = {}): Promise<{ main: string; port: number }> {
  world.env.PATH = bin;
  const port = await freePort();
  const text = `services:\n  db:\n    image: postgres\n    container_name: shop_db\n    ports:\n      - "${port}:5432"\n`;
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': config, '.gitignore': '.env\n', 'compose.yaml': text, ...files },
    { '.env': `DATABASE_URL=postgres://me:pw@localhost:${port}/shop\n` },
  );
  return { main, port };
}

function add(world: World, main: string, name: string, branch = name) {
  return world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', branch]);
}

/** What a worktree's env file says. */
function variables(worktree: string): Record<string, string> {
  return Object.fromEntries([...read(worktree, '.env').matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
}

function composeClaims(world: World): string[] {
  return [...claimedNames(openStateDir(world.env))].filter((name) => /^(compose|port)-/.test(name)).sort();
}

test('without Docker a worktree has its name, ports and files, other variables follow, and down gives all of it back', async () => {
  const world = makeWorld();
  const { main, port } = await shop(world);
  for (const [name, branch] of [
    ['a', 'feature/a'],
    ['b', 'b'],
  ] as const) {
    const { code, stderr } = await add(world, main, name, branch);
    expect(code, stderr).toBe(0);
    expect(stderr).not.toContain('still shared');
  }
  const [a, b] = ['a', 'b'].map((name) => variables(path.join(world.root, name)));
  expect([a?.COMPOSE_PROJECT_NAME, b?.COMPOSE_PROJECT_NAME]).toEqual(['shop-feature-a', 'shop-b']);
  expect(new Set([a?.DB_PORT, b?.DB_PORT, String(port)]).size).toBe(3);
  expect(a?.DATABASE_URL).toBe(`postgres://me:pw@localhost:${a?.DB_PORT}/shop`);
  const [original = '', generated = ''] = (a?.COMPOSE_FILE ?? '').split(':');
  expect(original).toBe(path.join(world.root, 'a/compose.yaml'));
  expect(read(generated)).toContain(`ports: !override\n      - "${a?.DB_PORT}:5432"`);
  expect(read(generated)).toContain('container_name: !reset null');
  expect(generated.startsWith(world.state)).toBe(true);
  expect(fs.statSync(generated).mode & 0o777).toBe(0o600);
  expect(await world.git(path.join(world.root, 'a'), 'status', '--porcelain')).toBe('');
  expect(composeClaims(world)).toEqual(['compose-shop-b', 'compose-shop-feature-a', `port-${a?.DB_PORT}`, `port-${b?.DB_PORT}`].sort());
  const down = await world.coppice(path.join(world.root, 'a'), 'down');
  expect(down.code, down.stderr).toBe(0);
  expect(fs.existsSync(generated)).toBe(false);
  expect(composeClaims(world)).toEqual(['compose-shop-b', `port-${b?.DB_PORT}`].sort());
  fs.rmSync(path.join(world.root, 'b'), { recursive: true });
  await world.git(main, 'worktree', 'prune');
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(composeClaims(world)).toEqual([]);
});

test('a port that a compose file publishes in the main worktree is given to no worktree of any repository', async () => {
  const world = makeWorld();
  const { main, port } = await shop(world);
  // The second service is published where the first one's place would be.
  const both = `services:\n  db: { image: x, ports: ["${port}:5432"] }\n  web: { image: x, ports: ["${port + 10}:2"] }\n`;
  fs.writeFileSync(path.join(main, 'compose.yaml'), both);
  await world.git(main, 'commit', '-qam', 'both');
  expect((await add(world, main, 'a')).code).toBe(0);
  const given = composeClaims(world).filter((name) => name.startsWith('port-'));
  expect(given).not.toContain(`port-${port + 10}`);
  // Of another repository a base leads to a port of that main worktree, another to a port of that worktree.
  const other = await world.repository('other', {
    'worktree.config.yaml': `resources: { PORT: ${port - 10}, NEXT: ${port + 1} }\n`,
    '.gitignore': '.env\n',
  });
  for (const name of ['b', 'c', 'd']) expect((await world.run(other, 'git', ['worktree', 'add', `../${name}`, '-b', name])).code).toBe(0);
  const ports = ['b', 'c', 'd'].map((name) => Number(variables(path.join(world.root, name)).PORT));
  for (const kept of [port, port + 10]) expect(ports).not.toContain(kept);
  // Those of a variable that only the main worktree has are kept too.
  const third = await freePort();
  const compose = `services:\n  web: { image: x, ports: ["\${WEB:-1}:80"] }\n`;
  const varied = await world.repository(
    'varied',
    { 'worktree.config.yaml': CONFIG.replace('db_5432', 'web_80'), '.gitignore': '.env\n', 'compose.yaml': compose },
    { '.env': `WEB=${third}\n` },
  );
  expect((await world.run(varied, 'git', ['worktree', 'add', '../e', '-b', 'e'])).code).toBe(0);
  expect([...claimedNames(openStateDir(world.env))].filter((name) => name.startsWith(`base-${third}-`))).toHaveLength(1);
});

test('a port is its base and ten times the slot, where that is free, and stays it', async () => {
  const world = makeWorld();
  const { main, port } = await shop(world);
  const names = ['a', 'b', 'c'];
  for (const name of names) expect((await add(world, main, name)).code).toBe(0);
  const ports = () => names.map((name) => Number(variables(path.join(world.root, name)).DB_PORT) - port);
  expect(ports()).toEqual([10, 20, 30]);
  // The slot tells, not which is free first.
  expect((await world.coppice(main, 'remove', '../a', '--force')).code).toBe(0);
  names.shift();
  for (const name of names) expect((await world.coppice(path.join(world.root, name), 'down')).code).toBe(0);
  for (const name of [...names].reverse()) expect((await world.coppice(path.join(world.root, name), 'up')).code).toBe(0);
  expect(ports()).toEqual([20, 30]);
  // Somebody has the place of the next one.
  const listener = net.createServer().listen(port + 10, '127.0.0.1');
  await once(listener, 'listening');
  names.push('d');
  expect((await add(world, main, 'd')).code).toBe(0);
  listener.close();
  expect((await world.coppice(path.join(world.root, 'd'), 'up', '--force')).code).toBe(0);
  expect(ports()).toEqual([20, 30, 40]);
});

test('a later up keeps the ports, and gives a service that is new one of its own', async () => {
  const world = makeWorld();
  const { main } = await shop(world);
  await add(world, main, 'a');
  const worktree = path.join(world.root, 'a');
  const before = variables(worktree);
  const same = await world.coppice(worktree, 'up');
  expect([same.code, variables(worktree)]).toEqual([0, before]);
  const more = await freePort();
  fs.appendFileSync(path.join(worktree, 'compose.yaml'), `  mail: { image: mail, ports: ["${more}:8025"] }\n`);
  const up = await world.coppice(worktree, 'up');
  expect(up.code, up.stderr).toBe(0);
  expect(variables(worktree)).toEqual(before);
  const [, generated = ''] = (before.COMPOSE_FILE ?? '').split(':');
  expect(read(generated)).toMatch(/"mail":[\s\S]*ports: !override\n {6}- "\d+:8025"/);
  expect(read(generated)).not.toContain(`"${more}:8025"`);
  expect(composeClaims(world).length).toBe(3);
  await world.git(worktree, 'checkout', 'compose.yaml');
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(composeClaims(world).length).toBe(2);
});

test('without Docker a second up makes nothing again, so steps do not run again', async () => {
  const world = makeWorld();
  const { main } = await shop(world, `${CONFIG}steps: { seed: echo ran >> seeded }\n`);
  expect((await add(world, main, 'a')).code).toBe(0);
  const worktree = path.join(world.root, 'a');
  const up = await world.coppice(worktree, 'up');
  expect([up.code, read(worktree, 'seeded')], up.stderr).toEqual([0, 'ran\n']);
});

test('a port that a variable names is left to the port resource of that name', async () => {
  const world = makeWorld();
  const base = await freePort();
  const config = `resources: { WEB_PORT: ${base}, COMPOSE_PROJECT_NAME: compose }\n`;
  const compose = `services:\n  web: { image: web, ports: ["\${WEB_PORT:-${base}}:80"] }\n`;
  const { main } = await shop(world, config, { 'compose.yaml': compose });
  const added = await add(world, main, 'a');
  expect(added.code, added.stderr).toBe(0);
  const [, generated = ''] = (variables(path.join(world.root, 'a')).COMPOSE_FILE ?? '').split(':');
  expect(read(generated)).toContain(`- "\${WEB_PORT:-${base}}:80"`);
});

test('a port that a variable of this worktree repeats stays its own, over any number of runs', async () => {
  const world = makeWorld();
  const { main, port } = await shop(world);
  fs.writeFileSync(path.join(main, 'compose.yaml'), `services:\n  db: { image: x, ports: ["\${DB_PORT:-${port}}:5432"] }\n`);
  await world.git(main, 'commit', '-qam', 'by a variable');
  expect((await add(world, main, 'a')).code).toBe(0);
  const worktree = path.join(world.root, 'a');
  const before = [variables(worktree), composeClaims(world)];
  expect(composeClaims(world)).toEqual(['compose-shop-a', `port-${port + 10}`]);
  for (const _run of [1, 2]) {
    const up = await world.coppice(worktree, 'up');
    expect([up.code, [variables(worktree), composeClaims(world)]], up.stderr).toEqual([0, before]);
  }
});

test('another separator of COMPOSE_FILE in the main worktree does not reach this one', async () => {
  const world = makeWorld();
  const { main } = await shop(world, CONFIG, { 'more.yaml': 'services: {}\n' });
  fs.appendFileSync(path.join(main, '.env'), 'COMPOSE_PATH_SEPARATOR=,\nCOMPOSE_FILE=compose.yaml,more.yaml\n');
  const added = await add(world, main, 'a');
  expect(added.code, added.stderr).toBe(0);
  const env = variables(path.join(world.root, 'a'));
  expect(env.COMPOSE_PATH_SEPARATOR).toBe("':'");
  const files = (env.COMPOSE_FILE ?? '').split(':');
  expect(files.slice(0, 2)).toEqual(['compose.yaml', 'more.yaml'].map((name) => path.join(world.root, 'a', name)));
  expect([files.length, fs.existsSync(files[2] ?? '')]).toEqual([3, true]);
});

test('a project of 2,000 services, whose ports are side by side, gets each its own', async () => {
  const world = makeWorld();
  const services = Array.from({ length: 2000 }, (_, index) => `  s${index}: { image: x, ports: ["${20_000 + index}:80"] }`);
  const { main } = await shop(world, 'resources: { COMPOSE_PROJECT_NAME: compose }\n', {
    'compose.yaml': `services:\n${services.join('\n')}\n`,
  });
  const added = await add(world, main, 'a');
  expect([added.code, added.stderr]).toEqual([0, expect.stringMatching(/20019 → \d+ and 1980 more/)]);
  const ports = composeClaims(world).flatMap((name) => (name.startsWith('port-') ? [Number(name.slice(5))] : []));
  expect([ports.length, ports.filter((given) => given >= 20_000 && given < 22_000)]).toEqual([2000, []]);
  expect((await world.coppice(main, 'remove', '../a', '--force')).code).toBe(0);
  expect(composeClaims(world)).toEqual([]);
});

test('`up: true` without Docker fails with what to install, and the env file is there', async () => {
  const world = makeWorld();
  const { main } = await shop(world, 'resources: { COMPOSE_PROJECT_NAME: { type: compose, up: true } }\n');
  const added = await add(world, main, 'a');
  expect([added.code, added.stderr]).toEqual([
    1,
    expect.stringContaining('shop-a was not started: there is no `docker` on PATH. Install Docker'),
  ]);
  expect(variables(path.join(world.root, 'a')).COMPOSE_PROJECT_NAME).toBe('shop-a');
});

test.for([
  ['services: [', /compose\.yaml:1: not valid YAML/],
  ['services: 3\n', /compose\.yaml is not a compose file: `services:` is a map/],
  ['services:\n  web: { image: x, ports: [nope] }\n', /compose\.yaml:2: a port of the service `web` is not understood: "nope"/],
  ['services:\n  web: { image: x, ports: ["65530:1"] }\n', /compose\.yaml:2: no port is left above 65530/],
] as const)('a compose file that says %j fails with its line', async ([text, message]) => {
  const world = makeWorld();
  const { main } = await shop(world, 'resources: { COMPOSE_PROJECT_NAME: compose }\n', { 'compose.yaml': text });
  const added = await add(world, main, 'a');
  expect([added.code, added.stderr]).toEqual([1, expect.stringMatching(message)]);
});

test('the example: every host port moves, names are free, and what names a port follows', async () => {
  const world = makeWorld();
  world.env.PATH = bin;
  const files = ['compose.yaml', 'worktree.config.yaml', '.env.example'];
  const committed = Object.fromEntries(files.map((name) => [name, read('examples/compose', name)]));
  const main = await world.repository(
    'shop',
    { '.gitignore': '.env\n/worktree.config.local.yaml\n', ...committed },
    { '.env': read('examples/compose/.env.example') },
  );
  // Without an engine nothing can be started; what is generated needs none.
  fs.writeFileSync(path.join(main, 'worktree.config.local.yaml'), 'resources: { COMPOSE_PROJECT_NAME: { up: false } }\n');
  const { code, stderr } = await add(world, main, 'a');
  expect(code, stderr).toBe(0);
  const env = variables(path.join(world.root, 'a'));
  const moved = (value: string | undefined) => Number(/:(\d+)(?:\/|$)/.exec(value ?? '')?.[1]);
  const ports = [moved(env.DATABASE_URL), moved(env.SMTP_URL), moved(env.MAIL_UI)];
  for (const [index, port] of [5432, 1025, 8025].entries()) expect(ports[index]).toBeGreaterThan(port);
  const generated = read((env.COMPOSE_FILE ?? '').split(':')[1] ?? '');
  for (const port of ports) expect(generated).toContain(`"${port}:`);
  expect(generated.match(/container_name: !reset null/g)).toHaveLength(2);
  expect(stderr).toMatch(/http:\/\/localhost:80[89]\d/);
  const down = await world.coppice(path.join(world.root, 'a'), 'down');
  expect(down.code, down.stderr).toBe(0);
});
