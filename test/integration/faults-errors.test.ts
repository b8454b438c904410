import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ALL_FAULTS, at, faultCases, type Point } from '../fixtures/fault-cases.ts';
import { expectSentence } from '../fixtures/fault-checks.ts';
import { bounded, VERBS } from '../fixtures/fault-shop.ts';
import { type Fault, fault } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { CLI, makeWorld, read } from '../fixtures/world.ts';

const { points, everywhere } = faultCases();

/** What a full disk refuses, from then on. */
const NEEDS_SPACE = /^(create|write|mkdir|link|symlink|copyFile|writeFile|appendFile|mkdtemp|fsync|fdatasync) /;

function errorsOf({ name }: Point): string[] {
  if (name.startsWith('start ')) return ['EAGAIN', 'ENOMEM'];
  return NEEDS_SPACE.test(name) ? ['ENOSPC', 'EACCES', 'EIO'] : ['EACCES', 'EIO'];
}

/** All errors of every point; or of each change, and of each look of another name, one in turn. */
function faultsOf(point: Point, index: number): Fault[] {
  const errors = errorsOf(point);
  const chosen = errors.filter((_, which) => ALL_FAULTS || ((point.changes || point.nth === 1) && which === index % errors.length));
  return chosen.map((how) => ({ ...at(point, how), ...(how === 'ENOSPC' && { onwards: NEEDS_SPACE.source }) }));
}

test.for(VERBS)(
  '%s, of which any file cannot be read or written, or any program not be started: a sentence, and then up or gc makes all right',
  { timeout: ALL_FAULTS ? 7_200_000 : 900_000 },
  async (verb) => {
    const faults = (await points(verb)).flatMap(faultsOf);
    expect(faults.length).toBeGreaterThan(30);
    await everywhere(verb, faults);
  },
);

test('what cannot be looked at is not missing: a locked worktree is left alone, and no repository is forgotten', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', { 'worktree.config.yaml': 'resources: { PORT: 24000 }\n', '.gitignore': '.env\n' });
  const worktree = path.join(world.root, 'x');
  await world.git(main, 'worktree', 'add', '../x', '-b', 'x');
  await world.git(main, 'worktree', 'lock', '../x');
  const before = records(world);
  const unseen = (at: string) => fault({ at, nth: 1, how: 'EIO' });
  const down = await bounded(world, worktree, process.execPath, [CLI, 'down'], unseen('x/locked$'));
  const forget = await bounded(world, world.root, process.execPath, [CLI, 'gc', '--forget', main], unseen('^(stat|exists) shop/\\.git$'));
  for (const result of [down, forget]) expectSentence(result, result.stderr);
  expect([down.code, forget.code, records(world)]).toEqual([1, 1, before]);
});

test('a step that cannot be written down never begins, and nothing waits for it', async () => {
  const world = makeWorld();
  const config = 'resources: { PORT: 24000 }\nsteps: { once: echo ran >> once.log }\n';
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n*.log\n' });
  const fired = path.join(world.root, 'fired');
  for (let nth = 1, happened = true; happened; nth += 1) {
    const worktree = path.join(world.root, `x${nth}`);
    const env = fault({ at: '^write record/journal$', nth, how: 'EIO', fired });
    const added = await bounded(world, main, 'git', ['worktree', 'add', '--detach', worktree], env);
    happened = fs.existsSync(fired);
    fs.rmSync(fired, { force: true });
    expectSentence(added, added.stderr);
    expect(added.code, added.stderr).toBe(happened ? 1 : 0);
    const up = await world.coppice(worktree, 'up');
    expect(up.code, up.stderr).toBe(0);
    expect(read(worktree, 'once.log')).toMatch(/^(ran\n){1,2}$/);
    if (!happened) expect(nth).toBeGreaterThan(8);
  }
});
