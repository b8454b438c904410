import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { freePort } from '../fixtures/servers/free-port.ts';
import { startPostgres } from '../fixtures/servers/postgres.ts';
import { makeWorld, until, type World, writeFiles } from '../fixtures/world.ts';

const server = await startPostgres();

interface Report {
  ok: boolean;
  results: { about: string; level: 'fine' | 'note' | 'problem'; text: string; mend: string | null }[];
}

async function doctor(world: World, cwd: string, ...args: string[]) {
  const { code, stdout, stderr } = await world.coppice(cwd, 'doctor', '--json', ...args);
  if (!args.includes('--fix')) expect(stderr).toBe('');
  const report = JSON.parse(stdout) as Report;
  return { code, ...report, problems: report.results.filter(({ level }) => level === 'problem') };
}

async function shop(world: World, config = 'resources: { PORT: 24600 }\n', env = 'PORT=24600\n'): Promise<string> {
  return world.repository('shop', { 'worktree.config.yaml': config, '.gitignore': '.env\n' }, { '.env': env });
}

/** A program that listens on a port, in a folder. Ended after the test. */
async function listen(cwd: string, port: number): Promise<void> {
  const script = `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('there'))`;
  const child = spawn(process.execPath, ['-e', script], { cwd, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
}

test('where all is well it says so, proves that the hook fires, and leaves nothing behind', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const refs = await world.git(main, 'for-each-ref');
  const listed = await world.git(main, 'worktree', 'list');
  const { code, results } = await doctor(world, main);
  expect(results.filter(({ level }) => level !== 'fine')).toEqual([]);
  expect(code).toBe(0);
  expect(results).toContainEqual({
    about: 'hook',
    level: 'fine',
    text: 'fires for a worktree added from the main worktree and from a',
    mend: null,
  });
  expect(results.map(({ about }) => about)).toEqual(['node', 'git', 'launcher', 'alias', 'hook', 'config', '.env', 'ports', 'a']);
  expect(await world.git(main, 'worktree', 'list')).toBe(listed);
  expect(await world.git(main, 'for-each-ref')).toBe(refs);
  expect(await world.git(main, 'status', '--porcelain')).toBe('');
  expect(records(world)).toHaveLength(1);
  const shown = await world.git(path.join(world.root, 'a'), 'coppice', 'doctor');
  expect(shown).toMatch(/✓ hook +fires/);
  expect(shown).toMatch(/all is well\n$/);
});

test('a clone without coppice, and a hook that another tool has replaced: --fix mends both', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.coppice(main, 'install', '--uninstall');
  const bare = await doctor(world, main);
  expect(bare.code).toBe(1);
  expect(bare.problems.map(({ about, mend }) => [about, mend])).toEqual([
    ['launcher', 'npx coppice install'],
    ['alias', 'npx coppice install'],
  ]);
  expect(await doctor(world, main, '--fix')).toMatchObject({ code: 0, ok: true });
  writeFiles(main, { '.git/hooks/post-checkout': '#!/bin/sh\nexit 0\n' });
  const replaced = await doctor(world, main);
  expect(replaced.problems).toMatchObject([
    { about: 'git hooks', text: expect.stringContaining('another program wrote it') },
    { about: 'hook', text: 'it does not fire for a worktree added from the main worktree' },
  ]);
  expect(await doctor(world, main, '--fix')).toMatchObject({ code: 0, ok: true });
  await world.git(main, 'config', 'core.hooksPath', '/dev/null');
  expect((await doctor(world, main)).problems).toMatchObject([
    { about: 'git hooks', mend: 'git config --unset core.hooksPath && npx coppice install' },
    { about: 'hook' },
  ]);
  const installed = await world.coppice(main, 'install');
  expect([installed.code, installed.stderr]).toEqual([0, expect.stringContaining('git config --unset core.hooksPath')]);
  expect((await world.coppice(main, 'install', '--uninstall')).code).toBe(0);
});

