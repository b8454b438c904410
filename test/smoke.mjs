// The main job with the Node that runs this file: packs nothing and needs no test runner, so that it runs on every Node.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const cli = path.resolve(import.meta.dirname, '../dist/cli.cjs');
const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-smoke-')));
const env = {
  PATH: process.env.PATH,
  HOME: root,
  COPPICE_STATE_DIR: path.join(root, 'state'),
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 's',
  GIT_AUTHOR_EMAIL: 's@example.invalid',
  GIT_COMMITTER_NAME: 's',
  GIT_COMMITTER_EMAIL: 's@example.invalid',
};
const run = (cwd, command, ...args) => execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

try {
  const main = path.join(root, 'main');
  fs.mkdirSync(main);
  run(main, 'git', 'init', '-q', '-b', 'main');
  fs.writeFileSync(
    path.join(main, 'worktree.config.yaml'),
    'resources: { PORT: 25100, DATABASE_URL: { type: sqlite, from: dev.db } }\nenv: { URL: "http://localhost:{{PORT}}" }\nfiles: { .env: merge }\nsteps: { one: echo "$URL" > one.txt }\n',
  );
  fs.writeFileSync(path.join(main, '.gitignore'), '.env\n*.db\none.txt\n');
  run(main, 'git', 'add', '-A');
  run(main, 'git', 'commit', '-qm', 'one');
  fs.writeFileSync(path.join(main, '.env'), 'PORT=25100\n');
  run(main, 'sqlite3', 'dev.db', 'pragma journal_mode = wal; create table t(a); insert into t values (7)');
  run(main, process.execPath, cli, 'install');
  // Twice: the second starts with the compiled code that the first has kept.
  for (const [index, name] of ['a', 'b'].entries()) {
    run(main, 'git', 'worktree', 'add', `../${name}`, '-b', name);
    const worktree = path.join(root, name);
    const port = 25_100 + 10 * (index + 1);
    assert.match(fs.readFileSync(path.join(worktree, '.env'), 'utf8'), new RegExp(`^PORT=${port}$`, 'm'));
    assert.equal(fs.readFileSync(path.join(worktree, 'one.txt'), 'utf8'), `http://localhost:${port}\n`);
    assert.equal(run(worktree, 'sqlite3', 'dev.db', 'select a from t'), '7\n');
    assert.equal(run(worktree, 'git', 'status', '--porcelain'), '');
  }
  const { worktrees } = JSON.parse(run(main, 'git', 'coppice', 'status', '--json'));
  assert.deepEqual(
    worktrees.map(({ state }) => state),
    ['ready', 'ready'],
  );
  assert.ok(
    fs.readdirSync(main).every((name) => !/-(wal|shm|journal)$/.test(name)),
    'nothing is left beside the database of the main worktree',
  );
  run(main, 'git', 'worktree', 'remove', '../a');
  run(main, 'git', 'coppice', 'gc');
  console.log(`Node ${process.version}: two worktrees set up, one given back`);
} finally {
  fs.rmSync(root, { recursive: true, force: true });
}
