import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Failure } from '../outcome.ts';
import { print, printable, printableLines } from '../report/print.ts';
import { redact } from '../report/secrets.ts';
import { logsFolder } from '../set-up.ts';
import { findTarget, learnFrom, recordOf } from './target.ts';

/** `coppice logs [step]`: what a step printed the last time it ran; without a step, which logs there are. */
export async function logs(step: string | undefined, options: { follow?: boolean; worktree?: string }): Promise<number> {
  const { place, worktree } = await findTarget(options.worktree, 'logs --worktree');
  const folder = worktree.id === null ? null : logsFolder(place.repository.commonDir, worktree.id);
  const names = folder !== null && fs.existsSync(folder) ? fs.readdirSync(folder).map((name) => path.basename(name, '.log')) : [];
  if (step === undefined) {
    for (const name of names.sort()) print(`${name}\n`);
    if (names.length === 0) process.stderr.write('No step has run in this worktree.\n');
    return 0;
  }
  if (folder === null || !names.includes(step))
    throw new Failure(
      `There is no log of \`${step}\`.${names.length > 0 ? ` Logs: ${names.sort().join(', ')}.` : ' No step has run in this worktree.'}`,
      2,
    );
  learnFrom(worktree, recordOf(place.repository.commonDir, worktree));
  const file = path.join(folder, `${step}.log`);
  if (options.follow) return follow(file);
  const text = fs.readFileSync(file, 'utf8');
  // A person's terminal is protected from what a command printed; a program gets every byte, but for secrets.
  process.stdout.write(process.stdout.isTTY ? printableLines(text) : redact(text));
  return 0;
}

function follow(file: string): Promise<number> {
  // Not by import(): there is none in a script that V8's cache is read for.
  const readline = process.getBuiltinModule('node:readline');
  return new Promise((resolve, reject) => {
    const child = spawn('tail', ['-n', '+1', '-f', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = readline.createInterface({ input: child.stdout });
    lines.on('line', (line) => process.stdout.write(`${process.stdout.isTTY ? printable(line) : redact(line)}\n`));
    // Told to end, it takes its child along.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => child.kill());
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 0));
  });
}