test('a launcher without its runner says so, and --fix writes it anew', async () => {
  const world = makeWorld();
  const main = await shop(world);
  fs.rmSync(path.join(main, '.git/coppice/runner'), { recursive: true });
  const gone = await doctor(world, main);
  expect(gone.problems).toMatchObject([{ about: 'launcher', mend: 'npx coppice install' }]);
  expect(gone.problems[0]?.text).toContain('its runner is gone');
  expect(await doctor(world, main, '--fix')).toMatchObject({ code: 0, ok: true });
});

test('each server is asked: whether it answers, knows the user, has the source and lets one make databases', async () => {
  const world = makeWorld();
  await server.sql('postgres', 'create database clinic');
  await server.sql('postgres', "create role reader login password 'p@ss-canary'");
  const config = 'resources: { DATABASE_URL: postgres }\n';
  const main = await shop(world, config, `DATABASE_URL=${server.url('clinic')}\n`);
  const about = async (url: string) => {
    writeFiles(main, { '.env': `DATABASE_URL=${url}\n` });
    const { results, code } = await doctor(world, main);
    const [found] = results.filter((result) => result.about === 'DATABASE_URL');
    expect(code).toBe(found?.level === 'problem' ? 1 : 0);
    return found?.text;
  };
  const where = `localhost:${server.port}`;
  expect(await about(server.url('clinic'))).toMatch(new RegExp(`^PostgreSQL \\d+ at ${where}, \`clinic\` can be cloned$`));
  expect(await about(server.url('nothing'))).toContain(`There is no database \`nothing\` at ${where} to clone`);
  expect(await about(server.url('clinic', 'reader'))).toContain('`reader` may not create databases');
  expect(await about(server.url('clinic').replace('canary', 'wrong'))).toMatch(/password|authentication/);
  expect(await about(server.url('clinic').replace(String(server.port), String(await freePort())))).toContain('No PostgreSQL answers');
  expect(await about('')).toContain('DATABASE_URL');
  expect((await server.databases()).filter((name) => name.includes('clinic'))).toEqual(['clinic']);
  await server.sql('postgres', 'drop database clinic');
  await server.sql('postgres', 'drop role reader');
});

test('secrets that git does not ignore, and a schema that editors do not find, are said', async () => {
  const world = makeWorld();
  const config = '# yaml-language-server: $schema=./node_modules/coppice/schema/worktree.config.schema.json\nresources: { PORT: 24600 }\n';
  const main = await world.repository('shop', { 'worktree.config.yaml': config }, { '.env': 'KEY=x\n' });
  const { results } = await doctor(world, main);
  expect(results).toContainEqual(
    expect.objectContaining({
      about: '.env',
      level: 'problem',
      mend: expect.stringMatching(/^printf '\\n%s\\n' \.env >> \/.*\/shop\/\.gitignore$/),
    }),
  );
  expect(results).toContainEqual(expect.objectContaining({ about: 'config', level: 'note', mend: 'npm install' }));
  await world.git(main, 'add', '-A');
  expect((await doctor(world, main)).results).toContainEqual(expect.objectContaining({ about: '.env', level: 'note' }));
  writeFiles(main, { 'worktree.config.yaml': 'resources: { PORT: many }\n' });
  expect((await doctor(world, main)).problems).toMatchObject([{ about: 'config', mend: 'npx coppice check' }]);
});

test('who holds a port of a worktree, and a dev server on the main port, are named with their process', async () => {
  const world = makeWorld();
  const base = 25_700;
  const main = await shop(world, `resources: { PORT: ${base} }\n`, `PORT=${base}\n`);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'add', '../b', '-b', 'b');
  const [a] = records(world).filter(({ branch }) => branch === 'a');
  const port = a?.ports.PORT ?? 0;
  await listen(path.join(world.root, 'a'), port);
  expect((await doctor(world, main)).problems).toEqual([]);
  await listen(main, records(world).find(({ branch }) => branch === 'b')?.ports.PORT ?? 0);
  await listen(path.join(world.root, 'a'), base);
  const { problems } = await doctor(world, main);
  expect(problems.map(({ about }) => about).sort()).toEqual(['a', 'b']);
  expect(problems.find(({ about }) => about === 'a')?.text).toMatch(/listens on 25700, the main worktree's PORT$/);
  expect(problems.find(({ about }) => about === 'b')?.text).toMatch(/^its PORT, \d+, is taken by node \(process \d+ in .*shop\)$/);
});

