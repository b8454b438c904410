import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { fault } from '../fixtures/faults.ts';
import { heldClaims, heldPorts, records } from '../fixtures/ledger.ts';
import { stopped } from '../fixtures/stopped.ts';
import { CLI, makeWorld, read, start, until, type World } from '../fixtures/world.ts';

const CONFIG = `resources: { PORT: 24000 }
files: { .env: merge }
steps: { once: echo ran >> once.log }
`;

async function shop(world: World): Promise<string> {
  return world.repository('shop', { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n*.log\n' }, { '.env': 'PORT=24000\n' });
}

/** Long enough for one who looks twenty times a second to have taken over many times, in milliseconds. */
const AWHILE = 1500;
/** And long enough for all that anybody waits for by the clock. */
const MINUTE = 60_000;

function ownerOf(world: World): string {
  const [record] = records(world);
  return read(world.state, 'repos', record?.repository ?? '', 'worktrees', record?.id ?? '', 'owner');
}

describe('a set-up that is stopped', () => {
  test.for([
    ['with its port claimed', '^write .*journal$', 5, AWHILE],
    ['before its env file is in place', '^rename x/.env$', 1, MINUTE],
    ['at its end', '^rename record/owner$', 1, AWHILE],
  ] as const)('%s keeps the worktree: another up waits, takes nothing over, and hears how it ended', async ([, at, nth, ms]) => {
    const world = makeWorld();
    const main = await shop(world);
    const worktree = path.join(world.root, 'x');
    await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], { env: { COPPICE: '0' } });
    const first = await stopped(world, worktree, 'up', { at, nth });
    const second = start(world, worktree, process.execPath, [CLI, 'up']);
    await until(() => second.output().includes(`waiting for the \`up\` that process ${first.pid} runs`), 'the word that it waits');
    const owner = ownerOf(world);
    await new Promise((resolve) => setTimeout(resolve, ms));
    expect([second.child.exitCode, ownerOf(world)]).toEqual([null, owner]);
    first.goOn();
    expect([(await first.ended).code, (await second.ended).code], second.output()).toEqual([0, 0]);
    expect(read(worktree, 'once.log')).toBe('ran\n');
    expect(read(worktree, '.env')).toContain('PORT=24010\n');
    expect(records(world)).toMatchObject([{ state: 'ready' }]);
  });

  test.for([
    ['with its env file not yet in place', '^rename x/.env$'],
    ['before it had begun', '^write .*journal$'],
  ] as const)('%s, and is killed then: who waited takes over', async ([, at]) => {
    const world = makeWorld();
    const main = await shop(world);
    const worktree = path.join(world.root, 'x');
    await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], { env: { COPPICE: '0' } });
    const first = await stopped(world, worktree, 'up', { at, nth: 1 });
    const second = start(world, worktree, process.execPath, [CLI, 'up']);
    await until(() => second.output().includes('waiting for'), 'the word that it waits');
    first.child.kill('SIGKILL');
    expect((await second.ended).code, second.output()).toBe(0);
    expect(records(world)).toMatchObject([{ state: 'ready' }]);
  });
});

describe('a gc that is stopped', () => {
  test.for([
    ['before it gives a port back', '^unlink state/claims/port-24010$', 1],
    ['before the record goes', '^rename gone$', 1],
    ['before the files of the record go', '^rm gone$', 0],
  ] as const)('%s: a worktree is added meanwhile and keeps what it gets, and the gc ends well', async ([, at, left]) => {
    const world = makeWorld();
    const main = await shop(world);
    await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
    await world.git(main, 'worktree', 'remove', '--force', '../x');
    const gc = await stopped(world, main, 'gc', { at, nth: 1 });
    const added = await world.run(main, 'git', ['worktree', 'add', '../y', '-b', 'y']);
    expect(added.code, added.stderr).toBe(0);
    const again = await world.coppice(main, 'gc');
    expect(again.code, again.stderr).toBe(left);
    expect(again.stderr.includes(`x: left to the \`gc\` that process ${gc.pid} runs; \`git coppice gc\` when that has ended`)).toBe(
      left === 1,
    );
    const ports = () => Object.values(records(world).find(({ branch }) => branch === 'y')?.ports ?? {});
    const [port] = ports();
    gc.goOn();
    expect((await gc.ended).code, gc.output()).toBe(0);
    expect((await world.coppice(main, 'gc')).code).toBe(0);
    expect(records(world)).toMatchObject([{ branch: 'y', state: 'ready' }]);
    expect([heldPorts(world), ports()]).toEqual([[port], [port]]);
    expect(new Set(heldClaims(world).values())).toEqual(new Set([records(world)[0]?.id]));
    expect(
      fs.readdirSync(path.join(world.state, 'repos'), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.gone-')),
    ).toEqual([]);
  });
});

describe.each([
  ['ten years behind', -10],
  ['ten years ahead', 10],
])('a clock %s', (_, years) => {
  const env = fault({ clock: years * 365.25 * 24 * 60 * 60 * 1000 });

  test.for([
    ['at the set-up', env, {}],
    ['after the set-up', {}, env],
  ] as const)('%s: up, status, down, remove and gc do as ever', async ([, first, then]) => {
    const world = makeWorld();
    const main = await shop(world);
    const add = async (name: string) =>
      expect((await world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name], { env: first })).code).toBe(0);
    const later = async (cwd: string, ...args: string[]) => {
      const result = await world.run(cwd, process.execPath, [CLI, ...args], { env: then });
      expect(result.code, result.stderr).toBe(0);
      return result;
    };
    for (const name of ['x', 'y']) await add(name);
    expect(heldPorts(world)).toEqual([24_010, 24_020]);
    const x = path.join(world.root, 'x');
    await later(x, 'up');
    // What was done is not done again because of a clock.
    expect(read(x, 'once.log')).toBe('ran\n');
    const { stdout } = await later(main, 'status', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ worktrees: [{ state: 'ready' }, { state: 'ready' }] });
    await later(x, 'down');
    await later(main, 'remove', 'x');
    await world.git(main, 'worktree', 'remove', '--force', '../y');
    await later(main, 'gc');
    expect([records(world), [...heldClaims(world)]]).toEqual([[], []]);
  });

  test('when another comes: a set-up that runs is waited for, not taken for one that is long dead', async () => {
    const world = makeWorld();
    const main = await shop(world);
    const worktree = path.join(world.root, 'x');
    await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x'], { env: { COPPICE: '0' } });
    const held = await stopped(world, worktree, 'up', { at: '^rename x/.env$', nth: 1 });
    const second = start(world, worktree, process.execPath, [CLI, 'up'], env);
    await until(() => second.output().includes('waiting for'), 'the word that it waits');
    held.goOn();
    expect([(await held.ended).code, (await second.ended).code]).toEqual([0, 0]);
    expect(read(worktree, 'once.log')).toBe('ran\n');
  });
});
