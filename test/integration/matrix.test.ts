import fs from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { bothGits } from '../fixtures/gits.ts';
import { commit, KINDS, type Kind, repositoryOf } from '../fixtures/hook-managers.ts';
import { type Cell, matrixPage } from '../fixtures/matrix-page.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

const FILES = {
  'worktree.config.yaml': 'resources: { PORT: 24300 }\nsteps:\n  once: echo ran >> once.log\n',
  '.gitignore': '.env\n*.log\nnode_modules\n',
  'sub/file': '',
};
const SITUATIONS: [string, string, string, string, string, string] = [
  'the main worktree',
  'a linked worktree without node_modules',
  'a worktree made by that one',
  'a subdirectory',
  'anywhere, with `git -C`',
  'a bare repository',
];
const gits = bothGits();
const cells: Cell[] = [];

const rows = KINDS.flatMap((kind) => (['before', 'since'] as const).map((when) => ({ name: kind.name, kind, when, git: gits[when] })));

test.concurrent.for(rows)('$name, git $git.version', async ({ kind, git, when }, { onTestFinished }) => {
  const world = makeWorld(onTestFinished);
  world.env.PATH = `${git.bin}:${world.env.PATH}`;
  const main = await repositoryOf(world, kind, FILES);
  await install(world, main);
  await commit(world, main);
  const record = async (situation: string, cwd: string, name: string, ...more: string[]) => {
    const worktree = path.join(path.dirname(cwd === world.root ? main : cwd), name);
    cells.push({ manager: kind.name, git: when, situation, result: await add(world, cwd, worktree, main, more) });
    return worktree;
  };
  const [inMain, inLinked, inInner, inSub, withC, inBare] = SITUATIONS;
  const a = await record(inMain, main, 'a');
  const b = await record(inLinked, a, 'b');
  await record(inInner, b, 'c');
  await record(inSub, path.join(main, 'sub'), '../d');
  await record(withC, world.root, 'e', '-C', main);
  await record(inBare, await bareLayout(world, kind, main), 'f');
});

// A run of all the tests compares the page with what they found; `npm run matrix` writes it.
afterAll(() => {
  if (cells.length < rows.length * SITUATIONS.length) return;
  const names = KINDS.map(({ name }) => name);
  const page = matrixPage(cells, { before: gits.before.version, since: gits.since.version }, names, SITUATIONS);
  if (process.env.MATRIX_PAGE === 'write') fs.writeFileSync('docs/matrix.md', page);
  const withoutVersions = (text: string) => text.replace(/^Measured .*$/m, '');
  expect(withoutVersions(read('docs/matrix.md')), 'docs/matrix.md is stale: `npm run matrix` writes it').toBe(withoutVersions(page));
});

async function install(world: World, cwd: string): Promise<void> {
  const installed = await world.coppice(cwd, 'install');
  expect(installed.code, installed.stderr).toBe(0);
}

/** Adds a worktree with plain git. @returns what it came to; a `cannot` is one that `doctor` reports */
async function add(world: World, cwd: string, worktree: string, main: string, more: string[]): Promise<Cell['result']> {
  const added = await world.run(cwd, 'git', [...more, 'worktree', 'add', worktree, '-b', path.basename(worktree)]);
  const log = path.join(worktree, 'once.log');
  const ran = fs.existsSync(log) ? read(log) : '';
  if (added.code === 0 && ran === 'ran\n') {
    expect(await world.git(worktree, 'status', '--porcelain')).toBe('');
    return 'ready';
  }
  const doctor = await world.coppice(main, 'doctor', '--json');
  const said = JSON.parse(doctor.stdout).results.filter(
    ({ level, mend }: { level: string; mend: string | null }) => level === 'problem' && mend,
  );
  expect(ran, added.stderr + doctor.stdout).toBe('');
  expect([added.code, said.length > 0], added.stderr + doctor.stdout).toEqual([0, true]);
  return 'cannot';
}

/** A clone in the bare layout, with the manager's own install and coppice's in its main worktree. */
async function bareLayout(world: World, kind: Kind, origin: string): Promise<string> {
  const bare = path.join(world.root, 'bare/.bare');
  await world.git(world.root, 'clone', '-q', '--bare', origin, bare);
  const main = path.join(world.root, 'bare/main');
  await world.git(bare, '-c', 'core.hooksPath=/dev/null', 'worktree', 'add', main, 'main');
  await kind.install(world, main);
  await install(world, main);
  return bare;
}
