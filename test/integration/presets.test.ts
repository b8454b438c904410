import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { judgeConfig } from '../../src/config/load.ts';
import { parseSource } from '../../src/config/source.ts';
import { PRESETS } from '../../src/resources/command/presets.ts';
import { optionVariable, type Preset } from '../../src/resources/command/recipe.ts';
import { records } from '../fixtures/ledger.ts';
import { startGadget } from '../fixtures/services/gadget.ts';
import { startKubernetes } from '../fixtures/services/kubernetes.ts';
import { startNeon } from '../fixtures/services/neon.ts';
import { npmProgram, putOnPath } from '../fixtures/services/programs.ts';
import { startSupabase } from '../fixtures/services/supabase.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

/** A token of the service and a password of what it makes: in no ledger, log, argument or line of output. */
const TOKEN = 'sbp_00000000000000000000000000000000c0ffee00';
const PASSWORD = 'password-canary-77d1';

/** A shop whose one variable is a preset's, with a worktree `a` added. */
async function added(world: World, spec: string, committed: Record<string, string> = {}, ignored: Record<string, string> = {}) {
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': `resources:\n  RESOURCE: ${spec}\n`, '.gitignore': '.env\n', ...committed },
    { '.env': 'RESOURCE=main\n', ...ignored },
  );
  const result = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'feature/a']);
  return { main, result, worktree: path.join(world.root, 'a') };
}

async function variables(world: World, worktree: string): Promise<Record<string, string>> {
  const result = await world.coppice(worktree, 'env', '--json');
  if (result.code !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout);
}

function expectNoSecret(world: World, ...texts: string[]): void {
  const inFiles = [world.state, path.join(world.root, 'shop/.git/coppice')].flatMap((folder) =>
    fs
      .readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => path.join(folder, name))
      .filter((name) => fs.lstatSync(name).isFile() && /password-canary|sbp_/.test(read(name))),
  );
  const calls = fs.readdirSync(world.root).filter((name) => name.endsWith('.calls') && /password-canary|sbp_/.test(read(world.root, name)));
  expect([inFiles, calls, texts.filter((text) => /password-canary|sbp_/.test(text))]).toEqual([[], [], []]);
}

/**
 * The path of every preset: made with the worktree, the same at a second up and when `create` runs twice, made again when it is lost,
 * gone with the worktree.
 */
async function livesAndGoes(
  world: World,
  spec: string,
  names: () => string[],
  expected: (name: string) => Record<string, string>,
  lose: (name: string) => void,
  committed: Record<string, string> = {},
): Promise<string> {
  const before = names();
  const { main, result, worktree } = await added(world, spec, committed);
  expect(result.code, result.stderr).toBe(0);
  const mine = () => names().filter((name) => !before.includes(name));
  const [name = ''] = mine();
  expect(name).toMatch(/^shop-feature-a-[0-9a-f]{8}$/);
  expect(await variables(world, worktree)).toEqual(expected(name));
  const again = await world.coppice(worktree, 'up');
  expect([again.code, again.stderr, mine()]).toEqual([0, expect.stringContaining(`· RESOURCE       ${name}`), [name]]);
  // As after a SIGKILL between the end of `create` and the writing down of what it printed.
  fs.rmSync(path.join(main, '.git/worktrees/a/coppice-kept'));
  const repeated = await world.coppice(worktree, 'up');
  expect([repeated.code, mine()], repeated.stderr).toEqual([0, [name]]);
  expect(await variables(world, worktree)).toEqual(expected(name));
  lose(name);
  const mended = await world.coppice(worktree, 'up');
  expect([mended.code, mine()], mended.stderr).toEqual([0, [name]]);
  await world.git(main, 'worktree', 'remove', '../a');
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, names(), records(world)], gc.stderr).toEqual([0, before, []]);
  expectNoSecret(world, result.stderr, again.stderr, repeated.stderr, mended.stderr, gc.stderr);
  return result.stderr;
}

