import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openStateDir } from '../../src/ledger/state-dir.ts';
import { openApprovals } from '../../src/trust/approvals.ts';

test('approvals that another process makes a place for at that moment are not taken for somebody else’s', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-approvals-'));
  const state = openStateDir({ COPPICE_STATE_DIR: root });
  const folder = path.join(state.repos, 'one', 'approvals');
  fs.mkdirSync(path.dirname(folder), { recursive: true, mode: 0o700 });
  const script = `const fs = require('node:fs'), folder = process.argv[1]; process.stdout.write('.')
for (;;) { fs.mkdirSync(folder, { mode: 0o700 }); fs.rmdirSync(folder) }`;
  const other = spawn(process.execPath, ['-e', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => other.on('close', resolve));
  onTestFinished(async () => {
    other.kill('SIGKILL');
    await ended;
    fs.rmSync(root, { recursive: true });
  });
  await new Promise((resolve) => other.stdout.once('data', resolve));
  const seen = new Set(Array.from({ length: 30_000 }, () => openApprovals(state, 'one').refused));
  expect([...seen]).toEqual([null]);
});
