import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openJournal, readJournal } from '../../src/ledger/journal.ts';
import { tryOwn } from '../../src/ledger/owner.ts';
import { readRepositoryId, worktreeFolder } from '../../src/ledger/repositories.ts';
import { openStateDir } from '../../src/ledger/state-dir.ts';
import { openReporter } from '../../src/report/reporter.ts';
import type { ResourceType } from '../../src/resources/resource.ts';
import { resourceType } from '../../src/resources/table.ts';
import { destroyVanished, findVanished, releaseVanished } from '../../src/vanished.ts';
import { heldPorts, records } from '../fixtures/ledger.ts';
import { CLI, isAlive, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

const CONFIG = 'resources: { PORT: 24100 }\n';

async function shop(world: World): Promise<string> {
  return world.repository('shop', { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n' }, { '.env': 'PORT=24100\n' });
}

/**
 * A resource that holds data outside the worktree, as a database server's does: a file in a folder of the test.
 */
function fileOutside(folder: string): (name: string) => ResourceType {
  const type: ResourceType = {
    parts: [],
    filledBySteps: true,
    outside: 'data',
    resolve: () => {
      throw new Error('not resolved here');
    },
    intact: () => Promise.resolve(true),
    create: () => Promise.reject(new Error('not created here')),
    destroy({ file }) {
      fs.rmSync(path.join(folder, file ?? ''), { force: true });
      return Promise.resolve();
    },
  };
  return (name) => (name === 'outside' ? (type as unknown as ResourceType) : resourceType(name));
}

/** Records that a worktree has made a file outside, kept for a day, and makes it. */
function giveOutsideFile(world: World, commonDir: string, branch: string, folder: string): void {
  const state = openStateDir(world.env);
  const record = records(world).find((candidate) => candidate.branch === branch);
  if (!record) throw new Error(`no record of ${branch}`);
  const ledger = worktreeFolder(state, readRepositoryId(commonDir) ?? '', record.id);
  const attempt = tryOwn(ledger, 'test');
  if (!('held' in attempt)) throw new Error('the record is held');
  const journal = openJournal(ledger, record.id, record.repository);
  journal.append({ event: 'plan', project: 'shop', url: null, keepMs: 86_400_000, teardown: [], steps: [] });
  journal.append({ event: 'resource', name: 'DB', resource: { type: 'outside', state: 'ready', made: { file: branch } } });
  fs.writeFileSync(path.join(folder, branch), 'data');
  journal.close();
  attempt.held.release();
}

test('after git worktree remove, the next git worktree add gives the ports back at once', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'remove', '../a');
  expect(heldPorts(world)).toEqual([24_110]);
  await world.git(main, 'worktree', 'add', '../b', '-b', 'b');
  expect(records(world)).toMatchObject([{ branch: 'b', slot: 1 }]);
  expect(heldPorts(world)).toEqual([24_110]);
});

test('gc gives back what a removed worktree held, and says what', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'remove', '../a');
  const dry = await world.coppice(main, 'gc', '--dry-run');
  expect(dry.stderr).toContain('would give back 24110');
  expect(heldPorts(world)).toEqual([24_110]);
  const real = await world.coppice(main, 'gc');
  expect([real.code, real.stderr]).toEqual([0, expect.stringContaining('gave back 24110')]);
  expect([heldPorts(world), records(world)]).toEqual([[], []]);
  expect((await world.coppice(main, 'gc')).stderr).toContain('nothing to give back');
});

test('rm -rf of the folder alone gives nothing back until git prunes it', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  fs.rmSync(path.join(world.root, 'a'), { recursive: true });
  await world.coppice(main, 'gc');
  await world.git(main, 'worktree', 'add', '../b', '-b', 'b');
  expect(heldPorts(world)).toEqual([24_110, 24_120]);
  await world.git(main, 'worktree', 'prune', '--expire', 'now');
  await world.coppice(main, 'gc');
  expect(heldPorts(world)).toEqual([24_120]);
});

