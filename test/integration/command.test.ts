import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { killedAfter } from '../fixtures/faults.ts';
import { records } from '../fixtures/ledger.ts';
import { CLI, isAlive, makeWorld, read, start, until, type World, writeFiles } from '../fixtures/world.ts';

/** What only the app may know. */
const CANARY = 'canary-4f1d9c';

/**
 * A service: a folder of the test outside of every worktree, in which each thing is a file under its name. `log` says what was asked of
 * it, in order. Its secret is in a file, as a token is in a login.
 */
async function shop(world: World, resources: string, more: Record<string, string> = {}) {
  const service = path.join(world.root, 'service');
  fs.mkdirSync(service);
  writeFiles(world.root, { 'secret.txt': `${CANARY}\n` });
  Object.assign(world.env, { SERVICE: service, SECRET_FILE: path.join(world.root, 'secret.txt'), TMPDIR: path.join(world.root, 'tmp') });
  fs.mkdirSync(path.join(world.root, 'tmp'));
  const config = `project: My_Shop\nresources:\n${resources}`;
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': config, '.gitignore': '.env\n', ...more },
    { '.env': 'DATABASE_URL=main\n' },
  );
  const things = () => fs.readdirSync(service).filter((name) => !name.startsWith('.'));
  const asked = () => (fs.existsSync(path.join(service, '.asked')) ? read(service, '.asked').trim().split('\n') : []);
  return { main, service, things, asked, worktree: path.join(world.root, 'a') };
}

const SERVICE = `    create: |
      echo create >> "$SERVICE/.asked"
      echo "making $COPPICE_NAME" >&2
      touch "$SERVICE/$COPPICE_NAME"
      echo "db://me:$(cat "$SECRET_FILE")@host/$COPPICE_NAME"
    destroy: |
      echo destroy >> "$SERVICE/.asked"
      rm -f "$SERVICE/$COPPICE_NAME"
`;
const DATABASE = `  DATABASE_URL:\n    type: command\n${SERVICE}`;
const CHECKED = `${DATABASE}    check: 'echo check >> "$SERVICE/.asked"; test -e "$SERVICE/$COPPICE_NAME"'\n`;

function add(world: World, main: string, branch = 'a') {
  return world.run(main, 'git', ['worktree', 'add', '../a', '-b', branch]);
}

async function variables(world: World, worktree: string): Promise<Record<string, string>> {
  const result = await world.coppice(worktree, 'env', '--json');
  if (result.code !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout);
}

/** The files of a folder that hold a text. */
function holding(folder: string, text: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => fs.lstatSync(path.join(folder, name)).isFile() && fs.readFileSync(path.join(folder, name)).includes(text));
}

test('what create prints is the value; a second up makes nothing; down destroys it, and up makes it again', async () => {
  const world = makeWorld();
  const { main, worktree, things, asked } = await shop(world, DATABASE);
  const added = await add(world, main);
  expect(added.code, added.stderr).toBe(0);
  const [name = ''] = things();
  expect(name).toMatch(/^my-shop-a-[0-9a-f]{8}$/);
  const value = `db://me:${CANARY}@host/${name}`;
  expect(await variables(world, worktree)).toEqual({ DATABASE_URL: value });
  expect(read(worktree, '.env')).toContain(value);
  const again = await world.coppice(worktree, 'up');
  expect([again.code, asked()]).toEqual([0, ['create']]);
  expect((await variables(world, main)).DATABASE_URL).toBe('main');

  const down = await world.coppice(worktree, 'down');
  expect([down.code, down.stderr, things()]).toEqual([0, expect.stringContaining(`${name} destroyed`), []]);
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect([things(), asked()]).toEqual([[name], ['create', 'destroy', 'create']]);
});

