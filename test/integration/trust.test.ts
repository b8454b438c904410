import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { heldClaims, records } from '../fixtures/ledger.ts';
import { CONFIG, makeYard, type Yard } from '../fixtures/trust.ts';
import { CLI, read, writeFiles } from '../fixtures/world.ts';

/** A branch that is not trusted changes nothing on this machine. */
async function expectUntouched({ main, world, canary, secret }: Yard, folder: string): Promise<void> {
  expect(fs.existsSync(canary)).toBe(false);
  expect(records(world)).toEqual([]);
  expect([...heldClaims(world)]).toEqual([]);
  const tracked = (await world.git(folder, 'ls-files', '-z')).split('\0');
  const written = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const stat = fs.lstatSync(path.join(folder, name));
    return !stat.isDirectory() && name !== '.git' && !tracked.includes(name);
  });
  expect(written).toEqual([]);
  expect(await world.git(main, 'status', '--porcelain')).toBe('');
  expect(fs.readdirSync(path.join(main, '.git/coppice')).filter((name) => name === 'logs')).toEqual([]);
  expect(await grep(folder, secret)).toBe('');
}

async function grep(folder: string, text: string): Promise<string> {
  const found = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const file = path.join(folder, name);
    return fs.lstatSync(file).isFile() && read(file).includes(text);
  });
  return found.join('\n');
}

const touch = (yard: Yard) => `touch ${yard.canary}`;
const EDITS: Record<string, (yard: Yard) => Record<string, string | null>> = {
  'a step': (yard) => ({ 'worktree.config.yaml': CONFIG.replace('sh scripts/setup.sh,', `"${touch(yard)}",`) }),
  'a new step': (yard) => ({ 'worktree.config.yaml': CONFIG.replace('teardown:', `  more: ${touch(yard)}\nteardown:`) }),
  'the environment of a step': () => ({
    'worktree.config.yaml': CONFIG.replace('inputs:', 'env: { NODE_OPTIONS: --require=./evil.js }, inputs:'),
  }),
  'a script under inputs': (yard) => ({ 'scripts/setup.sh': `${touch(yard)}\n` }),
  'a template': () => ({ 'note.hbs': '{{main.env.SECRET}}\n' }),
  'a computed variable': () => ({
    'worktree.config.yaml': CONFIG.replace('http://localhost:{{PORT}}', 'https://evil.test/?{{main.env.SECRET}}'),
  }),
  'a command that destroys': (yard) => ({
    'worktree.config.yaml': CONFIG.replace('env:', `  X: { type: command, create: echo x, destroy: ${touch(yard)} }\nenv:`),
  }),
  teardown: (yard) => ({ 'worktree.config.yaml': CONFIG.replace('echo bye', touch(yard)) }),
  "a database's source": () => ({ 'worktree.config.yaml': CONFIG.replace('from: dev.db', 'from: other.db') }),
  'an output path': () => ({ 'worktree.config.yaml': CONFIG.replace('note.md: {', '.github/note.md: {') }),
  'a copied secret': () => ({ 'worktree.config.yaml': CONFIG.replace('files:', 'files:\n  master.key: copy') }),
  '.worktreeinclude': () => ({ '.worktreeinclude': '*.key\n' }),
  'another name for the config': (yard) => ({
    'worktree.config.yaml': null,
    'worktree.config.json': JSON.stringify({ steps: { a: { run: touch(yard) } } }),
  }),
};

