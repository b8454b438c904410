import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeYard, type Yard } from '../fixtures/trust.ts';
import { writeFiles } from '../fixtures/world.ts';

/** What is slow takes minutes, or for ever; what is not, a second. */
const SOON = 60_000;

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