test('worktrees that are not set up, were cut off, or still share something; --fix sets them up', async () => {
  const world = makeWorld();
  const main = await shop(world, 'resources: { PORT: 24800 }\nsteps: { slow: "test -e go || exec sleep 60" }\n', 'PORT=24800\n');
  await world.git(main, '-c', 'core.hooksPath=/dev/null', 'worktree', 'add', '../missed', '-b', 'missed');
  const adding = spawn('git', ['worktree', 'add', '../cut', '-b', 'cut'], { cwd: main, env: world.env, stdio: 'ignore' });
  await until(() => records(world).some(({ steps }) => steps.slow?.state === 'running'), 'the step');
  const owner = fs
    .readdirSync(world.state, { recursive: true, encoding: 'utf8' })
    .filter((name) => /owner/.test(path.basename(name)))
    .map((name) => JSON.parse(fs.readFileSync(path.join(world.state, name), 'utf8')) as { pid: number })[0];
  process.kill(owner?.pid ?? 0, 'SIGKILL');
  await new Promise((resolve) => adding.on('exit', resolve));
  for (const name of ['missed', 'cut']) writeFiles(path.join(world.root, name), { go: '' });
  const { problems } = await doctor(world, main);
  expect(problems).toMatchObject([
    { about: 'cut', text: 'its set-up was cut off', mend: 'git coppice up cut' },
    { about: 'missed', text: 'it was not set up', mend: 'git coppice up missed' },
  ]);
  expect(await doctor(world, main, '--fix')).toMatchObject({ code: 0, ok: true });
  fs.appendFileSync(path.join(world.root, 'cut/.env'), 'HOOK_URL=http://localhost:24800/hook\n');
  expect((await doctor(world, main)).problems).toMatchObject([
    { about: 'cut', text: expect.stringContaining('still shared: HOOK_URL in .env') },
  ]);
});

test('what a worktree that is gone still holds is a note that names gc', async () => {
  const world = makeWorld();
  const main = await shop(
    world,
    'resources: { PORT: 24900, S3: { type: command, create: "echo made", destroy: "true" } }\n',
    'PORT=24900\n',
  );
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  const { code, results } = await doctor(world, main);
  expect(code).toBe(0);
  expect(results.at(-1)).toMatchObject({ about: 'a', level: 'note', mend: 'git coppice gc' });
});

test('a program that is used here and adds worktrees without the hook is named, until its file sets them up', async () => {
  const world = makeWorld();
  const main = await shop(world);
  writeFiles(main, { '.cursor/rules/x.mdc': '' });
  expect((await doctor(world, main)).results).toContainEqual(
    expect.objectContaining({ about: 'Cursor', level: 'note', mend: 'npx coppice install --agents' }),
  );
  await world.coppice(main, 'install', '--agents');
  expect((await doctor(world, main)).results).toContainEqual(expect.objectContaining({ about: 'Cursor', level: 'fine' }));
});

test('from a linked worktree, what it says to do is done in the main one; a wrong config is shown as check shows it', async () => {
  const world = makeWorld();
  const main = await shop(world);
  await world.git(main, 'worktree', 'add', '../a', '-b', 'a');
  const worktree = path.join(world.root, 'a');
  writeFiles(main, { '.git/hooks/post-checkout': '#!/bin/sh\nexit 0\n' });
  const { problems } = await doctor(world, worktree);
  const mends = [...new Set(problems.flatMap(({ mend }) => mend ?? []))];
  expect(mends).toEqual([`cd ${main} && npx coppice install`]);
  expect(await doctor(world, worktree, '--fix')).toMatchObject({ code: 0, ok: true });
  writeFiles(worktree, { 'worktree.config.yaml': 'resorces: {}\n' });
  const shown = await world.coppice(worktree, 'doctor');
  expect(shown.stdout).toContain('unknown key `resorces`\n  1 | resorces: {}\n      ^^^^^^^^\n');
});
