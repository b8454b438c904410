// Measures what coppice adds to git, as ratios of medians over pairs taken in turn in one run: machines are shared and noisy,
// so no figure stands for itself. `npm run bench`; with a number as argument, that many times fewer pairs.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { benchConfigs } from './configs.mjs';
import { benchGuards } from './guards.mjs';
import { benchModel } from './model.mjs';
import { benchPostgres } from './postgres.mjs';

const cli = path.resolve(import.meta.dirname, '../dist/cli.cjs');
const fewer = Math.max(1, Number(process.argv[2] ?? 1));
const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-bench-')));
const env = {
  PATH: process.env.PATH,
  HOME: root,
  COPPICE_STATE_DIR: path.join(root, 'state'),
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'b',
  GIT_AUTHOR_EMAIL: 'b@example.invalid',
  GIT_COMMITTER_NAME: 'b',
  GIT_COMMITTER_EMAIL: 'b@example.invalid',
};
const run = (cwd, command, ...args) => execFileSync(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Times the works in turn, in another order every time. Returns the median of each in milliseconds. */
function inTurn(count, ...works) {
  const times = works.map(() => []);
  for (let round = 0; round < count; round += 1) {
    for (let index = 0; index < works.length; index += 1) {
      const which = (index + round) % works.length;
      const start = process.hrtime.bigint();
      const after = works[which](round);
      times[which].push(Number(process.hrtime.bigint() - start) / 1e6);
      after?.();
    }
  }
  return times.map(median);
}

function repository(name, config) {
  const folder = path.join(root, name);
  fs.mkdirSync(folder);
  run(folder, 'git', 'init', '-q', '-b', 'main');
  for (let index = 0; index < 50; index += 1) fs.writeFileSync(path.join(folder, `file${index}`), `${index}\n`);
  if (config) fs.writeFileSync(path.join(folder, 'worktree.config.yaml'), config);
  fs.writeFileSync(path.join(folder, '.gitignore'), '.env\n');
  run(folder, 'git', 'add', '-A');
  run(folder, 'git', 'commit', '-qm', 'one');
  run(folder, 'git', 'branch', 'other');
  fs.writeFileSync(path.join(folder, '.env'), '# settings\nPORT=3000\nVITE_PORT=5173\nAPI_URL=http://localhost:3000\nKEY=value\n');
  fs.writeFileSync(path.join(folder, '.git/hooks/post-checkout'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  return folder;
}

const rows = [];
const row = (what, figure, goal) => {
  rows.push([what, figure, goal]);
  console.log(`${what.padEnd(66)} ${figure.padStart(10)}   ${goal}`);
};

try {
  const config = 'resources: { PORT: 3000, VITE_PORT: 5173 }\nfiles: { .env: merge }\n';
  const plain = repository('plain', config);
  const ours = repository('ours', config);
  fs.rmSync(path.join(ours, '.git/hooks/post-checkout'));
  run(ours, process.execPath, cli, 'install');

  const checkout = (folder) => () => {
    run(folder, 'git', 'checkout', '-q', 'other');
    run(folder, 'git', 'checkout', '-q', 'main');
  };
  const [bare, hooked] = inTurn(Math.ceil(200 / fewer), checkout(plain), checkout(ours));
  row('git checkout with the hook : with a hook of `exit 0`', (hooked / bare).toFixed(3), 'at most 1.10');

  benchGuards({ root, env, cli, inTurn, row, fewer });

  const node = () => {
    run(root, process.execPath, '-e', '0');
  };
  const add = (folder) => (round) => {
    const worktree = path.join(root, `${path.basename(folder)}-${round}`);
    run(folder, 'git', 'worktree', 'add', '--detach', worktree);
    return () => {
      run(folder, 'git', 'worktree', 'remove', worktree);
      if (folder === ours) run(folder, 'git', 'coppice', 'gc');
    };
  };
  const count = Math.ceil(60 / fewer);
  const [start, git, withCoppice] = inTurn(count, node, add(plain), add(ours));
  row('git worktree add, two ports and an env file, beyond git : node -e 0', ((withCoppice - git) / start).toFixed(2), 'at most 3');
  row('  (node -e 0, ms)', start.toFixed(1), '');
  row('  (git worktree add alone, ms)', git.toFixed(1), '');

  const ready = path.join(root, 'ready');
  run(ours, 'git', 'worktree', 'add', '--detach', ready);
  const [startAgain, again] = inTurn(count, node, () => {
    run(ready, 'git', 'coppice', 'up');
  });
  row('git coppice up in a worktree that is ready : node -e 0', (again / startAgain).toFixed(2), '');

  fs.writeFileSync(path.join(ours, 'worktree.config.yaml'), 'steps: { hang: "sleep 1000 & sleep 1000" }\n');
  run(ours, 'git', 'commit', '-qam', 'hang');
  run(ours, 'git', 'config', 'coppice.trust', 'all');
  const times = [];
  for (let index = 0; index < Math.ceil(10 / fewer); index += 1) {
    const worktree = path.join(root, `hang-${index}`);
    const child = spawn('setsid', ['git', 'worktree', 'add', '--detach', worktree], { cwd: ours, env, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('close', resolve));
    const sleeping = () => spawnSync('pgrep', ['-f', '-c', `sleep 1000`], { encoding: 'utf8' }).stdout.trim() !== '0';
    while (!sleeping()) await new Promise((resolve) => setTimeout(resolve, 5));
    const start = Date.now();
    process.kill(-child.pid, 'SIGINT');
    await ended;
    while (sleeping()) await new Promise((resolve) => setTimeout(resolve, 5));
    times.push(Date.now() - start);
  }
  row('Ctrl-C in a step until all that was started has ended, ms', String(median(times)), 'at most 1000');

  await benchConfigs({ root, row, fewer });
  benchModel({ row, fewer });
  await benchPostgres({ root, env, cli, inTurn, row, fewer });
} finally {
  fs.rmSync(root, { recursive: true, force: true });
}