test('secrets are in the value and nowhere else: not in the ledger, logs, status, what is printed, or the arguments of a process', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(
    world,
    DATABASE.replace('echo create', `ps -eo args > "$SERVICE/.arguments"; echo create`) +
      `  BROKEN:\n    type: command\n    output: json\n    create: cat "$SECRET_FILE"; ps -eo args >> "$SERVICE/.arguments"\n`,
  );
  const added = await add(world, main);
  expect(added.code).toBe(1);
  expect(added.stderr).toMatch(/✗ BROKEN .*did not print one JSON object/);
  writeFiles(worktree, { 'worktree.config.yaml': read(worktree, 'worktree.config.yaml').replace(/ {2}BROKEN:[\s\S]*/, '') });
  const up = await world.coppice(worktree, 'up');
  const status = await world.coppice(main, 'status', '--json');
  const dry = await world.coppice(worktree, 'up', '--dry-run');
  const down = await world.coppice(worktree, 'down');
  expect([up.code, down.code]).toEqual([0, 0]);
  expect(added.stderr + added.stdout + up.stderr + status.stdout + dry.stderr + down.stderr).not.toContain(CANARY);
  expect(holding(world.state, CANARY)).toEqual([]);
  expect(holding(path.join(main, '.git'), CANARY)).toEqual([]);
  expect(read(world.root, 'service', '.arguments')).not.toContain(CANARY);
  expect(read(main, '.git', 'coppice', 'logs', records(world)[0]?.id ?? '', 'DATABASE_URL.log')).toMatch(/^making my-shop-a-/);
});

test('what was printed is kept 0600 in the admin directory until down', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(world, DATABASE);
  await add(world, main);
  const admin = path.join(main, '.git', 'worktrees', 'a');
  expect(holding(path.join(main, '.git'), CANARY)).toEqual(['worktrees/a/coppice-kept']);
  expect(fs.statSync(path.join(admin, 'coppice-kept')).mode & 0o777).toBe(0o600);
  await world.coppice(worktree, 'down');
  expect(fs.existsSync(path.join(admin, 'coppice-kept'))).toBe(false);
});

describe('output', () => {
  async function made(output: string, more = '', env = '') {
    const world = makeWorld();
    const file = path.join(world.root, 'printed');
    fs.writeFileSync(file, output);
    const { main, worktree } = await shop(
      world,
      `  DATABASE_URL:\n    type: command\n    create: cat ${file}\n${more}env:\n  AFTER: "${env}"\n`,
    );
    const added = await add(world, main);
    return { added, worktree, variables: added.code === 0 ? await variables(world, worktree) : null };
  }

  test('text: what is printed, without the white space around it', async () => {
    expect((await made('\n  db://x y \n\n', '', '{{DATABASE_URL}}!')).variables).toEqual({ DATABASE_URL: 'db://x y', AFTER: 'db://x y!' });
  });

  test('json: the value is under the key that is named, the others are parts', async () => {
    const { variables } = await made(
      '{"id": 7, "uri": "db://x", "ready": true, "more": {"deep": 1}}',
      '    output: json\n    value: uri\n',
      '{{resources.DATABASE_URL.id}} {{resources.DATABASE_URL.ready}}',
    );
    expect(variables).toEqual({ DATABASE_URL: 'db://x', AFTER: '7 true' });
  });

  test('env: every line is a variable of the app and a part', async () => {
    const { variables } = await made(
      '# keys\nexport KEY="a b"\nDATABASE_URL=\'db://x\'\nOTHER=1\n',
      '    output: env\n',
      '{{resources.DATABASE_URL.KEY}}',
    );
    expect(variables).toEqual({ KEY: 'a b', DATABASE_URL: 'db://x', OTHER: '1', AFTER: 'a b' });
  });

  test('env with `value`: the named one is also the value; `export: false` leaves all of them out', async () => {
    const named = await made('KEY=k\nURI=u\n', '    output: env\n    value: URI\n', '{{DATABASE_URL}}');
    expect(named.variables).toEqual({ KEY: 'k', URI: 'u', DATABASE_URL: 'u', AFTER: 'u' });
    const hidden = await made('KEY=k\nURI=u\n', '    output: env\n    value: URI\n    export: false\n', '{{DATABASE_URL}}');
    expect(hidden.variables).toEqual({ AFTER: 'u' });
  });

  test.each([
    ['nothing', '', '', 'printed nothing on stdout, so DATABASE_URL has no value'],
    ['text where JSON is asked for', 'hello', '    output: json\n', 'did not print one JSON object'],
    ['a list where an object is asked for', '["value"]', '    output: json\n', 'did not print one JSON object'],
    [
      'JSON without the key',
      '{"id": 1, "uri": "x"}',
      '    output: json\n',
      'no text under `value`, which is to be the value. There is: id, uri.',
    ],
    ['no line where env is asked for', 'hello', '    output: env\n', 'no `NAME=value` line'],
    ['a name that is no variable', 'A.B=1', '    output: env\n', '`A.B`, which cannot be an environment variable'],
    ['env without the named line', 'A=1', '    output: env\n    value: B\n', 'no line for `B`'],
    ['JSON without a part to keep', '{"value": "x"}', '    output: json\n    keep: [id]\n', '`keep` names `id`'],
    ['a NUL character', 'a\0b', '', 'a NUL character'],
    ['more than 1 MiB', 'x'.repeat(1024 * 1024 + 1), '', 'more than 1 MiB'],
  ])('%s fails and says so', async (_, output, more, message) => {
    const { added } = await made(output, more, 'x');
    expect([added.code, added.stderr]).toEqual([1, expect.stringContaining(message)]);
  });
});

