import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectSentence } from '../fixtures/fault-checks.ts';
import { heldClaims, records } from '../fixtures/ledger.ts';
import { mountSmallDisk, whyNoMount } from '../fixtures/small-disk.ts';
import { CLI, makeWorld, type Result, read, type World } from '../fixtures/world.ts';

const CONFIG = `resources: { PORT: 24000, DATABASE_URL: sqlite }
files: { .env: merge }
steps: { once: echo ran >> once.log }
`;

const none = whyNoMount();
// What a machine cannot prove is said.
if (none !== null) console.warn(`not tested here, because ${none}: full and read-only disks`);

async function shop(world: World): Promise<string> {
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n*.log\n' },
    { '.env': 'PORT=24000\nDATABASE_URL=file:./dev.db\n' },
  );
  execFileSync('sqlite3', [path.join(main, 'dev.db'), 'create table t(a); insert into t values (42)']);
  return main;
}

function add(world: World, main: string, name: string, env: NodeJS.ProcessEnv = {}): Promise<Result> {
  return world.run(main, 'git', ['worktree', 'add', `../${name}`, '-b', name], { env });
}

async function expectReady(world: World, name: string, about: string): Promise<void> {
  const worktree = path.join(world.root, name);
  const up = await world.coppice(worktree, 'up');
  expect(up.code, `${about}\n${up.stderr}`).toBe(0);
  expect(records(world).find(({ branch }) => branch === name)?.state, about).toBe('ready');
  expect(read(worktree, '.env'), about).toMatch(/^PORT=24\d[1-9]0$/m);
  expect(fs.existsSync(path.join(worktree, 'dev.db')), about).toBe(true);
}

/** Every worktree's state by `status`, which reads the whole ledger. */
async function states(world: World, main: string): Promise<Record<string, string>> {
  const status = await world.coppice(main, 'status', '--json');
  expect(status.code, status.stderr).toBe(0);
  const { worktrees } = JSON.parse(status.stdout) as { worktrees: { branch: string; state: string }[] };
  return Object.fromEntries(worktrees.map(({ branch, state }) => [branch, state]));
}

// Only root can mount a disk of its own; where it cannot, that is printed above.
describe.skipIf(none !== null)('a state folder of 64 KiB', () => {
  test('whatever room is left, the ledger can be read, a verb says a sentence, and with room again up and gc go on', async () => {
    const world = makeWorld();
    const disk = mountSmallDisk(world.state, '64k');
    const main = await shop(world);
    expect((await add(world, main, 'other')).code).toBe(0);
    const other = records(world);
    const outcomes: (number | null)[] = [];
    for (let pages = 0; pages <= 8; pages += 1) {
      const name = `w${pages}`;
      const worktree = path.join(world.root, name);
      disk.fill(pages * 4096);
      const added = await add(world, main, name);
      const about = `${pages} pages\n${added.stderr}`;
      outcomes.push(added.code);
      expectSentence(added, about);
      expect((await states(world, main)).other, about).toBe('ready');
      expect(records(world).filter(({ branch }) => branch === 'other')).toEqual(other);
      disk.free();
      await expectReady(world, name, about);
      for (const verb of ['down', 'up'] as const) {
        disk.fill(pages * 512);
        const full = await world.coppice(worktree, verb);
        expectSentence(full, `${verb}, ${about}\n${full.stderr}`);
        expect(await states(world, main)).toMatchObject({ other: 'ready' });
        disk.free();
        const again = await world.coppice(worktree, verb);
        expect(again.code, `${verb}, ${about}\n${full.stderr}\n${again.stderr}`).toBe(0);
      }
      await expectReady(world, name, about);
      await world.git(main, 'worktree', 'remove', '--force', worktree);
      disk.fill(pages * 512);
      const full = await world.coppice(main, 'gc');
      expectSentence(full, `gc, ${about}\n${full.stderr}`);
      expect(await states(world, main)).toMatchObject({ other: 'ready' });
      disk.free();
      const again = await world.coppice(main, 'gc');
      expect(again.code, `gc, ${about}\n${full.stderr}\n${again.stderr}`).toBe(0);
      expect(records(world)).toEqual(other);
      expect(new Set(heldClaims(world).values())).toEqual(new Set([other[0]?.id]));
    }
    // Both ends were reached: too little for a set-up, and enough.
    expect([outcomes[0], outcomes.at(-1)]).toEqual([1, 0]);
  });

  test('worktrees are added until it is full: those that were ready stay so, and room lets the rest go on', async () => {
    const world = makeWorld();
    const disk = mountSmallDisk(world.state, '64k');
    const main = await shop(world);
    const ready: string[] = [];
    let failed = '';
    for (let number = 1; failed === ''; number += 1) {
      expect(number).toBeLessThan(20);
      const name = `w${number}`;
      const added = await add(world, main, name);
      if (added.code === 0) ready.push(name);
      else {
        failed = name;
        expectSentence(added, added.stderr);
      }
      const all = await states(world, main);
      expect(ready.map((branch) => all[branch])).toEqual(ready.map(() => 'ready'));
    }
    expect(ready.length).toBeGreaterThan(1);
    // No two of them have one port, however the disk ended the last.
    const ports = records(world).flatMap((record) => record.claims.filter((claim) => claim.startsWith('port-')));
    expect(new Set(ports).size).toBe(ports.length);
    await world.git(main, 'worktree', 'remove', '--force', path.join(world.root, ready[0] ?? ''));
    // To give back is written down first, which a disk without a free block may not take.
    const full = await world.coppice(main, 'gc');
    expectSentence(full, full.stderr);
    disk.remount('size=128k');
    const gc = await world.coppice(main, 'gc');
    expect(gc.code, gc.stderr).toBe(0);
    expect(records(world).map(({ branch }) => branch)).not.toContain(ready[0]);
    await expectReady(world, failed, 'with room again');
  });
});