test('neon: the real neonctl, with a stand-in for its API', { timeout: 900_000 }, async () => {
  const world = makeWorld();
  const neon = await startNeon('my-project', TOKEN, PASSWORD);
  const program = npmProgram('neonctl', '5.0.1');
  putOnPath(world, 'neonctl', `exec '${program}' --api-host '${neon.url}/api/v2' --no-analytics "$@"`);
  world.env.NEON_API_KEY = TOKEN;
  await livesAndGoes(
    world,
    '{ type: neon, project: my-project }',
    neon.names,
    () => ({ RESOURCE: expect.stringMatching(`^postgresql://owner:${PASSWORD}@ep-br-\\d.local.example/shop\\?`) }),
    (name) => neon.lose(name),
  );
  expect(neon.unknown).toEqual([]);
});

test('k8s-namespace: the real kubectl, with a stand-in for its API server', async () => {
  const world = makeWorld();
  const kubernetes = await startKubernetes(world);
  await livesAndGoes(world, '{ type: k8s-namespace, context: here }', kubernetes.names, (name) => ({ RESOURCE: name }), kubernetes.lose);
  expect(kubernetes.unknown).toEqual([]);
});

test('k8s-namespace: a namespace with the label of another worktree is neither used nor deleted; one that lost its label is', async () => {
  const world = makeWorld();
  const kubernetes = await startKubernetes(world);
  const { worktree } = await added(world, '{ type: k8s-namespace, context: here }');
  const [name = ''] = kubernetes.names();
  expect(kubernetes.labels(name)).toEqual({ coppice: records(world)[0]?.id });
  kubernetes.label(name, { coppice: 'another' });
  const down = await world.coppice(worktree, 'down');
  expect([down.code, down.stderr]).toEqual([1, expect.stringContaining("marked as another worktree's")]);
  expect(kubernetes.names()).toEqual([name]);
  const up = await world.coppice(worktree, 'up');
  expect([up.code, up.stderr]).toEqual([1, expect.stringContaining("marked as another worktree's")]);
  kubernetes.label(name, {});
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(kubernetes.names()).toEqual([]);
});

test('supabase: the real supabase, with a stand-in for its API', async () => {
  const world = makeWorld();
  const supabase = await startSupabase(world, 'abcdefghijklmnopqrst', TOKEN, PASSWORD);
  const program = npmProgram('supabase', '3.1.0');
  putOnPath(world, 'supabase', `exec '${program}' --profile '${supabase.profile}' "$@"`);
  world.env.SUPABASE_ACCESS_TOKEN = TOKEN;
  await livesAndGoes(
    world,
    '{ type: supabase, project: abcdefghijklmnopqrst }',
    supabase.names,
    () => expect.objectContaining({ RESOURCE: expect.stringContaining(PASSWORD), SUPABASE_ANON_KEY: 'anon-key' }),
    supabase.lose,
  );
  expect(supabase.unknown.filter((call) => !/\/branches\/shop-feature/.test(call))).toEqual([]);
});

/** Puts the strict stand-in for a program on PATH, logged in. */
function standIn(world: World, program: string, login: string, there: string[]) {
  const state = path.join(world.root, `${program}.json`);
  fs.writeFileSync(state, JSON.stringify(there));
  const names = (): string[] => JSON.parse(read(state));
  Object.assign(world.env, { [login]: TOKEN, STAND_IN_STATE: state, STAND_IN_PASSWORD: PASSWORD });
  const script = path.join(import.meta.dirname, '../fixtures/services/stand-in.mjs');
  putOnPath(world, program, `exec '${process.execPath}' '${script}' ${program} "$@"`);
  return { names, lose: (name: string) => fs.writeFileSync(state, JSON.stringify(names().filter((other) => other !== name))) };
}

test('planetscale: a branch with a password of its own', async () => {
  const world = makeWorld();
  const { names, lose } = standIn(world, 'pscale', 'PLANETSCALE_SERVICE_TOKEN', ['main']);
  const value = { RESOURCE: `mysql://u1:${PASSWORD}@aws.example/shop?sslaccept=strict` };
  await livesAndGoes(world, '{ type: planetscale, database: shop, org: acme }', names, () => value, lose);
});