test('a failing create says the end of its stderr and how to go on; what it half made is destroyed by down', async () => {
  const world = makeWorld();
  const { main, worktree, things, asked } = await shop(
    world,
    DATABASE.replace('echo "db:', 'seq 1 50 >&2; echo "the reason" >&2; exit 3; echo "db:'),
  );
  const added = await add(world, main);
  expect(added.code).toBe(1);
  expect(added.stderr).toMatch(/✗ DATABASE_URL .*`create`: exit code 3/);
  expect(added.stderr).toContain('    the reason\n');
  expect(added.stderr).not.toContain('    10\n');
  expect(added.stderr).toContain('git coppice up');
  expect(things()).toHaveLength(1);
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect([things(), asked()]).toEqual([[], ['create', 'destroy']]);
});

test('retries, env, and the worktree as the folder', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(
    world,
    `  KEY:\n    type: command\n    create: echo try >> "$SERVICE/tries"; test "$(wc -l < "$SERVICE/tries")" = 3 && echo "$EXTRA $PWD $PORT $COPPICE_SLOT"\n    retries: 2\n    env: { EXTRA: 1.10 }\n  PORT: 24300\n`,
  );
  const added = await add(world, main);
  expect(added.code, added.stderr).toBe(0);
  expect(added.stderr).toContain('trying again (2 of 2)');
  expect((await variables(world, worktree)).KEY).toBe(`1.10 ${worktree} 24310 1`);
});

test('a command that takes longer than its timeout is ended, with all that it started', async () => {
  const world = makeWorld();
  const { main, service } = await shop(
    world,
    `  KEY:\n    type: command\n    create: sleep 1000 & echo $! > "$SERVICE/pid"; wait\n    timeout: 15s\n`,
  );
  const added = await add(world, main);
  expect([added.code, added.stderr]).toEqual([1, expect.stringContaining('took longer than 15s')]);
  expect(isAlive(Number(read(service, 'pid')))).toBe(false);
});

describe('check', () => {
  test('up makes again what is gone, and leaves what is there', async () => {
    const world = makeWorld();
    const { main, worktree, things, asked, service } = await shop(world, CHECKED);
    expect((await add(world, main)).code).toBe(0);
    const [name = ''] = things();
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect(asked()).toEqual(['create', 'check']);
    fs.rmSync(path.join(service, name));
    expect((await world.coppice(worktree, 'up')).code).toBe(0);
    expect([things(), asked().slice(2)]).toEqual([[name], ['check', 'check', 'create']]);
  });

  test('its output is in no log', async () => {
    const world = makeWorld();
    const { main, worktree } = await shop(world, CHECKED.replace('echo check', 'cat "$SECRET_FILE"; echo check'));
    await add(world, main);
    const up = await world.coppice(worktree, 'up');
    expect([up.code, holding(path.join(main, '.git', 'coppice'), CANARY)]).toEqual([0, []]);
  });
});

