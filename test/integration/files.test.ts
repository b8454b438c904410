import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeWorld, read, type World, writeFiles } from '../fixtures/world.ts';

async function add(world: World, files: Record<string, string>, ignored: Record<string, string>) {
  const main = await world.repository('shop', files, ignored);
  const added = await world.run(main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  return { main, added, worktree: path.join(world.root, 'a') };
}

/** Every path below a folder with what it holds: to see that nothing of it changed. */
function snapshot(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('.git/') && name !== '.git')
    .sort()
    .map((name) => {
      const stat = fs.lstatSync(path.join(folder, name));
      return `${name} ${stat.mode} ${stat.mtimeMs} ${stat.isFile() ? read(folder, name) : ''}`;
    });
}

const SOURCE = `# settings of the main worktree
PORT=24700
API_URL=http://localhost:24700/x
WS=ws://127.0.0.1:24700
TIMEOUT=24700
KEY="-----BEGIN
line
-----END"
export A=1
`;

test("the main worktree's .env comes over byte for byte, but for what points at the main worktree", async () => {
  const world = makeWorld();
  const { added, worktree, main } = await add(
    world,
    {
      'worktree.config.yaml': 'resources: { PORT: 24700 }\nfiles: { .env: merge }\n',
      '.gitignore': '.env\n',
      '.env.development': 'PORT=24700\nREDIS_URL=redis://:secret@localhost:6379/0\n',
    },
    { '.env': SOURCE },
  );
  expect(added.code, added.stderr).toBe(0);
  expect(read(worktree, '.env')).toBe(
    SOURCE.replace('PORT=24700', 'PORT=24710').replace('localhost:24700', 'localhost:24710').replace('127.0.0.1:24700', '127.0.0.1:24710'),
  );
  expect(added.stderr).toContain('still shared: PORT in .env.development (24700)');
  expect(added.stderr).toContain('still shared: REDIS_URL in .env.development');
  expect(added.stderr).not.toContain('secret');
  expect(read(main, '.env')).toBe(SOURCE);
  const [status] = JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees;
  expect(status.warnings.length).toBe(2);
});

test('every action puts its file there, private, ignored by git, and leaves the main worktree alone', async () => {
  const world = makeWorld();
  const config = `resources: { PORT: 24700 }
files:
  .env: merge
  apps/web/.env: { action: merge, from: apps/web/.env.example, set: { PORT: "{{PORT}}" } }
  shell.env: { action: env, format: export }
  "certs/*.pem": copy
  storage: copy
  models: link
  note.md: { template: note.hbs }
  short.txt: { text: "{{upper slug}} {{main.env.KEY}} {{envfile '.env' 'KEY'}}", mode: "640" }
  missing.txt: copy
`;
  const { added, worktree, main } = await add(
    world,
    {
      'worktree.config.yaml': config,
      '.gitignore': '.env\nmodels/\n',
      'apps/web/.env.example': 'PORT=24700\nOTHER=http://localhost:24700\n',
      'note.hbs': '{{path}} {{main.path}}\n',
      'storage/.gitkeep': '',
    },
    { '.env': 'KEY=k\n', 'certs/a.pem': 'A', 'certs/b.pem': 'B', 'certs/c.txt': 'C', 'storage/data/x': 'X', 'models/big': 'M' },
  );
  const before = snapshot(main);
  expect(added.code, added.stderr).toBe(0);
  expect(read(worktree, 'apps/web/.env')).toBe('PORT=24710\nOTHER=http://localhost:24710\n');
  expect(read(worktree, 'shell.env')).toContain('export PORT=24710\n');
  expect(fs.readdirSync(path.join(worktree, 'certs')).sort()).toEqual(['a.pem', 'b.pem']);
  expect(read(worktree, 'storage/data/x')).toBe('X');
  expect(fs.readlinkSync(path.join(worktree, 'models'))).toBe(path.join(main, 'models'));
  expect(read(worktree, 'note.md')).toBe(`${worktree} ${main}\n`);
  expect(read(worktree, 'short.txt')).toBe('A k k');
  expect(added.stderr).toContain('missing.txt: the main worktree has no missing.txt');
  const modes = ['.env', 'apps/web/.env', 'shell.env', 'note.md', 'short.txt'].map((name) =>
    (fs.statSync(path.join(worktree, name)).mode & 0o777).toString(8),
  );
  expect(modes).toEqual(['600', '600', '600', '600', '640']);
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(read(worktree, '.env')).toBe('KEY=k\n');
  expect(fs.existsSync(path.join(worktree, 'shell.env'))).toBe(false);
  expect(snapshot(main)).toEqual(before);
  expect((await world.run(main, 'git', ['worktree', 'remove', '../a'])).code).toBe(0);
  expect(snapshot(main)).toEqual(before);
});

