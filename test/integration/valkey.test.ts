import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { debianPrograms } from '../fixtures/servers/debian.ts';
import { startRedis } from '../fixtures/servers/redis.ts';
import { seenByOthers } from '../fixtures/servers/seen-by-others.ts';
import { isAlive, makeWorld, read, type World } from '../fixtures/world.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-valkey-'));
fs.chmodSync(root, 0o755);
afterAll(() => fs.rmSync(root, { recursive: true }));
const programs = debianPrograms('trixie', ['valkey-server'], ['valkey-server']);
const bin = path.join(seenByOthers(path.dirname(programs.root), path.join(root, 'programs')), 'bin');

async function giveBack(world: World, main: string): Promise<void> {
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(records(world)).toEqual([]);
}

test('a database of a Valkey of its own: marked, followed by what names it, emptied at the end, and no other is touched', async () => {
  const world = makeWorld();
  const server = await startRedis(['requirepass secret'], ['-a', 'secret', '--no-auth-warning'], path.join(bin, 'valkey-server'));
  expect(server.cli(0, ['INFO', 'server'])).toContain('valkey_version:');
  server.cli(0, ['SET', 'main', '1']);
  server.cli(1, ['SET', 'other', '1']);
  const url = `valkey://:secret@localhost:${server.port}`;
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources: { VALKEY_URL: redis }\n', '.gitignore': '.env\n' },
    { '.env': `VALKEY_URL=${url}/0\nCACHE=${url}/0?x=1\n` },
  );
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  expect(added.code, added.stderr).toBe(0);
  expect(read(world.root, 'x', '.env')).toBe(`VALKEY_URL=${url}/2\nCACHE=${url}/2?x=1\n`);
  server.cli(2, ['SET', 'mine', '1']);
  expect((await world.coppice(path.join(world.root, 'x'), 'up')).code).toBe(0);
  expect(server.cli(2, ['GET', 'mine'])).toBe('1');
  await giveBack(world, main);
  expect(server.keys()).toEqual({ 0: 1, 1: 1 });
});

test('where only `valkey-server` is installed, `isolate: server` starts that', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources: { REDIS_URL: { type: redis, isolate: server } }\n', '.gitignore': '.env\n' },
    { '.env': 'REDIS_URL=redis://localhost:6379/0\n' },
  );
  // /usr/bin itself is looked at too, so it is looked at from a namespace without Redis.
  const script = 'test ! -e /usr/bin/redis-server || mount --bind /dev/null /usr/bin/redis-server; exec git worktree add ../x -b x';
  const env = { PATH: `${process.env.PATH}:${bin}` };
  const added = await world.run(main, 'unshare', ['--mount', '--map-root-user', 'sh', '-c', script], { env });
  expect(added.code, added.stderr).toBe(0);
  const [, port = ''] = /localhost:(\d+)/.exec(read(world.root, 'x', '.env')) ?? [];
  const cli = (...words: string[]) => execFileSync('redis-cli', ['-h', '127.0.0.1', '-p', port, ...words], { encoding: 'utf8' }).trimEnd();
  expect(cli('INFO', 'server')).toContain('valkey_version:');
  expect(cli('SET', 'a', '1')).toBe('OK');
  const pid = Number(/process_id:(\d+)/.exec(cli('INFO', 'server'))?.[1]);
  expect(isAlive(pid)).toBe(true);
  await giveBack(world, main);
  expect(isAlive(pid)).toBe(false);
});
