// What many random operations in three repositories at once come to: the test that checks after each that ledger, git and servers
// agree, with more of them. Part of `npm run bench`.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const COUNT = 20_000;

/** @param tools what bench.mjs measures with */
export function benchModel({ row, fewer }) {
  const count = Math.ceil(COUNT / fewer);
  const start = Date.now();
  const end = spawnSync('npx', ['vitest', 'run', 'test/integration/model.test.ts'], {
    cwd: path.resolve(import.meta.dirname, '..'),
    env: { ...process.env, COPPICE_MODEL_OPERATIONS: String(count) },
    encoding: 'utf8',
  });
  if (end.status !== 0) console.log(end.stdout);
  const each = ((Date.now() - start) / count).toFixed(0);
  row(`${count} random operations: all agree; ms an operation, its check included`, `${end.status === 0 ? 'yes' : 'NO'}; ${each}`, 'yes');
}