test('without `files`, every git-ignored .env* of the main worktree is merged, and .env made when there is none', async () => {
  const world = makeWorld();
  const some = await add(
    world,
    { 'worktree.config.yaml': 'resources: { PORT: 24700 }\n', '.gitignore': '.env*\n!.env.example\n', '.env.example': 'PORT=1\n' },
    { '.env': 'PORT=24700\n', '.env.local': 'URL=http://localhost:24700\n' },
  );
  expect([read(some.worktree, '.env'), read(some.worktree, '.env.example')]).toEqual(['PORT=24710\n', 'PORT=1\n']);
  expect(read(some.worktree, '.env.local')).toMatch(/^URL=http:\/\/localhost:24710\n/);
  const bare = await world.repository('bare', { 'worktree.config.yaml': 'resources: { PORT: 24720 }\n' });
  const added = await world.run(bare, 'git', ['worktree', 'add', '../b', '-b', 'b']);
  expect([added.code, added.stderr]).toEqual([0, expect.not.stringContaining('!')]);
  expect(read(world.root, 'b/.env')).toContain('PORT=24730\n');
});

test('.worktreeinclude copies what it matches and git ignores, and nothing else', async () => {
  const world = makeWorld();
  const { worktree, added } = await add(
    world,
    {
      'worktree.config.yaml': 'files: {}\n',
      '.worktreeinclude': '*.secret\nconfig/\n!no.secret\n',
      '.gitignore': '*.secret\nconfig/local.json\n',
    },
    { 'a.secret': 'A', 'no.secret': 'N', 'deep/b.secret': 'B', 'config/local.json': '{}', 'config/untracked.json': '{}' },
  );
  expect(added.code, added.stderr).toBe(0);
  expect(
    fs
      .readdirSync(worktree, { recursive: true, encoding: 'utf8' })
      .filter((name) => !name.startsWith('.'))
      .sort(),
  ).toEqual(['a.secret', 'config', 'config/local.json', 'deep', 'deep/b.secret', 'worktree.config.yaml']);
});

test('a file that git tracks is never written over', async () => {
  const world = makeWorld();
  const { worktree, added, main } = await add(
    world,
    {
      'worktree.config.yaml':
        'resources: { PORT: 24700, DB: { type: sqlite, from: dev.db } }\nfiles: { .env: merge, t.md: { text: new }, "*.pem": copy }\n',
      '.env': 'PORT=24700\n',
      't.md': 'old',
      'a.pem': 'old',
      'dev.db': 'tracked',
    },
    {},
  );
  expect(added.code, added.stderr).toBe(0);
  expect(added.stderr).toContain('still shared: PORT in .env (24700)');
  expect(['.env', 't.md', 'a.pem', 'dev.db'].map((name) => read(worktree, name))).toEqual(['PORT=24700\n', 'old', 'old', 'tracked']);
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(read(worktree, 'dev.db')).toBe('tracked');
  expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
  expect(await world.git(main, 'status', '--porcelain')).toBe('');
});

test('an env file of the branch that is too large to be one is said, and not read', async () => {
  const world = makeWorld();
  const large = `${'# a line of a data file that is called as an env file\n'.repeat(20_000)}REDIS_URL=redis://localhost:6379\n`;
  const { added } = await add(world, { 'worktree.config.yaml': 'resources: { PORT: 24700 }\n', '.env.large': large }, {});
  expect(added.code, added.stderr).toBe(0);
  expect(added.stderr).toMatch(/not looked at: .*\.env\.large is \d+ bytes long/);
  expect(added.stderr).not.toContain('REDIS_URL');
});