test('a changed create runs again for a new value; a changed destroy is the one that is used, and nothing is destroyed twice', async () => {
  const world = makeWorld();
  const { main, worktree, things, asked } = await shop(world, DATABASE);
  await add(world, main);
  const config = path.join(worktree, 'worktree.config.yaml');
  fs.writeFileSync(config, read(config).replace('db://me', 'db://you').replace('echo destroy', 'echo remove'));
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect((await variables(world, worktree)).DATABASE_URL).toContain('db://you');
  expect(records(world)[0]?.left).toEqual([]);
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect([things(), asked()]).toEqual([[], ['create', 'create', 'remove']]);
});

test('other variables mean another thing: both are destroyed, each with its own', async () => {
  const world = makeWorld();
  const where = (account: string) =>
    `${DATABASE.replaceAll('$SERVICE/$COPPICE_NAME', '$SERVICE/$ACCOUNT-$COPPICE_NAME')}    env: { ACCOUNT: ${account} }\n`;
  const { main, worktree, things } = await shop(world, where('one'));
  await add(world, main);
  const config = path.join(worktree, 'worktree.config.yaml');
  fs.writeFileSync(config, read(config).replace('ACCOUNT: one', 'ACCOUNT: two'));
  expect((await world.coppice(worktree, 'up')).code).toBe(0);
  expect(things().map((name) => name.slice(0, 3))).toEqual(['one', 'two']);
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(things()).toEqual([]);
});

test('destroy runs from the record, in an empty folder, when worktree and config are gone; parts that are kept are given to it', async () => {
  const world = makeWorld();
  const { main, things, service } = await shop(
    world,
    `  DATABASE_URL:
    type: command
    output: json
    value: url
    keep: [id]
    env: { ACCOUNT: mine }
    create: |
      touch "$SERVICE/$COPPICE_NAME"
      printf '{"url": "%s", "id": "i-7"}' "$(cat "$SECRET_FILE")"
    destroy: |
      ls -A > "$SERVICE/.folder"
      pwd > "$SERVICE/.pwd"
      echo "$ACCOUNT $COPPICE_OUTPUT_ID $COPPICE_PROJECT $COPPICE_SLUG $COPPICE_BRANCH $COPPICE_PATH \${DATABASE_URL-unset}" > "$SERVICE/.told"
      rm "$SERVICE/$COPPICE_NAME"
`,
  );
  await add(world, main);
  await world.git(main, 'worktree', 'remove', '../a');
  await world.git(main, 'branch', '-D', 'a');
  await world.git(main, 'rm', '-q', 'worktree.config.yaml');
  await world.git(main, 'commit', '-qm', 'without');
  const kept = await world.coppice(main, 'gc', '--dry-run');
  expect(kept.stderr).toMatch(/would give back my-shop-a-/);
  const gc = await world.coppice(main, 'gc');
  expect([gc.code, things()], gc.stderr).toEqual([0, []]);
  expect(read(service, '.folder')).toBe('');
  expect(fs.existsSync(read(service, '.pwd').trim())).toBe(false);
  expect(read(service, '.told')).toBe(`mine i-7 My_Shop a a ${path.join(world.root, 'a')} unset\n`);
  expect([records(world), fs.readdirSync(path.join(world.root, 'tmp'))]).toEqual([[], []]);
});

test('what cannot be destroyed is kept and listed, with the end of what destroy said, and goes when that is mended', async () => {
  const world = makeWorld();
  const { main, things } = await shop(
    world,
    DATABASE.replace('echo destroy', 'test -e "$SERVICE/.up" || { echo "the service is down"; exit 4; }; echo destroy'),
  );
  await add(world, main);
  await world.git(main, 'worktree', 'remove', '../a');
  const failed = await world.coppice(main, 'gc');
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/✗ DATABASE_URL .*my-shop-a-\w+ is still there: `destroy`: exit code 4\n {4}the service is down\n/);
  expect(JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees).toMatchObject([
    { state: 'removed', resources: [{ name: 'DATABASE_URL', type: 'command', state: 'ready' }] },
  ]);
  writeFiles(world.root, { 'service/.up': '' });
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect([things(), records(world)]).toEqual([[], []]);
});

