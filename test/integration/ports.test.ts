import net from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { heldPorts, records } from '../fixtures/ledger.ts';
import { makeWorld, read, writeFiles } from '../fixtures/world.ts';

const config = (base: number, more = '') => `resources: { PORT: ${base}${more} }\n`;

function listen(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    onTestFinished(() => void server.close());
    server.once('error', reject);
    server.listen({ port, host, ipv6Only: host === '::' }, resolve);
  });
}

test.for(['127.0.0.1', '0.0.0.0', '::1', '::'])('a port that a foreign process uses on %s is never given', async (host) => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': config(25_800) });
  await listen(25_810, host);
  await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
  expect(records(world)).toMatchObject([{ slot: 2, ports: { PORT: 25_820 } }]);
  expect(heldPorts(world)).toEqual([25_820]);
});

test("a base of another repository's main worktree is never given", async () => {
  const world = makeWorld();
  const one = await world.repository('one', { 'worktree.config.yaml': config(24_410) });
  await world.git(one, 'worktree', 'add', '../one-x', '-b', 'x');
  const two = await world.repository('two', { 'worktree.config.yaml': config(24_400) });
  await world.git(two, 'worktree', 'add', '../two-x', '-b', 'x');
  const ports = records(world).map((record) => record.ports.PORT);
  expect(ports.sort()).toEqual([24_420, 24_430]);
});

test('a port that browsers refuse is never given', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': config(5050) });
  await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
  expect(records(world)).toMatchObject([{ slot: 2, ports: { PORT: 5070 } }]);
});

test('no port above 65535 is given; when none is left, the message says so and nothing is held', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': config(65_500) });
  for (const name of ['a', 'b', 'c']) await world.git(main, 'worktree', 'add', `../${name}`, '-b', name);
  expect(heldPorts(world)).toEqual([65_510, 65_520, 65_530]);
  const fourth = await world.run(main, 'git', ['worktree', 'add', '../d', '-b', 'd']);
  expect(fourth.code).toBe(1);
  expect(fourth.stderr).toContain('No slot is left');
  expect(heldPorts(world)).toEqual([65_510, 65_520, 65_530]);
});

test('a branch gets the slot back that it had, when it is free', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': config(24_500) });
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'add', '../b', '-b', 'b');
  await world.git(main, 'worktree', 'remove', '../a');
  await world.git(main, 'worktree', 'remove', '../b');
  await world.git(main, 'worktree', 'add', '../b', 'b');
  expect(records(world)).toMatchObject([{ branch: 'b', slot: 2 }]);
});

test('a worktree keeps its port while its own server listens on it, and a new resource gets one beside', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': config(25_900) });
  await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
  const worktree = path.join(world.root, 'x');
  await listen(25_910, '0.0.0.0');
  await listen(25_965, '0.0.0.0');
  writeFiles(worktree, { 'worktree.config.yaml': config(25_900, ', API_PORT: 25933, OTHER: { type: port, base: 25955, step: 10 }') });
  const again = await world.coppice(worktree, 'up');
  expect(again.code, again.stderr).toBe(0);
  expect(records(world)).toMatchObject([{ slot: 1, ports: { PORT: 25_910, API_PORT: 25_943, OTHER: 25_975 } }]);
  expect(read(worktree, '.env')).toContain('PORT=25910\n');
});

test('a port that the config has lost is given back by up, and one that it has gained is said by --dry-run', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': 'resources: { PORT: 24750, OLD: 24851 }\n' });
  await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
  expect(heldPorts(world)).toEqual([24_760, 24_861]);
  const worktree = path.join(world.root, 'x');
  writeFiles(worktree, { 'worktree.config.yaml': 'resources: { PORT: 24750, NEW: 24952 }\n' });
  expect((await world.coppice(worktree, 'up', '--dry-run')).stderr).toMatch(/NEW +port {2}24962/);
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(heldPorts(world)).toEqual([24_760, 24_962]);
  expect(records(world)[0]?.ports).toEqual({ PORT: 24_760, NEW: 24_962 });
});