describe('a committed symbolic link', () => {
  const outputs: Record<string, { config: string; link: string }> = {
    'at a merged file': { config: 'files: { .env: merge }\n', link: '.env' },
    'at an env file': { config: 'files: { x.env: env }\n', link: 'x.env' },
    'at a template': { config: 'files: { x.md: { text: secret } }\n', link: 'x.md' },
    'in a parent of a template': { config: 'files: { dir/x.md: { text: secret } }\n', link: 'dir' },
    'in a parent of a copy': { config: 'files: { dir/secret.pem: copy }\n', link: 'dir' },
    'in a parent of a glob': { config: 'files: { "**/*.pem": copy }\n', link: 'dir' },
    'in a parent of a link': { config: 'files: { dir/secret.pem: link }\n', link: 'dir' },
    'in a parent of a database': { config: 'resources: { DB: { type: sqlite, from: dir/dev.db } }\n', link: 'dir' },
    'in a parent of a database file': { config: 'files: { dir/dev.db: sqlite }\n', link: 'dir' },
  };

  test.for(Object.keys(outputs))('%s lets nothing out of the worktree', async (kind) => {
    const world = makeWorld();
    const { config = '', link = '' } = outputs[kind] ?? {};
    const main = await world.repository(
      'shop',
      {
        'worktree.config.yaml': `${config.includes('resources') ? '' : 'resources: { PORT: 24700 }\n'}${config}`,
        '.gitignore': '/.env\n/dir\n',
      },
      { '.env': 'PORT=24700\nSECRET=s\n', 'dir/secret.pem': 's' },
    );
    await world.run(main, 'sqlite3', ['dir/dev.db', 'create table t(a)']);
    const outside = path.join(world.root, 'outside');
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, 'file'), 'mine\n');
    // The hostile branch carries the link; the main worktree does not.
    const target = link.includes('.') ? path.join(outside, 'file') : outside;
    const blob = (await world.run(main, 'git', ['hash-object', '-w', '--stdin'], { input: target })).stdout.trim();
    await world.git(main, 'update-index', '--add', '--cacheinfo', `120000,${blob},${link}`);
    const tree = (await world.git(main, 'write-tree')).trim();
    const commit = (await world.git(main, 'commit-tree', tree, '-p', 'HEAD', '-m', 'hostile')).trim();
    await world.git(main, 'reset', '-q');
    const before = snapshot(outside);
    await world.run(main, 'git', ['worktree', 'add', '../h', '-b', 'hostile', commit]);
    expect(fs.lstatSync(path.join(world.root, 'h', link)).isSymbolicLink()).toBe(true);
    await world.coppice(path.join(world.root, 'h'), 'up');
    await world.coppice(path.join(world.root, 'h'), 'down');
    expect(snapshot(outside)).toEqual(before);
  });
});

test('a value that env files cannot hold is refused, and the file is not written', async () => {
  const world = makeWorld();
  const { added, worktree } = await add(world, { 'worktree.config.yaml': 'env: { HARD: "a$b" }\nfiles: { .env: merge }\n' }, {});
  expect(added.code).toBe(1);
  expect(added.stderr).toContain('the value of HARD cannot be written so that every reader');
  expect(fs.existsSync(path.join(worktree, '.env'))).toBe(false);
});

test('up brings in what changed in the source, and an edit made here wins with a warning', async () => {
  const world = makeWorld();
  const { main, worktree } = await add(
    world,
    { 'worktree.config.yaml': 'resources: { PORT: 24700 }\nfiles: { .env: merge }\n', '.gitignore': '.env\n' },
    { '.env': 'PORT=24700\nA=1\nB=1\n' },
  );
  writeFiles(main, { '.env': 'PORT=24700\nA=2\nB=2\nC=http://localhost:24700\n' });
  writeFiles(worktree, { '.env': 'PORT=24710\nA=mine\nB=1\n' });
  const up = await world.coppice(worktree, 'up');
  expect([up.code, up.stderr]).toEqual([0, expect.stringContaining('A in .env was edited')]);
  expect(read(worktree, '.env')).toBe('PORT=24710\nA=mine\nB=2\nC=http://localhost:24710\n');
});

test('nothing that was copied is ever readable by others before it has its mode', async () => {
  const world = makeWorld();
  const main = await world.repository(
    'shop',
    {
      'worktree.config.yaml': 'resources: { DB: { type: sqlite, from: dev.db } }\nfiles: { .env: merge, key.pem: copy, "*.db3": sqlite }\n',
      '.gitignore': '.env\n*.pem\n*.db*\n',
    },
    { '.env': 'S=1\n', 'key.pem': 'k' },
  );
  await world.run(main, 'sqlite3', ['dev.db', 'create table t(a)']);
  await world.run(main, 'sqlite3', ['x.db3', 'create table t(a)']);
  fs.chmodSync(path.join(main, 'key.pem'), 0o600);
  const traced = await world.run(main, 'sh', ['-c', 'umask 000; git worktree add ../a -b a']);
  expect(traced.code, traced.stderr).toBe(0);
  for (const name of ['.env', 'key.pem', 'dev.db', 'x.db3'])
    expect((fs.statSync(path.join(world.root, 'a', name)).mode & 0o777).toString(8), name).toBe('600');
});