test('data of a vanished worktree is kept for `keep:`, its ports are not; gc typed by a person does not wait', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const commonDir = path.join(main, '.git');
  const outside = path.join(world.root, 'outside');
  fs.mkdirSync(outside);
  const types = fileOutside(outside);
  for (const name of ['a', 'b']) {
    await world.git(main, 'worktree', 'add', `../${name}`, '-b', name);
    giveOutsideFile(world, commonDir, name, outside);
  }
  // One is removed; the other's folder is moved by hand and pruned, which looks just the same.
  await world.git(main, 'worktree', 'remove', '../a');
  fs.renameSync(path.join(world.root, 'b'), path.join(world.root, 'moved'));
  await world.git(main, 'worktree', 'prune', '--expire', 'now');
  const where = { state: openStateDir(world.env), commonDir, repository: readRepositoryId(commonDir) ?? '' };

  releaseVanished(where, types);
  releaseVanished(where, types);
  expect(heldPorts(world)).toEqual([]);
  expect(fs.readdirSync(outside).sort()).toEqual(['a', 'b']);
  const vanished = findVanished(where, types);
  expect(vanished.map(({ keptUntil, record }) => [record.branch, Math.round(((keptUntil ?? 0) - Date.now()) / 3_600_000)]).sort()).toEqual([
    ['a', 24],
    ['b', 24],
  ]);

  const report = await openReporter();
  for (const { id } of vanished) expect(await destroyVanished(where, id, { report, types })).toBe('done');
  expect(fs.readdirSync(outside)).toEqual([]);
  expect(records(world)).toEqual([]);
});

test('a folder moved by hand and pruned keeps its database', async () => {
  const world = makeWorld();
  const main = await world.repository('shop', {
    'worktree.config.yaml': 'resources: { DB: { type: sqlite, from: dev.db } }\n',
    '.gitignore': '*.db\n.env\n',
  });
  await world.run(main, 'sqlite3', ['dev.db', 'create table t(a); insert into t values (1)']);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  fs.renameSync(path.join(world.root, 'a'), path.join(world.root, 'moved'));
  await world.git(main, 'worktree', 'prune', '--expire', 'now');
  await world.git(main, 'worktree', 'add', '../a', '-b', 'b');
  await world.coppice(main, 'gc');
  const rows = await world.run(path.join(world.root, 'moved'), 'sqlite3', ['dev.db', 'select a from t']);
  expect(rows.stdout).toBe('1\n');
  // The new worktree stands where the old one stood, and its database is its own.
  expect(fs.existsSync(path.join(world.root, 'a', 'dev.db'))).toBe(true);
});

test('a locked worktree on a disk that is not there loses nothing, and down refuses a locked one', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '--lock', '../a', '-b', 'a');
  const down = await world.coppice(main, 'down', 'a');
  expect([down.code, down.stderr]).toEqual([1, expect.stringContaining('is locked')]);
  expect((await world.coppice(main, 'remove', 'a')).code).toBe(1);
  fs.renameSync(path.join(world.root, 'a'), path.join(world.root, 'elsewhere'));
  await world.git(main, 'worktree', 'prune', '--expire', 'now');
  await world.coppice(main, 'gc');
  expect(heldPorts(world)).toEqual([24_110]);
});