describe('a branch that asks for something else than what was approved is added, and nothing of it happens', () => {
  test.each(Object.entries(EDITS))('%s', async (_, changes) => {
    const yard = await makeYard();
    await yard.branch('edit', changes(yard));
    const added = await yard.add('edit');
    expect([added.code, added.said]).toEqual([0, expect.stringContaining('it is not trusted')]);
    expect(added.said.split('\n').filter((line) => !/Preparing|HEAD is now/.test(line))).toHaveLength(4);
    expect(await yard.state('edit')).toBe('untrusted');
    for (const args of [['up'], ['run', 'touch', yard.canary]])
      expect([args, (await yard.world.coppice(added.path, ...args)).code]).toEqual([args, 3]);
    await expectUntouched(yard, added.path);
    await yard.world.git(yard.main, 'worktree', 'remove', added.path);
    expect((await yard.world.coppice(yard.main, 'gc')).code).toBe(0);
    expect(fs.existsSync(yard.canary)).toBe(false);
  });

  test('no verb does what it asks for', async () => {
    const yard = await makeYard();
    await yard.branch('edit', {
      'worktree.config.yaml': CONFIG.replace('echo bye', touch(yard)).replace('localhost:{{PORT}}', 'evil.test/?{{main.env.SECRET}}'),
    });
    const { path: folder } = await yard.add('edit');
    const codes = { up: 3, 'up --quiet': 3, 'up --dry-run': 3, env: 3, trust: 3, down: 0, check: 0, doctor: null, 'watch --once': null };
    for (const [verb, code] of Object.entries(codes)) {
      const said = await yard.world.coppice(folder, ...verb.split(' '));
      if (code !== null) expect([verb, said.code]).toEqual([verb, code]);
      if (verb === 'up --dry-run') expect(said.stderr).toMatch(/^coppice: nothing of this branch was run(?![\s\S]*would set up)/);
    }
    await expectUntouched(yard, folder);
  });

  const byInputs = (inputs: string) =>
    CONFIG.replace(
      '{ run: sh scripts/setup.sh, inputs: [scripts/setup.sh] }',
      `{ run: "for f in scripts/*; do sh $f; done", inputs: [${inputs}] }`,
    );

  test.each<[what: string, change: (main: string, canary: string) => void]>([
    ['a link to a file beside it', (main) => fs.symlinkSync('../impl.sh', path.join(main, 'scripts/zz.sh'))],
    ['a folder of packages in it', (main, canary) => writeFiles(main, { 'scripts/node_modules/a.sh': `touch ${canary}\n` })],
    ['a name with a line end', (main, canary) => writeFiles(main, { 'scripts/a\nb.sh': `touch ${canary}\n` })],
    [
      'a link to a folder',
      (main, canary) => {
        writeFiles(main, { 'impl/lib.sh': `touch ${canary}\n` });
        fs.symlinkSync('../impl', path.join(main, 'scripts/lib'));
      },
    ],
  ])('a folder under inputs, with %s', async (_, change) => {
    for (const inputs of ['scripts', '"scripts/**"', '"scripts/*"']) {
      const yard = await makeYard(byInputs(inputs));
      const { main, world, canary } = yard;
      writeFiles(main, { 'impl.sh': `touch ${canary}\n` });
      await world.git(main, 'checkout', '-q', '-b', 'edit');
      change(main, canary);
      await world.git(main, 'add', '-f', 'scripts', 'impl.sh');
      if (fs.existsSync(path.join(main, 'impl'))) await world.git(main, 'add', 'impl');
      await world.git(main, 'commit', '-qm', 'edit');
      await world.git(main, 'checkout', '-q', 'main');
      const added = await yard.add('edit');
      expect([inputs, added.code, added.said]).toEqual([inputs, 0, expect.stringContaining('not trusted')]);
      expect(fs.existsSync(canary)).toBe(false);
    }
  });

  test('an override that a branch brings is refused, and said to be', async () => {
    const yard = await makeYard();
    await yard.branch('pr', { 'worktree.config.local.yaml': `steps: { evil: "${touch(yard)}" }\n` });
    await yard.world.git(yard.main, 'merge', '-q', 'pr');
    await yard.world.git(yard.main, 'branch', 'a');
    const added = await yard.add('a');
    expect([added.code, added.said]).toEqual([1, expect.stringContaining('is tracked by git, so it is not your own')]);
    expect((await yard.world.coppice(added.path, 'up')).code).toBe(2);
    expect(fs.existsSync(yard.canary)).toBe(false);
  });

  test('doctor runs no hook of it', async () => {
    const yard = await makeYard();
    const { main, world, canary } = yard;
    await world.git(main, 'config', 'core.hooksPath', '.githooks');
    expect((await world.coppice(main, 'install')).code).toBe(0);
    await world.git(main, 'add', '-A');
    await world.git(main, 'commit', '-qm', 'hooks');
    await yard.branch('edit', {
      'worktree.config.yaml': CONFIG.replace('echo bye', 'echo x'),
      '.githooks/post-checkout': `#!/bin/sh\n${touch(yard)}\n`,
    });
    fs.rmSync(canary, { force: true });
    const { path: folder } = await yard.add('edit');
    fs.chmodSync(path.join(folder, '.githooks/post-checkout'), 0o755);
    fs.rmSync(canary, { force: true });
    const said = await world.coppice(main, 'doctor');
    expect(said.stdout + said.stderr).toContain('not trusted: `git coppice trust` in it shows why');
    expect(fs.existsSync(canary)).toBe(false);
  });

  test("husky's runner is not put there either: with it the branch's own hooks would run", async () => {
    const yard = await makeYard();
    const { main, world, canary } = yard;
    // As husky leaves it.
    writeFiles(main, {
      '.husky/_/h': '#!/bin/sh\ns=$(dirname "$(dirname "$0")")/$(basename "$0")\n[ -f "$s" ] || exit 0\nsh -e "$s" "$@"\n',
      '.husky/_/.gitignore': '*',
    });
    for (const name of ['pre-commit', 'post-checkout']) {
      writeFiles(main, { [`.husky/_/${name}`]: '#!/bin/sh\n. "$(dirname "$0")/h"\n' });
      fs.chmodSync(path.join(main, '.husky/_', name), 0o755);
    }
    await world.git(main, 'config', 'core.hooksPath', '.husky/_');
    expect((await world.coppice(main, 'install')).code).toBe(0);
    await world.git(main, 'add', '.husky');
    await world.git(main, 'commit', '-qm', 'husky');
    await yard.branch('edit', { 'worktree.config.yaml': CONFIG.replace('echo bye', 'echo x'), '.husky/pre-commit': `${touch(yard)}\n` });
    // In the main worktree it ran, when it was committed there.
    fs.rmSync(canary);
    const { path: folder } = await yard.add('edit');
    expect(await yard.state('edit')).toBe('untrusted');
    await world.git(folder, 'commit', '-q', '--allow-empty', '-m', 'looked at');
    for (const words of [['install'], ['doctor', '--fix']]) await world.coppice(main, ...words);
    await world.git(folder, 'commit', '-q', '--allow-empty', '-m', 'looked at again');
    expect([fs.existsSync(canary), fs.existsSync(path.join(folder, '.husky/_'))]).toEqual([false, false]);
    const fine = await yard.add('fine', '-b', 'fine');
    expect(fs.existsSync(path.join(fine.path, '.husky/_/h'))).toBe(true);
  });

  test.for(['vendor', 'vendor/build.sh', '**/*.sh'])('another commit of a submodule under `inputs: [%s]`', async (pattern) => {
    const yard = await makeYard(
      CONFIG.replace(
        '  setup: {',
        `  sub: git -c protocol.file.allow=always submodule update -q --init\n  build: { run: sh vendor/build.sh, inputs: ["${pattern}"], needs: [sub] }\n  setup: {`,
      ),
    );
    const { main, world } = yard;
    const library = path.join(world.root, 'library');
    const commit = async (script: string) => {
      writeFiles(library, { 'build.sh': `${script}\n` });
      await world.git(library, 'add', '-A');
      await world.git(library, 'commit', '-qm', 'more');
    };
    await world.git(world.root, 'init', '-q', library);
    await commit('echo built > built.log');
    await world.git(main, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', library, 'vendor');
    await world.git(main, 'commit', '-qm', 'submodule');
    // The file of submodules came, and with it what is under inputs.
    const digest = /sha256:\w+/.exec((await world.coppice(main, 'trust')).stderr)?.[0] ?? '';
    expect((await world.coppice(main, 'trust', '--digest', digest)).code).toBe(0);
    const same = await yard.add('same', '-b', 'same');
    expect([same.code, fs.existsSync(path.join(same.path, 'built.log'))], same.said).toEqual([0, true]);
    expect((await world.coppice(same.path, 'up')).code).toBe(0);
    await world.git(main, 'checkout', '-qb', 'bump');
    await commit(touch(yard));
    await world.git(path.join(main, 'vendor'), 'pull', '-q', 'origin', 'HEAD');
    await world.git(main, 'commit', '-qam', 'bump');
    await world.git(main, 'checkout', '-q', 'main');
    const bumped = await yard.add('bumped', 'bump');
    expect([bumped.code, bumped.said]).toEqual([0, expect.stringContaining('other than approved last: vendor')]);
    expect(fs.existsSync(yard.canary)).toBe(false);
  });

  test('a link in place of the folder that a command runs in', async () => {
    const yard = await makeYard(
      CONFIG.replace('  setup: {', '  build: { run: touch built.log, cwd: app }\n  setup: {').replace(
        'bye: echo bye',
        'bye: { run: touch ended.log, cwd: app }',
      ),
    );
    const { main, world } = yard;
    writeFiles(main, { 'app/index.js': '' });
    await world.git(main, 'add', '-A');
    await world.git(main, 'commit', '-qm', 'app');
    const fine = await yard.add('fine', '-b', 'fine');
    expect([fine.code, fs.existsSync(path.join(fine.path, 'app/built.log'))]).toEqual([0, true]);
    await world.git(main, 'checkout', '-qb', 'linked');
    fs.rmSync(path.join(main, 'app'), { recursive: true });
    fs.symlinkSync('../app', path.join(main, 'app'));
    await world.git(main, 'add', '-A');
    await world.git(main, 'commit', '-qm', 'linked');
    await world.git(main, 'checkout', '-qf', 'main');
    const linked = await yard.add('linked');
    expect([linked.code, linked.said]).toEqual([1, expect.stringContaining('its folder app leads out of the worktree')]);
    fs.rmSync(path.join(fine.path, 'app'), { recursive: true });
    fs.symlinkSync('../app', path.join(fine.path, 'app'));
    const down = await world.coppice(fine.path, 'down');
    expect([down.code, down.stderr]).toEqual([1, expect.stringContaining('its folder app leads out of the worktree')]);
    expect(['built.log', 'ended.log'].filter((name) => fs.existsSync(path.join(main, name)))).toEqual([]);
  });

  test('a symbolic link as the config, as a template, as .worktreeinclude or as a script', async () => {
    const yard = await makeYard();
    const outside = path.join(yard.world.root, 'outside');
    writeFiles(outside, { 'config.yaml': `steps: { a: ${touch(yard)} }\n`, file: `${touch(yard)}\n` });
    for (const [name, target] of [
      ['worktree.config.yaml', 'config.yaml'],
      ['note.hbs', 'file'],
      ['.worktreeinclude', 'file'],
      ['scripts/setup.sh', 'file'],
    ] as const) {
      const branch = name.replaceAll('/', '-').replace(/^\./, '');
      await yard.world.git(yard.main, 'checkout', '-q', '-b', branch);
      fs.rmSync(path.join(yard.main, name), { force: true });
      fs.symlinkSync(path.join(outside, target), path.join(yard.main, name));
      await yard.world.git(yard.main, 'add', '-A');
      await yard.world.git(yard.main, 'commit', '-qm', branch);
      await yard.world.git(yard.main, 'checkout', '-q', 'main');
      const added = await yard.add(branch);
      // What is wrong for anybody fails; what could be approved waits.
      expect([name, added.code]).toEqual([name, expect.toBeOneOf([0, 1])]);
      expect(fs.existsSync(yard.canary)).toBe(false);
      expect(records(yard.world)).toEqual([]);
      expect(await grep(added.path, yard.secret)).toBe('');
    }
  });
});

describe('what was approved runs without a question', () => {
  test('in 20 worktrees, whose branches change anything else', async () => {
    const yard = await makeYard();
    const names = Array.from({ length: 20 }, (_, index) => `b${index}`);
    for (const name of names) await yard.world.git(yard.main, 'branch', name);
    const added: Awaited<ReturnType<Yard['add']>>[] = [];
    for (const name of names) added.push(await yard.add(name));
    expect(added.map(({ code, said }) => [code, said.includes('trust')])).toEqual(names.map(() => [0, false]));
    writeFiles(added[0]?.path ?? '', { 'README.md': 'two\n' });
    expect((await yard.world.coppice(added[0]?.path ?? '', 'up')).code).toBe(0);
  });

  test('with other comments, another order of options, and long forms for short ones', async () => {
    const yard = await makeYard();
    const same = CONFIG.replace('PORT: 26000', '# ours\n  PORT:   { base: 26000, type: port }').replace(
      '{ run: sh scripts/setup.sh, inputs: [scripts/setup.sh] }',
      "\n    inputs: [ 'scripts/setup.sh' ]\n    run: 'sh scripts/setup.sh'",
    );
    await yard.branch('same', { 'worktree.config.yaml': same });
    const added = await yard.add('same');
    expect([added.code, await yard.state('same')]).toEqual([0, 'ready']);
  });

  test('the digest is the same in two clones, at other paths and for other users', async () => {
    const yard = await makeYard();
    const other = path.join(yard.world.root, 'deep er/clone');
    await yard.world.git(yard.world.root, 'clone', '-q', yard.main, other);
    const digest = async (folder: string, env: NodeJS.ProcessEnv = {}) => {
      const shown = await yard.world.run(folder, process.execPath, [CLI, 'trust'], { env });
      return /sha256:[0-9a-f]{64}/.exec(shown.stderr)?.[0];
    };
    const stranger = {
      HOME: path.join(yard.world.root, 'other-home'),
      USER: 'other',
      COPPICE_STATE_DIR: path.join(yard.world.root, 'other'),
    };
    const digests = [await digest(yard.main), await digest(other), await digest(other, stranger)];
    expect(digests[0]).toMatch(/^sha256:/);
    expect(new Set(digests).size).toBe(1);
  });

  test("one person's own override is not part of it", async () => {
    const yard = await makeYard();
    writeFiles(yard.main, { 'worktree.config.local.yaml': 'env: { MORE: "1" }\n' });
    await yard.world.git(yard.main, 'branch', 'a');
    expect((await yard.add('a')).code).toBe(0);
    expect(await yard.state('a')).toBe('ready');
  });
});

describe('approving', () => {
  const changed = CONFIG.replace('echo bye', 'echo goodbye');

  test('trust --digest approves just that, for every worktree of the repository', async () => {
    const yard = await makeYard();
    await yard.branch('edit', { 'worktree.config.yaml': changed });
    const { path: folder, said } = await yard.add('edit');
    const [digest = ''] = /sha256:[0-9a-f]{64}/.exec(said) ?? [];
    const wrong = await yard.world.coppice(folder, 'trust', '--digest', `sha256:${'0'.repeat(64)}`);
    expect([wrong.code, await yard.state('edit')]).toEqual([3, 'untrusted']);
    expect((await yard.world.coppice(folder, 'trust', '--digest', 'sha256:12')).code).toBe(2);
    expect((await yard.world.coppice(folder, 'trust', '--digest', digest)).code).toBe(0);
    expect((await yard.world.coppice(folder, 'up')).code).toBe(0);
    expect(await yard.state('edit')).toBe('ready');
    // Also where something else is approved already.
    expect((await yard.world.coppice(yard.main, 'trust', '--digest', digest)).code).toBe(3);
    await yard.add('again', '-b', 'again', 'edit');
    expect(await yard.state('again')).toBe('ready');
  });

  test('what is on the default branch of a remote that was known is approved, unless the user is strict', async () => {
    const yard = await makeYard();
    const { world, main } = yard;
    const origin = path.join(world.root, 'origin.git');
    await world.git(main, 'clone', '-q', '--bare', main, origin);
    const clone = path.join(world.root, 'clone');
    await world.git(world.root, 'clone', '-q', origin, clone);
    await world.coppice(clone, 'install');
    // A colleague merges.
    writeFiles(main, { 'worktree.config.yaml': changed });
    await world.git(main, 'commit', '-qam', 'merged');
    await world.git(main, 'push', '-q', origin, 'main');
    await world.git(clone, 'fetch', '-q');
    await world.git(clone, 'config', 'coppice.trust', 'strict');
    const strict = await world.run(clone, 'git', ['worktree', 'add', '../s', 'origin/main']);
    expect([strict.code, strict.stderr]).toEqual([0, expect.stringContaining('not trusted')]);
    await world.git(clone, 'config', '--unset', 'coppice.trust');
    await world.git(clone, 'worktree', 'add', '../m', 'origin/main');
    expect(fs.existsSync(path.join(world.root, 'm/ran.log'))).toBe(true);
    // Not what is only on another branch, and not where the default branch is unknown.
    writeFiles(main, { 'worktree.config.yaml': changed.replace('goodbye', 'never') });
    await world.git(main, 'commit', '-qam', 'not merged');
    await world.git(main, 'push', '-q', origin, 'main:feature');
    await world.git(clone, 'fetch', '-q');
    await world.git(clone, 'worktree', 'add', '../f', 'origin/feature');
    expect(fs.existsSync(path.join(world.root, 'f/ran.log'))).toBe(false);
    await world.git(main, 'push', '-q', origin, 'main');
    await world.git(clone, 'fetch', '-q');
    await world.git(clone, 'remote', 'set-head', 'origin', '--delete');
    const unknown = await world.run(clone, 'git', ['worktree', 'add', '../u', 'origin/main']);
    expect(unknown.stderr).toContain("whether origin's default branch asks for the same: `git remote set-head origin --auto`");
    expect(fs.existsSync(path.join(world.root, 'u/ran.log'))).toBe(false);
  });

  test('CI variables approve nothing, and a setting counts only from where no branch can write', async () => {
    const yard = await makeYard();
    const { world, main } = yard;
    await yard.branch('edit', {
      'worktree.config.yaml': CONFIG.replace('echo bye', 'echo x'),
      '.gitconfig': '[coppice]\n\ttrust = all\n\toutside = allow\n',
    });
    await world.git(main, 'config', 'include.path', '../.gitconfig');
    fs.copyFileSync(path.join(main, '.gitignore'), path.join(world.root, 'keep'));
    const add = async (name: string, env: NodeJS.ProcessEnv, ...options: string[]) =>
      (await world.run(main, 'git', [...options, 'worktree', 'add', path.join(world.root, name), '-b', name, 'edit'], { env })).stderr;
    // The branch's own file stands in the main worktree.
    writeFiles(main, { '.gitconfig': '[coppice]\n\ttrust = all\n' });
    expect(await add('a', { CI: 'true', GITHUB_ACTIONS: 'true' })).toContain('not trusted');
    expect(await world.git(main, 'config', 'coppice.trust')).toBe('all\n');
    fs.rmSync(path.join(main, '.gitconfig'));
    expect(await add('b', {}, '-c', 'coppice.trust=all')).toContain('ready');
  });

  test.each([
    ['a mode that lets others write', (file: string) => fs.chmodSync(file, 0o620)],
    ['a mode that lets others read', (file: string) => fs.chmodSync(file, 0o644)],
    ['another owner', (file: string) => fs.chownSync(file, 65_534, 65_534)],
    [
      'a link instead of it',
      (file: string) => {
        fs.renameSync(file, `${file}.moved`);
        fs.symlinkSync(`${file}.moved`, file);
      },
    ],
    [
      'another digest inside',
      (file: string) => fs.writeFileSync(file, read(file).replace(/sha256:[0-9a-f]{4}/, 'sha256:0000'), { mode: 0o600 }),
    ],
    ['a folder that others can enter', (file: string) => fs.chmodSync(path.dirname(file), 0o755)],
    ['a state folder that others can write', (file: string) => fs.chmodSync(path.resolve(file, '../../../..'), 0o777)],
  ])('an approval with %s counts for nothing', async (what, damage) => {
    // Only root gives a file to somebody else.
    if (what === 'another owner' && process.getuid?.() !== 0) return;
    const yard = await makeYard();
    const repos = path.join(yard.world.state, 'repos');
    const approvals = path.join(repos, fs.readdirSync(repos)[0] ?? '', 'approvals');
    const [name = ''] = fs.readdirSync(approvals).filter((entry) => entry !== 'first');
    expect(fs.statSync(path.join(approvals, name)).mode & 0o777).toBe(0o600);
    damage(path.join(approvals, name));
    await yard.world.git(yard.main, 'branch', 'a');
    expect(await yard.add('a')).toMatchObject({ code: 0, said: expect.stringContaining('not trusted') });
    await expectUntouched(yard, path.join(yard.world.root, 'a'));
  });

  test('what a link under inputs leads to is not shown, nor counted, where git ignores it', async () => {
    const yard = await makeYard();
    const { main, world } = yard;
    await world.git(main, 'checkout', '-qb', 'edit');
    fs.symlinkSync('../.env', path.join(main, 'scripts/notes.txt'));
    writeFiles(main, { 'worktree.config.yaml': CONFIG.replace('[scripts/setup.sh]', '[scripts]') });
    await world.git(main, 'add', '-A');
    await world.git(main, 'commit', '-qm', 'notes');
    const digests = [];
    for (const text of [`SECRET=${yard.secret}\n`, 'SECRET=another-one\n']) {
      writeFiles(main, { '.env': text });
      const { stderr, stdout } = await world.coppice(main, 'trust');
      expect(stderr).toContain('link to .env');
      expect(stderr + stdout).not.toMatch(/hunter2|another-one/);
      digests.push(/sha256:\w+/.exec(stderr)?.[0]);
    }
    expect(digests[0]).toBe(digests[1]);
  });

  test('of a file that is too odd to be shown it is said that it is not shown', async () => {
    const yard = await makeYard();
    await yard.branch('edit', { 'scripts/setup.sh': `${touch(yard)}; exit 0\n${'#'.repeat(300_000)}\0\n` });
    const { path: folder } = await yard.add('edit');
    const { stderr } = await yard.world.coppice(folder, 'trust');
    expect(stderr).toMatch(/# scripts\/setup.sh: SHA-256 \w+, not shown: it holds NUL and more than 256 KiB\. Look at it/);
  });

  test('a branch cannot approve itself', async () => {
    const yard = await makeYard();
    const { state, main, world } = yard;
    const repos = path.join(world.state, 'repos');
    const approvals = fs.readdirSync(path.join(repos, fs.readdirSync(repos)[0] ?? '', 'approvals'));
    const forged = Object.fromEntries(
      approvals.map((name) => [`.local/state/coppice/repos/x/approvals/${name}`, '{}']).concat([['.coppice/approvals/all', '{}']]),
    );
    await yard.branch('edit', { ...forged, 'worktree.config.yaml': changed });
    await yard.add('edit');
    expect(await state('edit')).toBe('untrusted');
    // Nor a folder that says it is a worktree of an approved repository.
    const forgery = path.join(world.root, 'forgery');
    writeFiles(forgery, { '.git': `gitdir: ${main}/.git/worktrees/edit\n`, 'worktree.config.yaml': `steps: { a: ${touch(yard)} }\n` });
    expect((await world.coppice(forgery, 'up')).code).not.toBe(0);
    // Nor one that brings a git directory of its own along, which names the approved repository and holds settings.
    await world.git(main, 'config', 'extensions.worktreeConfig', 'true');
    const head = (await world.git(main, 'rev-parse', 'HEAD')).trim();
    writeFiles(forgery, {
      '.git': `gitdir: ${forgery}/admin\n`,
      'admin/commondir': `${main}/.git\n`,
      'admin/gitdir': `${forgery}/.git\n`,
      'admin/HEAD': `${head}\n`,
      'admin/config.worktree': '[coppice]\n\ttrust = all\n\toutside = allow\n',
    });
    expect((await world.git(forgery, 'config', 'coppice.trust')).trim()).toBe('all');
    for (const words of [['up'], ['run', 'true'], ['env'], ['down'], ['trust']]) {
      const done = await world.coppice(forgery, ...words);
      expect([done.code === 0, done.stderr], words.join(' ')).toEqual([false, expect.stringContaining('which has no such worktree')]);
    }
    expect(fs.readdirSync(forgery).sort()).toEqual(['.git', 'admin', 'worktree.config.yaml']);
    expect(records(world)).toEqual([]);
    const ownGit = path.join(world.root, 'own-git');
    await world.git(world.root, 'init', '-q', ownGit);
    writeFiles(ownGit, { 'worktree.config.yaml': `steps: { a: ${touch(yard)} }\n` });
    await world.git(ownGit, 'add', '-A');
    await world.git(ownGit, 'commit', '-qm', 'a');
    fs.cpSync(path.join(main, '.git/coppice'), path.join(ownGit, '.git/coppice'), { recursive: true });
    fs.cpSync(path.join(main, '.git/hooks'), path.join(ownGit, '.git/hooks'), { recursive: true });
    const copied = await world.run(ownGit, 'git', ['worktree', 'add', '../copied']);
    expect([copied.code, copied.stderr]).toEqual([0, expect.stringContaining('not trusted')]);
    expect(fs.existsSync(yard.canary)).toBe(false);
  });
});

describe('what was approved is what runs', () => {
  test('what an earlier step makes under inputs is not the branch’s, and no reason to wait', async () => {
    const yard = await makeYard(
      CONFIG.replace('steps:', 'steps:\n  toString: { run: "mkdir -p gen && date > gen/x.log", needs: [] }').replace(
        'inputs: [scripts/setup.sh] }',
        'inputs: [scripts/setup.sh, gen], needs: [toString] }',
      ),
    );
    await yard.world.git(yard.main, 'branch', 'a');
    const { path: folder, code } = await yard.add('a');
    expect([code, fs.existsSync(path.join(folder, 'ran.log'))]).toEqual([0, true]);
    expect((await yard.world.coppice(folder, 'up')).code).toBe(0);
  });

  test('a script that changes after it was looked at does not run', async () => {
    const yard = await makeYard(CONFIG.replace('steps:', `steps:\n  first: { run: "echo 'touch $CANARY' > scripts/setup.sh", needs: [] }`));
    await yard.world.git(yard.main, 'branch', 'a');
    const added = await yard.add('a');
    expect([added.code, added.said]).toEqual([1, expect.stringContaining('its `inputs` changed since they were looked at')]);
    expect(fs.existsSync(path.join(added.path, 'ran.log'))).toBe(false);
  });

  test('down and gc carry out what was recorded, whatever the branch says by then', async () => {
    const yard = await makeYard(CONFIG.replace('echo bye', 'echo "$APP_URL" > ../bye.log'));
    await yard.world.git(yard.main, 'branch', 'a');
    const { path: folder } = await yard.add('a');
    writeFiles(folder, { 'worktree.config.yaml': CONFIG.replace('echo bye', touch(yard)).replace('localhost', 'elsewhere') });
    expect((await yard.world.coppice(folder, 'up')).code).toBe(3);
    expect((await yard.world.coppice(folder, 'down')).code).toBe(0);
    expect(read(yard.world.root, 'bye.log')).toBe('http://localhost:26010\n');
    expect(fs.existsSync(yard.canary)).toBe(false);
  });
});