// The same.
describe.skipIf(none !== null)('a disk that is read-only', () => {
  test('a read-only HOME is no matter where the state folder is elsewhere', async () => {
    const world = makeWorld();
    const home = path.join(world.root, 'locked-home');
    const disk = mountSmallDisk(home, '64k');
    disk.remount('ro');
    const env = { HOME: home };
    const main = await shop(world);
    const added = await add(world, main, 'x', env);
    expect(added.code, added.stderr).toBe(0);
    for (const verb of ['up', 'status', 'down'])
      expect((await world.run(path.join(world.root, 'x'), process.execPath, [CLI, verb], { env })).code).toBe(0);
  });

  test.for([
    ['a HOME that has no state folder yet', 'home'],
    ['a state folder in use', 'state'],
  ] as const)('%s: a sentence that names it, the worktree is there, and with a disk that can be written up goes on', async ([, which]) => {
    const world = makeWorld();
    const main = await shop(world);
    const folder = which === 'home' ? path.join(world.root, 'locked-home') : world.state;
    // Only in its own place: HOME and nothing that says otherwise.
    const env = which === 'home' ? { HOME: folder, COPPICE_STATE_DIR: '', XDG_STATE_HOME: '' } : {};
    const disk = mountSmallDisk(folder, '256k');
    if (which === 'state') expect((await add(world, main, 'other')).code).toBe(0);
    disk.remount('ro');
    const added = await add(world, main, 'x', env);
    expect(added.code).toBe(1);
    expectSentence(added, added.stderr);
    expect(added.stderr).toContain(folder);
    expect(added.stderr).toMatch(/read-only/);
    if (which === 'state') expect(await states(world, main)).toMatchObject({ other: 'ready' });
    const worktree = path.join(world.root, 'x');
    expect(fs.existsSync(path.join(worktree, 'worktree.config.yaml'))).toBe(true);
    disk.remount('rw');
    const up = await world.run(worktree, process.execPath, [CLI, 'up'], { env });
    expect(up.code, up.stderr).toBe(0);
    expect(read(worktree, '.env')).toMatch(/^PORT=240[12]0$/m);
  });
});
