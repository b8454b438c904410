import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Failure } from '../outcome.ts';
import { visible } from '../report/visible.ts';
import { logsFolder } from '../set-up.ts';
import { findTarget } from './target.ts';

/** `coppice logs [step]`: what a step printed the last time it ran; without a step, which logs there are. */
export async function logs(step: string | undefined, options: { follow?: boolean; worktree?: string }): Promise<number> {
  const { place, worktree } = await findTarget(options.worktree, 'logs --worktree');
  const folder = worktree.id === null ? null : logsFolder(place.repository.commonDir, worktree.id);
  const names = folder !== null && fs.existsSync(folder) ? fs.readdirSync(folder).map((name) => path.basename(name, '.log')) : [];
  if (step === undefined) {
    for (const name of names.sort()) process.stdout.write(`${name}\n`);
    if (names.length === 0) process.stderr.write('No step has run in this worktree.\n');
    return 0;
  }
  if (folder === null || !names.includes(step))
    throw new Failure(
      `There is no log of \`${step}\`.${names.length > 0 ? ` Logs: ${names.sort().join(', ')}.` : ' No step has run in this worktree.'}`,
      2,
    );
  const file = path.join(folder, `${step}.log`);
  if (options.follow) return follow(file);
  const text = fs.readFileSync(file, 'utf8');
  // A person's terminal is protected from what a command printed; a program gets every byte.
  process.stdout.write(process.stdout.isTTY ? text.split('\n').map(visible).join('\n') : text);
  return 0;
}

function follow(file: string): Promise<number> {
  // Not by import(): there is none in a script that V8's cache is read for.
  const readline = process.getBuiltinModule('node:readline');
  return new Promise((resolve, reject) => {
    const child = spawn('tail', ['-n', '+1', '-f', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = readline.createInterface({ input: child.stdout });
    lines.on('line', (line) => process.stdout.write(`${process.stdout.isTTY ? visible(line) : line}\n`));
    // Told to end, it takes its child along.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => child.kill());
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 0));
  });
}
