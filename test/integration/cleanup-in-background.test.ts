import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { heldPorts, records } from '../fixtures/ledger.ts';
import { stopped } from '../fixtures/stopped.ts';
import { CLI, commandLines, isAlive, makeWorld, read, start, until, type World } from '../fixtures/world.ts';

/** Its `destroy` waits until the test opens a gate, so that what others do meanwhile does not hang on how fast it is. */
const CONFIG = `keep: 1s
resources:
  PORT: 24750
  STORE:
    type: command
    create: 'touch "$STORES/$COPPICE_NAME"; echo "$COPPICE_NAME"'
    destroy: |
      echo "$COPPICE_BRANCH" >> "$STORES/.destroyed"
      while [ ! -e "$STORES/.open" ]; do sleep 0.01; done
      test ! -e "$STORES/.down" || { echo "the service is down"; exit 4; }
      rm "$STORES/$COPPICE_NAME"
`;

async function shop(world: World) {
  // One that only begins when the world has been removed would make the state folder again.
  onTestFinished(() => until(() => commandLines(world).length === 0, 'the cleanups in the background end'));
  const stores = path.join(world.root, 'stores');
  fs.mkdirSync(stores);
  world.env.STORES = stores;
  const main = await world.repository('shop', { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n' }, { '.env': 'PORT=24750\n' });
  return {
    main,
    open: () => fs.writeFileSync(path.join(stores, '.open'), ''),
    down: (is: boolean) => (is ? fs.writeFileSync(path.join(stores, '.down'), '') : fs.rmSync(path.join(stores, '.down'))),
    things: () => fs.readdirSync(stores).filter((name) => !name.startsWith('.')),
    destroyed: () => (fs.existsSync(path.join(stores, '.destroyed')) ? read(stores, '.destroyed') : ''),
  };
}

/** Adds and removes a worktree, says to the ledger that it is gone, and waits until `keep:` is over. */
async function expire(world: World, main: string, branch: string): Promise<void> {
  await world.git(main, 'worktree', 'add', '-q', `../${branch}`, '-b', branch);
  await world.git(main, 'worktree', 'remove', `../${branch}`);
  await world.coppice(main, 'gc', '--expired');
  const goneAt = records(world).find((record) => record.branch === branch)?.goneAt;
  if (!goneAt) throw new Error(`${branch} is not recorded as gone`);
  await until(() => Date.now() > Date.parse(goneAt) + 1000, 'keep is over');
}

test('the next git worktree add has what is over `keep:` destroyed in the background, and does not wait for it', async () => {
  const world = makeWorld();
  const { main, open, things, destroyed } = await shop(world);
  await expire(world, main, 'a');
  expect([things().length, heldPorts(world)]).toEqual([1, []]);
  // Who captures the output waits for every process that holds it.
  const added = await world.run(main, 'sh', ['-c', 'said=$(git worktree add ../b -b b 2>&1); echo "$said"']);
  expect(added.stdout).toContain('ready');
  await until(() => destroyed() === 'a\n', 'its destroy has begun');
  expect(records(world).map(({ branch, state }) => [branch, state])).toContainEqual(['b', 'ready']);
  open();
  await until(() => records(world).length === 1, 'a is forgotten');
  expect([things().length, heldPorts(world)]).toEqual([1, [24_760]]);
});

test.for([
  ['keeps what is not over', 'SIGCONT'],
  ['is killed', 'SIGKILL'],
] as const)('gc that a person says while one in the background is at it, which %s, gives all back', async ([, signal]) => {
  const world = makeWorld();
  const { main, open, things } = await shop(world);
  open();
  await world.git(main, 'worktree', 'add', '-q', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'remove', '../a');
  const behind = await stopped(world, main, ['gc', '--expired'], { at: '^unlink state/claims/port-', nth: 1 });
  const gc = start(world, main, process.execPath, [CLI, 'gc']);
  await Promise.race([gc.ended, new Promise((resolve) => setTimeout(resolve, 1000))]);
  behind.child.kill(signal);
  expect((await gc.ended).code, gc.output()).toBe(0);
  expect([things(), records(world)]).toEqual([[], []]);
});

test('several set-ups at once have it destroyed once', async () => {
  const world = makeWorld();
  const { main, open, destroyed } = await shop(world);
  const names = ['b', 'c', 'd', 'e'];
  for (const name of names) await world.git(main, 'worktree', 'add', '-q', '--no-checkout', `../${name}`, '-b', name);
  for (const name of names) await world.git(path.join(world.root, name), 'reset', '-q', '--hard');
  await expire(world, main, 'a');
  const set = await Promise.all(names.map((name) => world.coppice(path.join(world.root, name), 'up')));
  expect(set.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  await until(() => destroyed() !== '', 'its destroy has begun');
  open();
  await until(() => records(world).length === 4, 'a is forgotten');
  expect(destroyed()).toBe('a\n');
});

test('what cannot be destroyed then is kept, disturbs nobody, and goes with a later add', async () => {
  const world = makeWorld();
  const { main, open, down, things, destroyed } = await shop(world);
  await expire(world, main, 'a');
  open();
  down(true);
  const added = await world.run(main, 'git', ['worktree', 'add', '../b', '-b', 'b']);
  expect([added.code, added.stderr]).toEqual([0, expect.not.stringContaining('down')]);
  await until(() => destroyed() === 'a\n', 'it was tried');
  const status = await world.coppice(main, 'gc', '--dry-run');
  expect(status.stderr).toContain('would give back');
  expect(things().length).toBe(2);
  down(false);
  // Whoever is still at it gives it back first.
  await until(async () => {
    await world.coppice(path.join(world.root, 'b'), 'up');
    return records(world).length === 1;
  }, 'a is forgotten');
  expect(things().length).toBe(1);
});

test('a server of a worktree that is gone ends with the next git worktree add', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources: { REDIS_URL: { type: redis, isolate: server } }\n', '.gitignore': '.env\n' },
    { '.env': 'REDIS_URL=redis://localhost:6379/0\n' },
  );
  onTestFinished(async () => {
    for (const { pid } of servers(world)) process.kill(pid, 'SIGKILL');
  });
  await world.git(main, 'worktree', 'add', '-q', '../a', '-b', 'a');
  const [server] = servers(world);
  if (!server) throw new Error('no server was started');
  await world.git(main, 'worktree', 'remove', '../a');
  expect(isAlive(server.pid)).toBe(true);
  await world.git(main, 'worktree', 'add', '-q', '../b', '-b', 'b');
  // The other may have its port by then.
  await until(() => !isAlive(server.pid) && records(world).length === 1, 'the server of a ends');
  await world.git(main, 'worktree', 'remove', '../b');
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect(servers(world)).toEqual([]);
});

/** The servers that the ledger of a world has written down. */
function servers(world: World): { pid: number }[] {
  return fs
    .readdirSync(world.state, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('/process'))
    .map((name) => JSON.parse(read(world.state, name)));
}
