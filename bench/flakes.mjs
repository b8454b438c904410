// Runs the whole suite again and again, and says how often it was not green: `npm run flakes -- 20`.
import { spawnSync } from 'node:child_process';

const count = Number(process.argv[2] ?? 20);
const failures = [];
for (let run = 1; run <= count; run += 1) {
  const { status, stdout } = spawnSync('npx', ['vitest', 'run', '--reporter=json'], { encoding: 'utf8', maxBuffer: 2 ** 30 });
  const { testResults = [] } = status === 0 ? {} : JSON.parse(stdout.slice(stdout.indexOf('{')));
  const names = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter((test) => test.status === 'failed').map((test) => test.fullName),
  );
  if (status !== 0) failures.push(run);
  console.log(`run ${run}: ${status === 0 ? 'green' : names.join('; ') || 'not green'}`);
}
console.log(`${failures.length} of ${count} runs were not green`);
process.exitCode = failures.length > 0 ? 1 : 0;