test('turso: a copy of a database', async () => {
  const world = makeWorld();
  const { names, lose } = standIn(world, 'turso', 'TURSO_API_TOKEN', ['shop']);
  const value = (name: string) => ({ RESOURCE: `libsql://${name}.example`, TOKEN: PASSWORD });
  await livesAndGoes(world, '{ type: turso, database: shop }\nenv:\n  TOKEN: "{{resources.RESOURCE.token}}"', names, value, lose);
});

test('upsun: an environment', async () => {
  const world = makeWorld();
  const { names, lose } = standIn(world, 'upsun', 'UPSUN_CLI_TOKEN', ['main']);
  await livesAndGoes(world, '{ type: upsun, project: p1 }', names, (name) => ({ RESOURCE: `https://${name}.example/` }), lose);
});

describe('gadget: the real ggt, with a stand-in for Gadget', () => {
  const SPEC = '{ type: gadget, app: shop }';
  const CODE = { 'api/hello.js': 'export default () => "hello"\n', '.gitignore': '.env\n.gadget/sync.json\n' };

  test('an environment with the branch pushed to it, and the secrets that it lacks are said', async () => {
    const world = makeWorld();
    const gadget = await startGadget(world, 'shop', TOKEN, PASSWORD);
    const value = (name: string) => ({ RESOURCE: `https://shop--${name}.gadget.app` });
    const said = await livesAndGoes(world, SPEC, gadget.names, value, gadget.lose, CODE);
    expect(said).toContain('! RESOURCE: set these secrets of the new environment yourself: STRIPE_KEY\n');
    expect(gadget.unknown).toEqual([]);
  });

  test('it has the files that git has and the variables of the other, and no ignored file; ggt in the worktree works on it', async () => {
    const world = makeWorld();
    const gadget = await startGadget(world, 'shop', TOKEN, PASSWORD);
    const { main, result, worktree } = await added(world, SPEC, CODE);
    expect(result.code, result.stderr).toBe(0);
    const [name = ''] = gadget.names().slice(2);
    expect(gadget.variables(name)).toEqual({ API_URL: 'https://api.example' });
    expect(gadget.files(name)).toEqual({
      '.gadget/': '',
      '.gadget/client.js': 'generated',
      '.gitignore': CODE['.gitignore'],
      'api/': '',
      'api/hello.js': CODE['api/hello.js'],
      'worktree.config.yaml': read(worktree, 'worktree.config.yaml'),
    });
    expect(gadget.files('development')).toHaveProperty(['only-in-development.js']);
    expect(JSON.parse(read(worktree, '.gadget/sync.json'))).toEqual({
      application: 'shop',
      environment: name,
      environments: { [name]: { filesVersion: '3' } },
    });
    expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
    // A second `create` sees that it is its own, and writes it again.
    fs.rmSync(path.join(main, '.git/worktrees/a/coppice-kept'));
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect(JSON.parse(read(worktree, '.gadget/sync.json')).environments).toEqual({ [name]: { filesVersion: expect.any(String) } });
    expect(JSON.parse(read(worktree, '.gadget/sync.json')).environment).toBe(name);
    const admin = fs.readdirSync(path.join(main, '.git/worktrees/a'));
    expect(admin.filter((file) => file.startsWith('coppice-shop'))).toEqual([]);
  });

  test.each([
    ['tracked', { '.gitignore': '.env\n', '.gadget/sync.json': syncJson('development') }, {}],
    ["another's", CODE, { '.gadget/sync.json': syncJson('development') }],
  ])('a sync.json that is %s stays as it is', async (_, committed, copied) => {
    const world = makeWorld();
    const gadget = await startGadget(world, 'shop', TOKEN, PASSWORD);
    const copy = `${SPEC}\nfiles:\n  .gadget/sync.json: copy`;
    const { result, worktree } = await added(world, copy, committed, copied);
    expect(result.code, result.stderr).toBe(0);
    expect(read(worktree, '.gadget/sync.json')).toBe(syncJson('development'));
    expect(gadget.files(gadget.names()[2] ?? '')).toHaveProperty(['worktree.config.yaml']);
    expect([gadget.asked.filter((asked) => asked.startsWith('Publish')), gadget.unknown]).toEqual([
      [`PublishFileSyncEvents ${gadget.names()[2]}`],
      [],
    ]);
  });

  test('a worktree in the folder of the main one pushes its own files, and leaves the main one with its environment', async () => {
    const world = makeWorld();
    const gadget = await startGadget(world, 'shop', TOKEN, PASSWORD);
    const config = { 'worktree.config.yaml': `resources:\n  RESOURCE: ${SPEC}\n` };
    const main = await world.repository('shop', { ...CODE, ...config }, { '.gadget/sync.json': syncJson('development') });
    await world.git(main, 'checkout', '-qb', 'other');
    fs.writeFileSync(path.join(main, 'main-only.js'), '');
    const result = await world.run(main, 'git', ['worktree', 'add', 'trees/a', '-b', 'feature/a']);
    expect(result.code, result.stderr).toBe(0);
    const [name = ''] = gadget.names().slice(2);
    expect(gadget.files(name)).toHaveProperty(['api/hello.js']);
    expect(gadget.files(name)).not.toHaveProperty(['main-only.js']);
    expect(read(main, '.gadget/sync.json')).toBe(syncJson('development'));
    expect(JSON.parse(read(main, 'trees/a/.gadget/sync.json')).environment).toBe(name);
  });

  test.each(['CreateEnvironment', 'SetEnvironmentVariable', 'PublishFileSyncEvents'])('killed at %s, up converges', async (operation) => {
    const world = makeWorld();
    const gadget = await startGadget(world, 'shop', TOKEN, PASSWORD);
    gadget.at(operation, () => killRunner(world));
    const { main, result, worktree } = await added(world, SPEC, CODE);
    expect([result.code === 0, gadget.asked.some((asked) => asked.startsWith(operation))]).toEqual([false, true]);
    const up = await world.coppice(worktree, 'up');
    expect([up.code, gadget.names().length], up.stderr).toEqual([0, 3]);
    const [name = ''] = gadget.names().slice(2);
    expect([gadget.files(name)['api/hello.js'], gadget.variables(name)]).toEqual([
      CODE['api/hello.js'],
      { API_URL: 'https://api.example' },
    ]);
    expect(up.stderr).toContain('set these secrets of the new environment yourself: STRIPE_KEY');
    await world.git(main, 'worktree', 'remove', '../a');
    expect([(await world.coppice(main, 'gc')).code, gadget.names(), records(world)]).toEqual([0, ['production', 'development'], []]);
  });

  test('what ggt says when it fails is shown, though it says it on stdout', async () => {
    const world = makeWorld();
    await startGadget(world, 'shop', TOKEN, PASSWORD);
    world.env.GGT_TOKEN = 'wrong';
    const { result } = await added(world, SPEC, CODE);
    expect([result.code, result.stderr]).toEqual([1, expect.stringContaining('    You must be logged in to use "ggt env".')]);
  });

  test('where ggt is set to print JSON it prints no list: nothing is made, and nothing is taken for gone', async () => {
    const world = makeWorld();
    const gadget = await startGadget(world, 'shop', TOKEN, PASSWORD);
    const { worktree } = await added(world, SPEC, CODE);
    fs.mkdirSync(path.join(world.root, 'xdg-config/ggt'), { recursive: true });
    fs.writeFileSync(path.join(world.root, 'xdg-config/ggt/defaults.json'), '{"json": true}');
    const down = await world.coppice(worktree, 'down');
    expect([down.code, down.stderr]).toEqual([1, expect.stringContaining('ggt env list printed no table')]);
    expect([gadget.names().length, records(world).length]).toEqual([3, 1]);
    const { code, stderr } = await world.coppice(worktree, 'up');
    expect([code, stderr, gadget.names().length]).toEqual([1, expect.stringContaining('ggt env list printed no table'), 3]);
  });
});

