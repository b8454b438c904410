// Runs the whole suite again and again, each time in another order, and says how often it was not green: `npm run flakes -- 20`.
// What follows the number is for vitest.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const [times = '20', ...options] = process.argv.slice(2);
const count = Number(times);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-flakes-'));
const outputFile = path.join(folder, 'run.json');
let notGreen = 0;
for (let run = 1; run <= count; run += 1) {
  const seed = Date.now();
  const args = ['vitest', 'run', '--reporter=json', `--outputFile=${outputFile}`, `--sequence.seed=${seed}`, ...options];
  const { status } = spawnSync('npx', args, { stdio: 'ignore' });
  if (status !== 0) notGreen += 1;
  console.log(`run ${run}, seed ${seed}, ${Math.round((Date.now() - seed) / 60_000)} minutes: ${status === 0 ? 'green' : 'not green'}`);
  for (const { assertionResults, message } of status === 0 ? [] : readResults()) {
    if (message) console.log(message);
    for (const { fullName, failureMessages } of assertionResults) {
      if (failureMessages.length > 0) console.log([fullName, ...failureMessages].join('\n'));
    }
  }
  fs.rmSync(outputFile, { force: true });
}
fs.rmdirSync(folder);
console.log(`${notGreen} of ${count} runs were not green`);
process.exitCode = notGreen > 0 ? 1 : 0;

function readResults() {
  return fs.existsSync(outputFile) ? JSON.parse(fs.readFileSync(outputFile, 'utf8')).testResults : [];
}
