import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { startRedis } from '../fixtures/servers/redis.ts';
import { makeWorld, read } from '../fixtures/world.ts';

test('thin', async () => {
  const world = makeWorld();
  const server = await startRedis();
  const main = await world.repository('shop', { 'worktree.config.yaml': 'resources: { REDIS_URL: redis }\n', '.gitignore': '.env\n' }, { '.env': `REDIS_URL=${server.url}/0\nCACHE_URL=${server.url}?a=b\n` });
  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  console.log(added.stderr); console.log(read(world.root, 'x', '.env'), JSON.stringify(records(world), null, 1), server.keys());
  console.log(await world.coppice(path.join(world.root, 'x'), 'up'));
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  console.log(await world.coppice(main, 'gc'), server.keys(), fs.readdirSync(world.state + '/claims'));
  expect(server.keys()).toEqual({});
});