/** What ggt keeps in a folder about its environment. */
function syncJson(environment: string): string {
  return JSON.stringify({ application: 'shop', environment, environments: { [environment]: { filesVersion: '7' } } });
}

/** Ends the process that sets up the world's one worktree, and leaves what it started. */
function killRunner(world: World): void {
  const { repository = '', id = '' } = records(world)[0] ?? {};
  const owner = read(world.state, 'repos', repository, 'worktrees', id, 'owner');
  process.kill(Number(/"pid":(\d+)/.exec(owner)?.[1]), 'SIGKILL');
}

test('without a login, a preset fails with what its program says', async () => {
  const world = makeWorld();
  standIn(world, 'turso', 'TURSO_API_TOKEN', ['shop']);
  delete world.env.TURSO_API_TOKEN;
  const { result } = await added(world, '{ type: turso, database: shop }');
  expect([result.code, result.stderr]).toEqual([1, expect.stringContaining('    Error: not logged in')]);
});

test('a service that cannot be asked is no reason to take what is there for gone: it is kept and listed', async () => {
  const world = makeWorld();
  const { names } = standIn(world, 'turso', 'TURSO_API_TOKEN', ['shop']);
  const { main, worktree } = await added(world, '{ type: turso, database: shop }');
  delete world.env.TURSO_API_TOKEN;
  const down = await world.coppice(worktree, 'down');
  expect([down.code, down.stderr]).toEqual([1, expect.stringContaining('not logged in')]);
  expect([names().length, records(world).length]).toEqual([2, 1]);
  world.env.TURSO_API_TOKEN = TOKEN;
  await world.git(main, 'worktree', 'remove', '../a');
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(names()).toEqual(['shop']);
});

