import fs from 'node:fs';
import path from 'node:path';
import { makeFolder } from '../ledger/document.ts';
import { markProcess, type ProcessMark } from '../ledger/process.ts';
import { errorMessage } from '../outcome.ts';
import { maskLog } from './private-log.ts';
import { endGroup } from './process-group.ts';

export interface CommandInput {
  run: string;
  cwd: string;
  env: NodeJS.ProcessEnv;
  timeoutMs: number;
  /** Where its output goes, appended. */
  log: string;
  signal: AbortSignal;
  /** Gets what it has printed on stdout when it ends, which then is not in the log; up to 1 MiB. */
  stdout?(text: string): void;
  /** Called as soon as it runs; null when it has ended already. */
  started(mark: ProcessMark | null): void;
}

/**
 * The command waits for a line, which is sent when the journal knows the process: one that nobody could end later never
 * begins. The shell itself appends to the log, so that what it starts does not depend on this process's pipes.
 */
const WHEN_TOLD = 'IFS= read -r go || exit 1; exec >>"$0" 2>&1 </dev/null; exec /bin/sh -c "$1"';
/**
 * The same, with stdout in a file of its own. Not a pipe: a daemon that the command leaves behind would hold that open, and nobody
 * would ever see its end.
 */
const WHEN_TOLD_STDOUT = WHEN_TOLD.replace('>>"$0" 2>&1', '>>"$2" 2>>"$0"');
const MAX_STDOUT_BYTES = 1024 * 1024;
/** How often it is looked at how much that is, in milliseconds. */
const LOOK_EVERY_MS = 50;

export type CommandResult = { ok: true } | { ok: false; why: string };

/**
 * Runs a command with `sh -c` in a process group of its own, without standard input or a terminal: nothing in it can wait
 * for an answer. Its output goes straight to the log, so that it outlives this process; secrets are taken out of that when it has
 * ended.
 */
export async function runCommand({ run, cwd, env, timeoutMs, log, signal, started, stdout }: CommandInput): Promise<CommandResult> {
  if (signal.aborted) return { ok: false, why: 'interrupted' };
  const { execa } = await import('execa');
  makeFolder(path.dirname(log));
  fs.closeSync(fs.openSync(log, 'a', 0o600));
  const output = stdout ? newOutput(log) : null;
  let ended: 'timeout' | 'interrupted' | 'output' | null = null;
  const child = execa('/bin/sh', ['-c', output === null ? WHEN_TOLD : WHEN_TOLD_STDOUT, log, run, output ?? ''], {
    cwd,
    env,
    extendEnv: false,
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cleanup: false,
    reject: false,
    buffer: false,
  });
  const { pid } = child;
  if (pid === undefined) return { ok: false, why: `could not be started: ${errorMessage((await child).cause)}` };
  child.stdin?.on('error', () => {}); // it was ended before it was told
  try {
    started(markProcess(pid));
  } catch (error) {
    // It is never told, and ends: nobody waits for it, and it does not wait for us.
    child.stdin?.end();
    await child;
    throw error;
  }
  child.stdin?.end('\n');
  const end = (why: 'timeout' | 'interrupted' | 'output') => {
    ended ??= why;
    void endGroup(pid);
  };
  const looking =
    output === null
      ? undefined
      : setInterval(() => {
          if (fs.statSync(output).size > MAX_STDOUT_BYTES) end('output');
        }, LOOK_EVERY_MS);
  const timer = setTimeout(() => end('timeout'), Math.min(timeoutMs, 2 ** 31 - 1));
  const interrupt = () => end('interrupted');
  signal.addEventListener('abort', interrupt);
  const result = await child;
  clearTimeout(timer);
  clearInterval(looking);
  const printed = output === null ? null : takeOutput(output);
  signal.removeEventListener('abort', interrupt);
  // The shell may be gone before what it started is.
  if (ended !== null) await endGroup(pid);
  maskLog(log);
  if (ended === 'timeout') return { ok: false, why: `took longer than ${duration(timeoutMs)}` };
  if (ended === 'interrupted') return { ok: false, why: 'interrupted' };
  if (ended === 'output' || (printed !== null && printed.length > MAX_STDOUT_BYTES))
    return { ok: false, why: 'printed more than 1 MiB on stdout' };
  if (printed !== null) stdout?.(printed.toString('utf8'));
  if (result.exitCode === 0) return { ok: true };
  if (result.exitCode !== undefined) return { ok: false, why: `exit code ${result.exitCode}` };
  return { ok: false, why: result.signal ? `ended by ${result.signal}` : `could not be started: ${errorMessage(result.cause)}` };
}

/** The file for stdout, which may be secret: its owner's alone, and gone when the command has ended. */
function newOutput(log: string): string {
  const file = `${log}.stdout`;
  fs.rmSync(file, { force: true });
  fs.closeSync(fs.openSync(file, 'wx', 0o600));
  return file;
}

/** One byte more than may be there, to tell. */
function takeOutput(file: string): Buffer {
  const descriptor = fs.openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(MAX_STDOUT_BYTES + 1);
    return buffer.subarray(0, fs.readSync(descriptor, buffer, 0, buffer.length, 0));
  } finally {
    fs.closeSync(descriptor);
    fs.rmSync(file);
  }
}

/** A duration for people: `0.3s`, `12s`, `4m 10s`. */
export function duration(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
}
