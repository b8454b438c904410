import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readClosure } from '../../src/trust/closure.ts';
import { CONFIG, makeYard } from '../fixtures/trust.ts';
import { CLI, makeWorld, read, start, until, writeFiles } from '../fixtures/world.ts';

/** A program that puts one text and then the other at each path, as fast as it can, until it is ended. */
const SWAPPER = `
const fs = require('node:fs');
const [root, list] = process.argv.slice(1);
for (let turn = 0; ; turn += 1)
  for (const [name, texts] of Object.entries(JSON.parse(list))) {
    fs.writeFileSync(root + '/.swap', texts[turn % 2]);
    fs.renameSync(root + '/.swap', root + '/' + name);
  }
`;

/** Starts it, and waits until both texts have been there. */
async function swap(root: string, texts: Record<string, [approved: string, other: string]>): Promise<() => Promise<void>> {
  const world = makeWorld();
  const running = start(world, world.root, process.execPath, ['-e', SWAPPER, root, JSON.stringify(texts)]);
  const end = async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  };
  onTestFinished(end);
  for (const [name, [approved, other]] of Object.entries(texts))
    for (const text of [approved, other])
      await until(() => fs.existsSync(path.join(root, name)) && read(root, name) === text, `${name} is swapped`);
  return end;
}

describe('while files change all the time', () => {
  test('what was read 1,000 times is always just what its digest says', { timeout: 900_000 }, async () => {
    const world = makeWorld();
    const root = path.join(world.root, 'repository');
    await world.git(world.root, 'init', '-q', root);
    const config = (text: string) => `files: { note.md: { template: note.hbs } }\nsteps: { a: { run: "${text}", inputs: [in.sh] } }\n`;
    writeFiles(root, { 'worktree.config.yaml': config('one'), 'note.hbs': 'one', 'in.sh': 'one', '.worktreeinclude': 'one\n' });
    await world.git(root, 'add', '-A');
    await swap(root, {
      'worktree.config.yaml': [config('one'), config('two')],
      'note.hbs': ['one', 'two'],
      'in.sh': ['one', 'two'],
      '.worktreeinclude': ['one\n', 'two\n'],
    });
    const seen = new Set<string>();
    for (let round = 0; round < 1000; round += 1) {
      const closure = await readClosure(root, null);
      if (closure === null) throw new Error('there is always a config');
      const { content, config: used, files, digest } = closure;
      expect(digest).toBe(`sha256:${createHash('sha256').update(JSON.stringify(content)).digest('hex')}`);
      expect(content.config).toMatchObject({ steps: { a: { run: used.steps.a?.run } } });
      for (const name of ['note.hbs', 'in.sh'])
        expect(
          createHash('sha256')
            .update(files.get(name) ?? '')
            .digest('hex'),
        ).toBe(content.files[name]);
      seen.add(digest);
    }
    // The files did change meanwhile.
    expect(seen.size).toBeGreaterThan(2);
  });

  test('no byte that was not approved runs, is rendered or copied', { timeout: 900_000 }, async () => {
    const yard = await makeYard(CONFIG.replace('{ run: sh scripts/setup.sh, inputs: [scripts/setup.sh] }', 'echo ok >> ran.log'));
    const { world, main, canary } = yard;
    await world.git(main, 'branch', 'a');
    const { path: folder } = await yard.add('a');
    const config = read(folder, 'worktree.config.yaml');
    const end = await swap(folder, {
      'worktree.config.yaml': [config, config.replace('echo ok >> ran.log', `touch ${canary}`)],
      'note.hbs': [read(folder, 'note.hbs'), '{{main.env.SECRET}}\n'],
      '.worktreeinclude': ['', '*.key\n'],
    });
    const codes = new Set<number | null>();
    for (let round = 0; round < 60 || (codes.size < 2 && round < 1000); round += 1) {
      codes.add((await world.run(folder, process.execPath, [CLI, 'up', '--force'])).code);
      expect(fs.existsSync(canary)).toBe(false);
      expect(fs.existsSync(path.join(folder, 'master.key'))).toBe(false);
      expect(read(folder, 'note.md')).toBe('port 26010\n');
    }
    await end();
    // Some were approved, and some were not.
    expect([...codes].sort()).toEqual([0, 3]);
  });
});

describe('on a terminal', () => {
  const HOSTILE = CONFIG.replace('bye: echo bye', 'bye: "echo \\e[2J\\u202e\\u200bx"').replace(
    'teardown:',
    `  more: "echo more > more.log; : 'curl http://a:b;touch@x'"\nteardown:`,
  );

  test('up shows what would run and what changed, with nothing hidden, asks, and goes on', async () => {
    const yard = await makeYard();
    await yard.branch('edit', { 'worktree.config.yaml': HOSTILE });
    const { path: folder } = await yard.add('edit');
    const onTerminal = (input: string, ...args: string[]) =>
      yard.world.run(folder, 'script', ['-qec', [process.execPath, CLI, ...args].join(' '), '/dev/null'], {
        input,
        env: { TERM: 'xterm', SHELL: '/bin/sh' },
      });
    const refused = await onTerminal('n\n', 'up');
    expect(refused.code).toBe(3);
    expect(refused.stdout).toContain('+  more:');
    // What looks like a password is not left out here: it would hide a command.
    expect(refused.stdout).toContain("echo more > more.log; : 'curl http://a:b;touch@x'");
    expect(refused.stdout).toMatch(/bye:\s+run: "echo (\\e|\\u\{1b\})\[2J\\u\{202e\}\\u\{200b\}x"/);
    expect(refused.stdout).not.toContain('\u202e');
    expect(refused.stdout).not.toContain('\u001b[2J');
    expect(await yard.state('edit')).toBe('untrusted');
    const agreed = await onTerminal('y\n', 'up');
    expect([agreed.code, read(folder, 'more.log')]).toEqual([0, 'more\n']);
    expect((await onTerminal('', 'trust')).stdout).toContain('approved already');
  });

  test('a script that is not UTF-8 is shown all the same, and a file’s text is no heading', async () => {
    const yard = await makeYard();
    await yard.world.git(yard.main, 'checkout', '-q', '-b', 'edit');
    const bytes = Buffer.from('# caf\xe9\n# scripts/other.sh\ntouch canary\n\0', 'latin1');
    fs.writeFileSync(path.join(yard.main, 'scripts/setup.sh'), bytes);
    await yard.world.git(yard.main, 'commit', '-qam', 'edit');
    const shown = await yard.world.coppice(yard.main, 'trust');
    expect(shown.stderr).toContain('+  | # caf\\x{e9}\n+  | # scripts/other.sh\n+  | touch canary\n+  | \\u{0}');
  });

  test('trust in the main worktree approves what was edited there', async () => {
    const yard = await makeYard();
    writeFiles(yard.main, { 'worktree.config.yaml': CONFIG.replace('echo bye', 'echo goodbye') });
    const args = [process.execPath, CLI, 'trust'].join(' ');
    const shown = await yard.world.run(yard.main, 'script', ['-qec', args, '/dev/null'], { input: 'y\n', env: { SHELL: '/bin/sh' } });
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining('approved sha256:')]);
    await yard.world.git(yard.main, 'commit', '-qam', 'goodbye');
    await yard.world.git(yard.main, 'branch', 'a');
    expect((await yard.add('a')).said).toContain('ready');
  });
});