test.each([
  ['turso', 'turso', 'TURSO_API_TOKEN', '{ type: turso, database: main }'],
  ['upsun', 'upsun', 'UPSUN_CLI_TOKEN', '{ type: upsun, project: p1 }'],
])('%s: what its program leaves there without a word is not taken for destroyed', async (_, program, login, spec) => {
  const world = makeWorld();
  const { names } = standIn(world, program, login, ['main']);
  const { worktree } = await added(world, spec);
  world.env.STAND_IN_FAULT = 'left';
  const down = await world.coppice(worktree, 'down');
  expect([down.code, down.stderr, names().length]).toEqual([1, expect.stringMatching(/ left shop-feature-a-\w+ there/), 2]);
  delete world.env.STAND_IN_FAULT;
  expect([(await world.coppice(worktree, 'down')).code, names()]).toEqual([0, ['main']]);
});

test('planetscale: a password that is not printed as it should be is in no message and no log', async () => {
  const world = makeWorld();
  standIn(world, 'pscale', 'PLANETSCALE_SERVICE_TOKEN', ['main']);
  world.env.STAND_IN_FAULT = 'text';
  const { result } = await added(world, '{ type: planetscale, database: shop, org: acme }');
  expect([result.code, result.stderr]).toEqual([1, expect.stringContaining('pscale password create printed no JSON with username')]);
  expectNoSecret(world, result.stderr);
});

test.each(Object.entries(PRESETS))('%s can be copied into a config as a `command`', async (_, preset: Preset) => {
  const { create, check, destroy, output, options } = preset;
  const env = Object.fromEntries(Object.keys(options).map((option) => [optionVariable(option), 'x']));
  const spec = { type: 'command', create, check, destroy, output, env, ...(preset.value && { value: preset.value }) };
  const source = parseSource(stringify({ resources: { A: spec } }), 'worktree.config.yaml');
  if ('problems' in source) throw new Error(source.problems[0]?.message);
  const judged = await judgeConfig(source.source.value, [source.source], null);
  expect('problems' in judged ? judged.problems : []).toEqual([]);
});