test('a common directory that is missing, and a git that fails, destroy nothing', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'remove', '../a');
  fs.renameSync(main, `${main}-unmounted`);
  const unmounted = await world.coppice(world.root, 'gc', '--all');
  expect(unmounted.stderr).toContain('not mounted');
  expect(heldPorts(world)).toEqual([24_110]);
  fs.renameSync(`${main}-unmounted`, main);

  const fake = path.join(world.root, 'bin');
  writeFiles(fake, { git: '#!/bin/sh\necho "fatal: disk error" >&2\nexit 128\n' });
  fs.chmodSync(path.join(fake, 'git'), 0o755);
  const failing = await world.run(main, process.execPath, [CLI, 'gc', '--all'], {
    env: { PATH: `${fake}:${world.env.PATH}` },
  });
  expect([failing.code, failing.stderr]).toEqual([1, expect.stringContaining('nothing of it is touched')]);
  expect(heldPorts(world)).toEqual([24_110]);

  // The folder of git's records about worktrees, unreadable: a file stands in its place.
  fs.mkdirSync(path.join(main, '.git/worktrees'), { recursive: true });
  fs.renameSync(path.join(main, '.git/worktrees'), path.join(main, '.git/worktrees-away'));
  fs.writeFileSync(path.join(main, '.git/worktrees'), '');
  await world.coppice(main, 'gc');
  expect(heldPorts(world)).toEqual([24_110]);
});

test('a repository that is gone for good can be forgotten, one that is there cannot', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const refused = await world.coppice(world.root, 'gc', '--forget', path.join(main, '.git'));
  expect(refused.code).toBe(2);
  fs.rmSync(main, { recursive: true });
  const forgotten = await world.coppice(world.root, 'gc', '--forget', path.join(main, '.git'));
  expect(forgotten.code, forgotten.stderr).toBe(0);
  expect(fs.readdirSync(path.join(world.state, 'claims'))).toEqual([]);
  expect(fs.readdirSync(path.join(world.state, 'repos'))).toEqual([]);
});

test('a damaged journal or claim stops the work and is never taken for an empty one', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const [record] = records(world);
  const journal = path.join(world.state, 'repos', record?.repository ?? '', 'worktrees', record?.id ?? '', 'journal');
  const text = fs.readFileSync(journal, 'utf8');
  for (const damaged of [
    text.replace('{', ''),
    text.replace('"event":"slot"', '"event":"slot'),
    text.replace('"version":1', '"version":99'),
  ]) {
    fs.writeFileSync(journal, damaged);
    for (const verb of [['up'], ['down'], ['status']]) {
      const result = await world.coppice(path.join(world.root, 'a'), ...verb);
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/damaged, and nothing was changed|newer coppice: it needs version/);
    }
    expect(fs.readFileSync(journal, 'utf8')).toBe(damaged);
  }
  fs.writeFileSync(journal, `${text}{"event":"slo`);
  const torn = await world.coppice(path.join(world.root, 'a'), 'up');
  expect(torn.code, torn.stderr).toBe(0);
  expect(readJournal(path.dirname(journal))?.slot).toBe(1);
});

