import fs from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type Cell, matrixPage, RESULTS } from '../../scripts/matrix.ts';
import { bothGits } from '../fixtures/gits.ts';
import { commit, KINDS, type Kind, repositoryOf } from '../fixtures/hook-managers.ts';
import { makeWorld, read, type World } from '../fixtures/world.ts';

const FILES = {
  'worktree.config.yaml': 'resources: { PORT: 24300 }\nsteps:\n  once: echo ran >> once.log\n',
  '.gitignore': '.env\n*.log\nnode_modules\n',
  'sub/file': '',
};
const gits = bothGits();
const cells: Cell[] = [];

const rows = KINDS.flatMap((kind) => (['before', 'since'] as const).map((when) => ({ name: kind.name, kind, when, git: gits[when] })));

test.concurrent.for(rows)('$name, git $git.version', { timeout: 240_000 }, async ({ kind, git, when }) => {
  const world = makeWorld();
  world.env.PATH = `${git.bin}:${world.env.PATH}`;
  const main = await repositoryOf(world, kind, FILES);
  await install(world, main);
  await commit(world, main);
  const record = async (situation: string, cwd: string, name: string, ...more: string[]) => {
    const worktree = path.join(path.dirname(cwd === world.root ? main : cwd), name);
    cells.push({ manager: kind.name, git: when, situation, result: await add(world, cwd, worktree, main, more) });
    return worktree;
  };
  const a = await record('the main worktree', main, 'a');
  const b = await record('a linked worktree without node_modules', a, 'b');
  await record('a worktree made by that one', b, 'c');
  await record('a subdirectory', path.join(main, 'sub'), '../d');
  await record('git -C', world.root, 'e', '-C', main);
  const bare = await bareLayout(world, kind, main);
  await record('a bare repository', bare, 'f');
  expect(cells.filter(({ manager, git, result }) => manager === kind.name && git === when && result !== 'ready')).toEqual([]);
});

afterAll(() => {
  if (cells.length < rows.length * 6) return;
  fs.mkdirSync(path.dirname(RESULTS), { recursive: true });
  fs.writeFileSync(RESULTS, JSON.stringify({ versions: { before: gits.before.version, since: gits.since.version }, cells }, null, 2));
  expect(read('docs/matrix.md').replace(/^Measured .*$/m, ''), 'docs/matrix.md is stale: `npm run matrix` writes it').toBe(
    matrixPage().replace(/^Measured .*$/m, ''),
  );
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
  const said = JSON.parse(doctor.stdout).results.filter(({ level, mend }: { level: string; mend: string | null }) => level === 'problem' && mend);
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
