import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { claimedNames, claimOwner } from '../../src/ledger/claims.ts';
import { readJournal } from '../../src/ledger/journal.ts';
import { currentOwner, tryOwn } from '../../src/ledger/owner.ts';
import { openStateDir } from '../../src/ledger/state-dir.ts';
import { bundleFixture } from '../fixtures/bundle.ts';
import { makeWorld, until, type World } from '../fixtures/world.ts';

const claimer = await bundleFixture('claimer.ts');

function startClaimer(world: World, worktree: string, witness: string, rounds: number) {
  const child = spawn(process.execPath, [claimer, worktree, witness, String(rounds)], {
    env: world.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    said.push(...lines);
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return { child, said, ended, worktree };
}

test('200 processes that claim and release, half of them killed: no claim is held twice, lost, or unreadable', async () => {
  const world = makeWorld();
  const state = openStateDir(world.env);
  const witness = path.join(world.root, 'witness');
  fs.mkdirSync(witness);
  const all: ReturnType<typeof startClaimer>[] = [];
  let running = 0;
  let next = 0;
  await new Promise<void>((resolve) => {
    const more = () => {
      if (next === 200 && running === 0) resolve();
      while (next < 200 && running < 16) {
        const index = next;
        next += 1;
        running += 1;
        const killed = index % 2 === 0;
        const process = startClaimer(world, `worktree-${index}`, witness, killed ? Number.POSITIVE_INFINITY : 30);
        all.push(process);
        const moment = Math.random() * 60;
        if (killed) void until(() => process.said.length > moment, 'a claimer that works').then(() => process.child.kill('SIGKILL'));
        void process.ended.then(() => {
          running -= 1;
          more();
        });
        // Readable at every moment: damage would throw.
        for (const name of claimedNames(state)) claimOwner(state, name);
      }
    };
    more();
  });

  const lines = (verb: string, of = all) => of.flatMap(({ said }) => said).filter((line) => line.startsWith(verb));
  expect(lines('DUPLICATE')).toEqual([]);
  expect(lines('end')).toHaveLength(100);
  expect(all.filter(({ child }) => child.signalCode === 'SIGKILL')).toHaveLength(100);
  // Names are wanted by several, and free until the end: else the last processes would meet nobody.
  expect(lines('refused').length).toBeGreaterThan(100);
  expect(lines('took', all.slice(150)).length).toBeGreaterThan(100);
  for (const { said, worktree } of all) {
    const held = new Set<string>();
    for (const line of said) {
      const [verb, name = ''] = line.split(' ');
      if (verb === 'kept') held.add(name);
      if (verb === 'releasing') held.delete(name);
    }
    for (const name of held) expect(claimOwner(state, name), `${name} of ${worktree}`).toBe(worktree);
    // What a killed process had is in its journal, so that it can be given back.
    const journal = readJournal(path.join(state.repos, 'repository', 'worktrees', worktree));
    for (const name of claimedNames(state)) if (claimOwner(state, name) === worktree) expect(journal?.claims).toContain(name);
  }
});

test('a process that is stopped in the middle keeps only its own worktree, and harms nothing when it goes on', async () => {
  const world = makeWorld();
  const state = openStateDir(world.env);
  const witness = path.join(world.root, 'witness');
  fs.mkdirSync(witness);
  const stopped = startClaimer(world, 'stopped', witness, 2000);
  await until(() => stopped.said.length > 5, 'the first claims');
  stopped.child.kill('SIGSTOP');
  const others = [1, 2, 3, 4].map((index) => startClaimer(world, `other-${index}`, witness, 30));
  await Promise.all(others.map(({ ended }) => ended));
  for (const { said } of others) expect(said.at(-1)).toBe('end');
  stopped.child.kill('SIGCONT');
  stopped.child.kill('SIGTERM');
  await stopped.ended;
  expect([...others, stopped].flatMap(({ said }) => said).filter((line) => line.startsWith('DUPLICATE'))).toEqual([]);
  for (const name of claimedNames(state)) expect(claimOwner(state, name)).toMatch(/^(stopped|other-\d)$/);
});

test('of many processes that want one record, one at a time has it, also when owners are killed', async () => {
  const world = makeWorld();
  const state = openStateDir(world.env);
  const witness = path.join(world.root, 'witness');
  fs.mkdirSync(witness);
  const all = Array.from({ length: 12 }, (_, index) => startClaimer(world, 'shared', witness, index < 6 ? Number.POSITIVE_INFINITY : 200));
  await until(() => all.filter(({ said }) => said.length > 20).length > 4, 'claimers at work');
  for (const { child } of all.slice(0, 6)) child.kill('SIGKILL');
  await Promise.all(all.map(({ ended }) => ended));
  expect(all.filter(({ child }) => child.signalCode === 'SIGKILL')).toHaveLength(6);
  const folder = path.join(state.repos, 'repository', 'worktrees', 'shared');
  // Two writers at once would have torn the journal, or met in the witness folder.
  expect(all.flatMap(({ said }) => said).filter((line) => line.startsWith('DUPLICATE'))).toEqual([]);
  expect(readJournal(folder)).not.toBeNull();
  expect(currentOwner(folder)).toBeNull();
  const attempt = tryOwn(folder, 'test');
  expect('held' in attempt).toBe(true);
  // No lock, and no file of a lock, is left behind.
  expect(fs.readdirSync(folder).filter((name) => /^owner\./.test(name))).toEqual([]);
});

test('what a killed process left above a living holder takes nothing from the holder', async () => {
  const world = makeWorld();
  const folder = path.join(openStateDir(world.env).repos, 'repository', 'worktrees', 'shared');
  fs.mkdirSync(folder, { recursive: true });
  const holder = tryOwn(folder, 'holder');
  if (!('held' in holder)) throw new Error('nobody had it');
  const owner = fs.readFileSync(path.join(folder, 'owner'), 'utf8');
  const ended = owner.replace('"generation":1', '"generation":2').replace(/"start":"\d+"/, '"start":"1"');
  fs.writeFileSync(path.join(folder, 'owner.2'), ended);
  expect(tryOwn(folder, 'second')).toEqual({ by: { pid: process.pid, verb: 'holder' } });
  expect(currentOwner(folder)).toEqual({ pid: process.pid, verb: 'holder' });
  holder.held.release();
  // And below, where it had seen a chain that has gone on since.
  const third = tryOwn(folder, 'third');
  if (!('held' in third)) throw new Error('nobody had it');
  third.held.release();
  fs.writeFileSync(path.join(folder, 'owner.2'), ended);
  expect('held' in tryOwn(folder, 'fourth')).toBe(true);
  expect(fs.readdirSync(folder).filter((name) => /^owner\./.test(name))).toEqual([]);
});