test('a step that a killed set-up left running is ended when its worktree is given back', async () => {
  const world = makeWorld();
  const config = `${CONFIG}steps: { slow: 'echo $$ > "$PIDS"; exec sleep 300' }\n`;
  const main = await world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': 'PORT=24100\n' });
  world.env.PIDS = path.join(world.root, 'pid');
  const adding = start(world, main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  await until(() => records(world)[0]?.steps.slow?.process != null && fs.existsSync(path.join(world.root, 'pid')), 'the step');
  const [owner = ''] = fs.readdirSync(world.state, { recursive: true, encoding: 'utf8' }).filter((name) => path.basename(name) === 'owner');
  process.kill((JSON.parse(read(world.state, owner)) as { pid: number }).pid, 'SIGKILL');
  await adding.ended;
  const step = Number(read(world.root, 'pid'));
  expect(fs.existsSync(`/proc/${step}`)).toBe(true);
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  await until(() => !isAlive(step), 'its end');
});

test('a worktree that cannot be given back, whatever the reason, keeps none of the others', async () => {
  const world = makeWorld();
  const main = await shop(world);
  for (const name of ['a', 'b', 'c']) await world.git(main, 'worktree', 'add', `../${name}`, '-b', name);
  const state = openStateDir(world.env);
  const record = records(world).find(({ branch }) => branch === 'b');
  const folder = worktreeFolder(state, readRepositoryId(path.join(main, '.git')) ?? '', record?.id ?? '');
  const journal = openJournal(folder, record?.id ?? '', record?.repository ?? '');
  const made = { name: 'x', shown: 'the broken one', destroy: 'true', timeout: '1m', env: '{' };
  journal.append({ event: 'resource', name: 'X', resource: { type: 'command', state: 'ready', made } });
  journal.close();
  for (const name of ['a', 'b', 'c']) await world.git(main, 'worktree', 'remove', '--force', `../${name}`);
  const gc = await world.coppice(main, 'gc');
  expect(gc.code).toBe(1);
  expect(gc.stderr).toContain('failed in a way that it should not');
  expect(records(world).map(({ branch }) => branch)).toEqual(['b']);
  const forgotten = await world.coppice(main, 'gc', '--forget', 'the broken one');
  expect(forgotten.code, forgotten.stderr).toBe(0);
  expect(records(world)).toEqual([]);
});

test('what is called alike is forgotten one by one: what was left first, and of several worktrees the one that is named', async () => {
  const world = makeWorld();
  const main = await shop(world);
  for (const name of ['a', 'b']) await world.git(main, 'worktree', 'add', `../${name}`, '-b', name);
  const made = (name: string) => ({ name, shown: 'database shop', destroy: 'true', timeout: '1m' });
  for (const { id, repository, branch } of records(world)) {
    const journal = openJournal(worktreeFolder(openStateDir(world.env), repository, id), id, repository);
    journal.append({ event: 'resource', name: 'X', resource: { type: 'command', state: 'ready', made: made('new') } });
    if (branch === 'a') journal.append({ event: 'left', left: [{ name: 'X', type: 'command', state: 'ready', made: made('old') }] });
    journal.close();
  }
  const forget = async (name: string) => world.coppice(main, 'gc', '--forget', name);
  const what = () =>
    records(world)
      .map(({ branch, left, resources }) => [branch, left.length, resources.X?.state])
      .sort();
  const both = await forget('database shop');
  expect([both.code, what()]).toEqual([
    2,
    [
      ['a', 1, 'ready'],
      ['b', 0, 'ready'],
    ],
  ]);
  const [first = ''] = [...both.stderr.matchAll(/\/a \(`git coppice gc --forget '([^']+)'`\)/g)].map(([, name]) => name);
  expect([(await forget(first)).code, what()]).toEqual([
    0,
    [
      ['a', 0, 'ready'],
      ['b', 0, 'ready'],
    ],
  ]);
  expect([(await forget(first)).code, what()]).toEqual([
    0,
    [
      ['a', 0, 'destroyed'],
      ['b', 0, 'ready'],
    ],
  ]);
  expect([(await forget('database shop')).code, what()]).toEqual([
    0,
    [
      ['a', 0, 'destroyed'],
      ['b', 0, 'destroyed'],
    ],
  ]);
});

test('a state folder that is relative, and a folder that is gone, are said in a sentence', async () => {
  const world = makeWorld();
  const main = await shop(world);
  const relative = await world.run(main, 'git', ['coppice', 'status'], { env: { COPPICE_STATE_DIR: 'state' } });
  expect([relative.code, relative.stderr]).toEqual([2, 'COPPICE_STATE_DIR is `state`: an absolute path is needed.\n']);
  const gone = await world.run(world.root, 'sh', ['-c', `mkdir x && cd x && rmdir ../x && exec "$0" "$1" up`, process.execPath, CLI]);
  expect([gone.code, gone.stderr]).toEqual([1, 'coppice: the folder that this was called in is gone.\n']);
});

test('up of a worktree whose folder was moved by hand says how to go on', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  fs.renameSync(path.join(world.root, 'a'), path.join(world.root, 'moved'));
  const up = await world.coppice(main, 'up', 'a');
  expect([up.code, up.stderr]).toEqual([1, expect.stringContaining('git worktree repair')]);
  await world.git(main, 'worktree', 'repair', path.join(world.root, 'moved'));
  expect((await world.coppice(main, 'up', 'a')).code).toBe(0);
});
