import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeWorld, read } from '../fixtures/world.ts';

const CONFIG = `resources:
  PORT: 24030
  VITE_PORT: 24035
  DATABASE_URL: sqlite
files:
  .env: merge
  WORKTREE.md: { template: .worktree/note.hbs }
steps:
  first: echo "$PORT" > first.txt
  second: test "$(cat first.txt)" = "$PORT"
`;

test('plain git worktree add ends with a worktree that runs', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': CONFIG, '.worktree/note.hbs': '{{slug}} on {{PORT}}\n', '.gitignore': '.env\n*.txt\n' },
    { '.env': 'PORT=24030\nDATABASE_URL=file:./dev.db\nSECRET=s3\n' },
  );
  execFileSync('sqlite3', [path.join(main, 'dev.db'), 'create table t(a); insert into t values (42)']);

  const added = await world.run(main, 'git', ['worktree', 'add', '../x', '-b', 'x']);
  expect(added.code, added.stderr).toBe(0);

  const worktree = path.join(world.root, 'x');
  expect(read(worktree, '.env')).toContain('PORT=24040\n');
  expect(read(worktree, '.env')).toContain('SECRET=s3\n');
  expect(read(worktree, 'WORKTREE.md')).toBe('x on 24040\n');
  expect(read(worktree, 'first.txt')).toBe('24040\n');
  expect(execFileSync('sqlite3', [path.join(worktree, 'dev.db'), 'select a from t'], { encoding: 'utf8' })).toBe('42\n');
  expect(fs.statSync(path.join(worktree, '.env')).mode & 0o777).toBe(0o600);
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');

  const status = await world.coppice(main, 'status', '--json');
  expect(JSON.parse(status.stdout)).toMatchObject({ version: 1, worktrees: [{ branch: 'x', state: 'ready', slot: 1, path: worktree }] });
});