test('a vanished worktree keeps what it has at a service for `keep:`; the next add does not ask the service', async () => {
  const world = makeWorld();
  const { main, things, asked } = await shop(world, DATABASE);
  await add(world, main);
  await world.git(main, 'worktree', 'remove', '../a');
  await world.run(main, 'git', ['worktree', 'add', '../b', '-b', 'b']);
  expect([things().length, asked()]).toEqual([2, ['create', 'create']]);
});

test('a hostile branch name is only ever a value', async () => {
  const world = makeWorld();
  const { main, service, things, worktree } = await shop(
    world,
    DATABASE.replace('touch', 'echo "$COPPICE_BRANCH" > "$SERVICE/.branch"; touch'),
  );
  const branch = "x';touch${IFS}$SERVICE/pwned;$(touch${IFS}$SERVICE/pwned)`touch${IFS}$SERVICE/pwned`--";
  const added = await add(world, main, branch);
  expect(added.code, added.stderr).toBe(0);
  expect(things()).toEqual([expect.stringMatching(/^my-shop-[a-z0-9-]{1,23}-[0-9a-f]{8}$/)]);
  expect(read(service, '.branch')).toBe(`${branch}\n`);
  expect((await world.coppice(worktree, 'down')).code).toBe(0);
  expect(things()).toEqual([]);
});

test('two variables, two worktrees and two clones never share a name', async () => {
  const world = makeWorld();
  const two = `${DATABASE}${DATABASE.replace('DATABASE_URL', 'OTHER_URL')}`;
  const { main, things } = await shop(world, two);
  await add(world, main);
  await world.git(world.root, 'clone', '-q', main, 'second/shop');
  expect((await world.coppice(path.join(world.root, 'second/shop'), 'install')).code).toBe(0);
  await world.git(path.join(world.root, 'second/shop'), 'worktree', 'add', '-q', '../a', '-b', 'a');
  expect(new Set(things()).size).toBe(4);
});

test('a worktree that was moved keeps what it has', async () => {
  const world = makeWorld();
  const { main, asked, things } = await shop(world, DATABASE);
  await add(world, main);
  const [name] = things();
  await world.git(main, 'worktree', 'move', '../a', '../moved');
  expect((await world.coppice(path.join(world.root, 'moved'), 'up')).code).toBe(0);
  expect([things(), asked()]).toEqual([[name], ['create']]);
});

/** A create that says that it is half-way, and then never ends by itself. */
const HANGING = CHECKED.replace(
  'echo "db:',
  () =>
    'if ! test -e "$SERVICE/.go"; then echo $$ >> "$SERVICE/.pids"; sleep 1000 & echo $! >> "$SERVICE/.pids"; wait; fi\n      echo "db:',
);

function pidsIn(service: string): number[] {
  const file = path.join(service, '.pids');
  return fs.existsSync(file) ? read(file).trim().split('\n').map(Number) : [];
}

test('Ctrl-C ends create with all that it started, and up goes on', async () => {
  const world = makeWorld();
  const { main, service, worktree, things } = await shop(world, HANGING);
  const child = start(world, main, 'setsid', ['git', 'worktree', 'add', '../a', '-b', 'a']);
  await until(() => pidsIn(service).length === 2, 'create');
  process.kill(-(child.child.pid ?? 0), 'SIGINT');
  await child.ended;
  await until(() => !pidsIn(service).some(isAlive), 'the end of all that was started');
  writeFiles(service, { '.go': '' });
  const up = await world.coppice(worktree, 'up');
  expect([up.code, things().length], up.stderr).toEqual([0, 1]);
});

