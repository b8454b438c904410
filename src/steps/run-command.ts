import fs from 'node:fs';
import path from 'node:path';
import { markProcess, type ProcessMark } from '../ledger/process.ts';
import { errorMessage } from '../outcome.ts';
import { endGroup } from './process-group.ts';

export interface CommandInput {
  run: string;
  cwd: string;
  env: NodeJS.ProcessEnv;
  timeoutMs: number;
  /** Where its output goes, appended. */
  log: string;
  signal: AbortSignal;
  /** Called as soon as it runs; null when it has ended already. */
  started(mark: ProcessMark | null): void;
}

/** The shell itself appends to the log: what it starts does not depend on this process's pipes. */
const INTO_LOG = 'exec >>"$0" 2>&1; exec /bin/sh -c "$1"';

export type CommandResult = { ok: true } | { ok: false; why: string };

/**
 * Runs a command with `sh -c` in a process group of its own, without standard input or a terminal: nothing in it can wait
 * for an answer. Its output goes straight to the log, so that it outlives this process.
 */
export async function runCommand({ run, cwd, env, timeoutMs, log, signal, started }: CommandInput): Promise<CommandResult> {
  if (signal.aborted) return { ok: false, why: 'interrupted' };
  const { execa } = await import('execa');
  fs.mkdirSync(path.dirname(log), { recursive: true, mode: 0o700 });
  fs.closeSync(fs.openSync(log, 'a', 0o600));
  let ended: 'timeout' | 'interrupted' | null = null;
  const child = execa('/bin/sh', ['-c', INTO_LOG, log, run], {
    cwd,
    env,
    extendEnv: false,
    stdio: 'ignore',
    detached: true,
    cleanup: false,
    reject: false,
    buffer: false,
  });
  const { pid } = child;
  if (pid === undefined) return { ok: false, why: `could not be started: ${errorMessage((await child).cause)}` };
  started(markProcess(pid));
  const end = (why: 'timeout' | 'interrupted') => {
    ended ??= why;
    void endGroup(pid);
  };
  const timer = setTimeout(() => end('timeout'), Math.min(timeoutMs, 2 ** 31 - 1));
  const interrupt = () => end('interrupted');
  signal.addEventListener('abort', interrupt);
  const result = await child;
  clearTimeout(timer);
  signal.removeEventListener('abort', interrupt);
  // The shell may be gone before what it started is.
  if (ended !== null) await endGroup(pid);
  if (ended === 'timeout') return { ok: false, why: `took longer than ${duration(timeoutMs)}` };
  if (ended === 'interrupted') return { ok: false, why: 'interrupted' };
  if (result.exitCode === 0) return { ok: true };
  if (result.exitCode !== undefined) return { ok: false, why: `exit code ${result.exitCode}` };
  return { ok: false, why: result.signal ? `ended by ${result.signal}` : `could not be started: ${errorMessage(result.cause)}` };
}

/** A duration for people: `0.3s`, `12s`, `4m 10s`. */
export function duration(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
}
