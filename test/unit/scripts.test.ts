import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { scriptsNobodyLooksAt } from '../../src/config/scripts.ts';
import { writeFiles } from '../fixtures/world.ts';

test.each<[run: string, more: object, warned: string[]]>([
  ['sh scripts/setup.sh', {}, ['scripts/setup.sh']],
  ['./scripts/setup.sh --all && node "tools/seed.mjs"', {}, ['scripts/setup.sh', 'tools/seed.mjs']],
  ['FORCE=1 bash -eu scripts/setup.sh', {}, ['scripts/setup.sh']],
  ['. scripts/setup.sh', {}, ['scripts/setup.sh']],
  ['./setup.sh', { cwd: 'scripts' }, ['scripts/setup.sh']],
  ['bundle exec ruby tools/seed.mjs', {}, []],
  ['sh scripts/setup.sh', { inputs: ['scripts'] }, []],
  ['sh scripts/setup.sh', { inputs: ['scripts/*.sh'] }, []],
  ['npm ci && cp note.txt copy.txt', {}, []],
  ['sh scripts/missing.sh; /bin/sh "$FILE"; sh ../outside.sh', {}, []],
])('check warns of the scripts that `%s` %j runs and nobody looks at: %j', async (run, more, warned) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-scripts-'));
  onTestFinished(() => fs.rmSync(root, { recursive: true }));
  writeFiles(root, { 'scripts/setup.sh': '', 'tools/seed.mjs': '', 'note.txt': '' });
  const steps = { a: { run, timeout: '30m', retries: 0, variables: true, background: false, ...more } };
  const said = await scriptsNobodyLooksAt({ steps }, root);
  expect(said.map((text) => /runs (\S+),/.exec(text)?.[1])).toEqual(warned);
});