describe('after SIGKILL in the middle of create', () => {
  async function killed(world: World) {
    const shopped = await shop(world, HANGING);
    onTestFinished(() => {
      for (const pid of pidsIn(shopped.service)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    });
    const child = start(world, shopped.main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
    await until(() => pidsIn(shopped.service).length === 2, 'create');
    const { repository = '', id = '' } = records(world)[0] ?? {};
    const owner = read(world.state, 'repos', repository, 'worktrees', id, 'owner');
    process.kill(Number(/"pid":(\d+)/.exec(owner)?.[1]), 'SIGKILL');
    await child.ended;
    expect(pidsIn(shopped.service).map(isAlive)).toEqual([true, true]);
    return shopped;
  }

  test('up ends the create that is left and runs it again', async () => {
    const world = makeWorld();
    const { service, worktree, things, asked } = await killed(world);
    const before = pidsIn(service);
    writeFiles(service, { '.go': '' });
    const up = await world.coppice(worktree, 'up');
    expect([up.code, things().length, before.some(isAlive)], up.stderr).toEqual([0, 1, false]);
    expect(asked()).toEqual(['create', 'create']);
    expect((await world.coppice(worktree, 'down')).code).toBe(0);
    expect(things()).toEqual([]);
  });

  test('gc ends it and destroys what there is', async () => {
    const world = makeWorld();
    const { main, service, things } = await killed(world);
    await world.git(main, 'worktree', 'remove', '--force', '../a');
    const gc = await world.coppice(main, 'gc');
    expect([gc.code, things(), pidsIn(service).some(isAlive)], gc.stderr).toEqual([0, [], false]);
    expect(records(world)).toEqual([]);
  });
});

test('killed after any write to the journal, of a set-up or of down, it converges and nothing is left', async () => {
  const world = makeWorld();
  const { main, worktree, things } = await shop(world, DATABASE);
  await world.git(main, 'worktree', 'add', '-q', '--no-checkout', '../a', '-b', 'a');
  await world.git(worktree, 'checkout', '-q');
  for (const verb of ['up', 'down']) {
    for (let point = 1; ; point += 1) {
      await world.coppice(worktree, verb === 'up' ? 'down' : 'up');
      const killed = await world.run(worktree, process.execPath, [CLI, verb], {
        env: killedAfter(point),
      });
      const up = await world.coppice(worktree, 'up');
      expect([up.code, things().length], up.stderr).toEqual([0, 1]);
      expect((await variables(world, worktree)).DATABASE_URL).toContain(things()[0]);
      const down = await world.coppice(worktree, 'down');
      expect([down.code, things()], down.stderr).toEqual([0, []]);
      // One that was not killed has written less than this.
      if (killed.signal === null) {
        expect([killed.code, point > (verb === 'up' ? 6 : 2)]).toEqual([0, true]);
        break;
      }
    }
  }
});

test('check names what is wrong in a command, and lets commands hold braces of their own', async () => {
  const world = makeWorld();
  const { main } = await shop(
    world,
    `  ONE: { type: command }\n  TWO: { type: command, create: "docker inspect -f '{{.Id}}'", env: { A-B: 1 } }\n  THREE: { type: command, create: x, crate: y }\n  FOUR: { type: neon, projct: x }\n  FIVE: neon\n`,
  );
  const check = await world.coppice(main, 'check');
  expect(check.code).toBe(2);
  const problems = (check.stderr + check.stdout).split('\n').filter((line) => /^\S+:\d+:\d+/.test(line));
  expect(check.stderr).toContain('`resources.ONE` needs `create`');
  expect(check.stderr).toContain('`A-B` cannot be an environment variable');
  expect(check.stderr).toContain('unknown key `crate` in `resources.THREE`');
  expect(check.stderr).toMatch(/unknown key `projct`[\s\S]*`project`/);
  expect(check.stderr).toContain('`resources.FIVE` needs `project`');
  expect(check.stderr).not.toContain('not filled in');
  expect(problems.length, check.stderr).toBe(5);
});

test('a worktree that is removed while create runs: the set-up says so, and gc destroys what was made', async () => {
  const world = makeWorld();
  const { main, service, things } = await shop(
    world,
    DATABASE.replace('echo "db:', 'while ! test -e "$SERVICE/.go"; do sleep 0.05; done; echo "db:'),
  );
  const adding = start(world, main, 'git', ['worktree', 'add', '../a', '-b', 'a']);
  await until(() => things().length === 1, 'create');
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  writeFiles(service, { '.go': '' });
  const added = await adding.ended;
  expect(added.stderr).toMatch(/✗ DATABASE_URL .*The worktree was removed meanwhile/);
  expect((await world.coppice(main, 'gc')).code).toBe(0);
  expect([things(), records(world)]).toEqual([[], []]);
});

test('a daemon that create leaves behind holds nothing up, and its output is in no file', async () => {
  const world = makeWorld();
  const { main, worktree } = await shop(
    world,
    `  X: { type: command, timeout: 20s, create: 'setsid sh -c "echo \\$\\$ > $SERVICE/.pid; exec sleep 300" & cat $SECRET_FILE', destroy: 'true' }\n`,
  );
  onTestFinished(() => {
    process.kill(Number(read(world.root, 'service/.pid')), 'SIGKILL');
  });
  const added = await add(world, main);
  await until(() => /\d/.test(fs.existsSync(path.join(world.root, 'service/.pid')) ? read(world.root, 'service/.pid') : ''), 'the daemon');
  expect(added.code, added.stderr).toBe(0);
  expect((await variables(world, worktree)).X).toBe(CANARY);
  expect(holding(path.join(main, '.git/coppice'), CANARY)).toEqual([]);
});

test.each(['PATH', 'LD_PRELOAD', 'NODE_OPTIONS', 'GIT_DIR', 'COPPICE_PATH', 'BASH_ENV'])(
  'a service cannot set %s, which changes how every program runs',
  async (name) => {
    const world = makeWorld();
    const { main } = await shop(world, `  X: { type: command, output: env, create: 'echo ${name}=x', destroy: 'true' }\n`);
    const added = await add(world, main);
    expect(added.code).toBe(1);
    expect(added.stderr).toContain(`\`create\` printed a line for \`${name}\``);
  },
);

test('a create that says more on stderr than a text can be fails with the end of it', async () => {
  const world = makeWorld();
  const { main } = await shop(
    world,
    `  X: { type: command, create: 'head -c 600M /dev/zero >&2; echo the end >&2; exit 3', destroy: 'true' }\n`,
  );
  const added = await add(world, main);
  expect(added.code).toBe(1);
  expect(added.stderr).toContain('`create`: exit code 3');
  expect(added.stderr).not.toContain('should not');
});

test('what is out of reach for good is given up by what gc calls it, and then the worktree is forgotten', async () => {
  const world = makeWorld();
  const { main, things } = await shop(world, `${DATABASE.replace('rm -f', 'false; exit 5 #')}`);
  await add(world, main);
  const [name = ''] = things();
  await world.git(main, 'worktree', 'remove', '../a');
  const failed = await world.coppice(main, 'gc');
  expect(failed.stderr).toContain(`if it is gone for good: git coppice gc --forget '${name}'`);
  const forgotten = await world.coppice(main, 'gc', '--forget', name);
  expect(forgotten.code, forgotten.stderr).toBe(0);
  expect(forgotten.stderr).toContain('It was not touched');
  expect([things(), records(world)]).toEqual([[name], []]);
  expect((await world.coppice(main, 'gc', '--forget', name)).code).toBe(2);
});

test('what a name meant before is in status and in gc --dry-run while it is there', async () => {
  const world = makeWorld();
  const stuck = `${DATABASE.replace('rm -f', 'test -e "$SERVICE/.up" && rm -f')}    env: { KIND: one }\n`;
  const { main, worktree, things } = await shop(world, stuck);
  await add(world, main);
  const [name = ''] = things();
  writeFiles(worktree, { 'worktree.config.yaml': `project: My_Shop\nresources:\n${stuck.replace('one', 'two')}` });
  await world.coppice(worktree, 'up');
  const listed = JSON.parse((await world.coppice(main, 'status', '--json')).stdout).worktrees;
  expect(listed[0].resources).toContainEqual({ name: 'DATABASE_URL', type: 'command', state: 'left' });
  expect((await world.coppice(main, 'status')).stdout).toContain('DATABASE_URL (earlier)');
  await world.git(main, 'worktree', 'remove', '--force', '../a');
  expect((await world.coppice(main, 'gc', '--dry-run')).stderr).toContain(name);
  writeFiles(world.root, { 'service/.up': '' });
  const gc = await world.coppice(main, 'gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(things()).toEqual([]);
});
