// What the worst of many generated configs costs: the slowest, and the most memory that a process needs which judges them one
// after another. Part of `npm run bench`.
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const COUNT = 200_000;
const PROCESSES = 2;
const program = path.resolve(import.meta.dirname, '../node_modules/.cache/coppice/generated/judge.js');

/** @param tools what bench.mjs measures with */
export async function benchConfigs({ root, row, fewer }) {
  const home = path.resolve(import.meta.dirname, '..');
  const configuration = ['-c', 'test/fixtures/generated/rolldown.config.ts', '--log-level', 'silent'];
  execFileSync('npx', ['rolldown', ...configuration], { cwd: home, stdio: 'ignore' });
  const each = Math.ceil(COUNT / PROCESSES / fewer);
  const judged = await Promise.all(
    Array.from({ length: PROCESSES }, async (_, index) => {
      const folder = path.join(root, `configs-${index}`);
      fs.mkdirSync(folder);
      const words = ['--max-old-space-size=200', program, folder, String(1 + index * each), String(each)];
      return JSON.parse((await promisify(execFile)(process.execPath, words, { cwd: home })).stdout);
    }),
  );
  const worst = (of) => Math.max(...judged.map((one) => one[of]));
  const count = judged.reduce((sum, one) => sum + one.count, 0);
  row(
    `${count} generated configs: the slowest, ms; the most memory, MB`,
    `${Math.round(worst('slowestMs'))}; ${Math.round(worst('peakMb'))}`,
    'at most 1000; 200',
  );
}
