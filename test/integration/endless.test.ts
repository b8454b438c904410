import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeYard, type Yard } from '../fixtures/trust.ts';
import { writeFiles } from '../fixtures/world.ts';

/** What is slow takes hours, or for ever; what is not, a second. */
const SOON = 280_000;

/** A branch whose worktree `make` has put together, committed. */
async function branch(yard: Yard, name: string, make: (root: string) => void): Promise<void> {
  const { world, main } = yard;
  await world.git(main, 'checkout', '-q', '-b', name);
  make(main);
  await world.git(main, 'add', '-A', '-f', '--', '.', ':!.env', ':!*.db', ':!*.key');
  await world.git(main, 'commit', '-qm', name);
  await world.git(main, 'checkout', '-q', 'main');
}

/** What each verb that looks at a branch that is not trusted comes to: exit code and words. */
async function looked(yard: Yard, folder: string): Promise<Record<string, string>> {
  const said: Record<string, string> = {};
  for (const verb of ['up', 'up --dry-run', 'status', 'trust', 'doctor', 'check']) {
    const { code, stdout, stderr } = await yard.world.coppice(verb === 'status' ? yard.main : folder, ...verb.split(' '));
    said[verb] = `${code} ${stdout}${stderr}`;
  }
  return said;
}

const withInputs = (inputs: string) => `steps:\n  a: { run: "true", inputs: [${inputs}] }\n`;

test('a link whose name no folder can hold is told of like one that leads nowhere', { timeout: SOON }, async () => {
  const yard = await makeYard();
  await branch(yard, 'long', (root) => {
    writeFiles(root, { 'worktree.config.yaml': withInputs('in') });
    fs.mkdirSync(path.join(root, 'in'));
    fs.symlinkSync('x'.repeat(300), path.join(root, 'in/link'));
    fs.symlinkSync('x'.repeat(300), path.join(root, '.env.link'));
    fs.symlinkSync('x'.repeat(300), path.join(root, '.worktreeinclude'));
  });
  const added = await yard.add('long');
  expect([added.code, added.said]).toEqual([0, expect.stringContaining('it is not trusted')]);
  for (const said of Object.values(await looked(yard, added.path))) expect(said).not.toMatch(/should not|ENAMETOOLONG/);
  await yard.world.git(yard.main, 'config', 'coppice.trust', 'all');
  expect((await yard.world.coppice(added.path, 'up')).stderr).toContain('✓ a');
});

test('a glob that a regular expression would be at for ever', { timeout: 3 * SOON }, async () => {
  const yard = await makeYard();
  for (const [name, glob, file] of [
    ['group', 'x/(a+)+b', `x/${'a'.repeat(60)}!`],
    ['braces', `x/${'{a,a}'.repeat(40)}b`, `x/${'a'.repeat(40)}!`],
    ['stars', `x/${'*a'.repeat(30)}b`, `x/${'a'.repeat(200)}`],
  ] as const) {
    await branch(yard, name, (root) => writeFiles(root, { 'worktree.config.yaml': withInputs(`"${glob}"`), [file]: '' }));
    const added = await yard.add(name);
    expect([name, added.code, added.said]).toEqual([name, 1, expect.stringContaining('take longer to match than anybody waits')]);
  }
});

test('links between folders, by which a few are more paths than can be counted', { timeout: SOON }, async () => {
  const yard = await makeYard();
  await branch(yard, 'links', (root) => {
    writeFiles(root, { 'worktree.config.yaml': withInputs('d0') });
    for (let at = 0; at <= 25; at += 1) {
      fs.mkdirSync(path.join(root, `d${at}`));
      for (const name of ['a', 'b']) fs.symlinkSync(`../d${at + 1}`, path.join(root, `d${at}`, name));
    }
    writeFiles(root, { 'd26/file': '' });
  });
  const added = await yard.add('links');
  expect([added.code, added.said]).toEqual([
    1,
    expect.stringContaining('reach more files, or go through more links, than anybody looks at'),
  ]);
  for (const said of Object.values(await looked(yard, added.path))) expect(said).not.toMatch(/should not/);
});

test('env files, compose files and output that would keep a reader busy', { timeout: 2 * SOON }, async () => {
  const yard = await makeYard(
    'resources: { PORT: 26000, COMPOSE_PROJECT_NAME: compose }\nfiles: { .env: merge }\nsteps: { say: { run: node say.cjs, timeout: 30s } }\n',
  );
  await branch(yard, 'busy', (root) => {
    writeFiles(root, {
      '.env.blank': `A=1${'\n'.repeat(150_000)}B=postgres://localhost:26000/x\n`,
      '.env.urls': `A=${'x://a:@'.repeat(100_000)}\n`,
      '.env.parts': `A=x://h/?${'&token=x'.repeat(100_000)}\n`,
      'docker-compose.yml': 'services: { a: { image: x } }\n',
      'say.cjs': "console.log('://a:'.repeat(40_000)); console.log('?password='.repeat(40_000)); console.log('x://a:b@'.repeat(40_000))",
    });
  });
  const added = await yard.add('busy');
  expect([added.code, added.said]).toEqual([0, expect.stringContaining('ready')]);
  for (const said of Object.values(await looked(yard, added.path))) expect(said).not.toMatch(/should not/);
});

test('a compose file that never ends', { timeout: SOON }, async () => {
  const yard = await makeYard('resources: { COMPOSE_PROJECT_NAME: compose }\n');
  for (const [name, make] of Object.entries({
    link: (root: string) => fs.symlinkSync('/dev/zero', path.join(root, 'docker-compose.yml')),
    included: (root: string) => writeFiles(root, { 'docker-compose.yml': 'include: [/dev/zero]\nservices: { a: { image: x } }\n' }),
  })) {
    await branch(yard, name, make);
    const added = await yard.add(name);
    expect([name, added.code, added.said]).toEqual([name, 1, expect.stringContaining('is not a plain file')]);
  }
  await branch(yard, 'large', (root) => writeFiles(root, { 'docker-compose.yml': `# ${'x'.repeat(2 ** 20)}\n` }));
  const large = await yard.add('large');
  expect([large.code, large.said]).toEqual([1, expect.stringContaining('bytes long; at most 1048576 are read')]);
});
