import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { withoutLocalGitVars } from '../git/git.ts';
import { errorMessage } from '../outcome.ts';

/** As many at once: each starts what its config says, and the machine is somebody's. */
const AT_ONCE = 4;

/** What a set-up came to. */
export interface SetUpEnd {
  code: number | null;
  /** What it said; nothing when all was there. */
  said: string;
}

/** Set-ups in processes of their own, a few at a time. */
export interface SetUps {
  run(commonDir: string, worktree: string): Promise<SetUpEnd>;
  /** Ends those that run, and starts no more. @returns when the last has ended */
  end(): Promise<void>;
}

export function openSetUps(): SetUps {
  const waiting: (() => void)[] = [];
  const running = new Map<number, Promise<unknown>>();
  const stop = { now: false };
  let busy = 0;
  return {
    async run(commonDir, worktree) {
      if (busy >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
      busy += 1;
      try {
        if (stop.now) return { code: null, said: '' };
        return await start(commonDir, worktree, running);
      } finally {
        busy -= 1;
        waiting.shift()?.();
      }
    },
    async end() {
      stop.now = true;
      for (const pid of running.keys()) process.kill(pid, 'SIGTERM');
      await Promise.all(running.values());
    },
  };
}

function start(commonDir: string, worktree: string, running: Map<number, Promise<unknown>>): Promise<SetUpEnd> {
  const [program, args] = runner(commonDir);
  let pid: number | undefined;
  const end = new Promise<SetUpEnd>((resolve) => {
    const child = spawn(program, [...args, 'up', '--quiet'], {
      cwd: worktree,
      env: withoutLocalGitVars(process.env),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    pid = child.pid;
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-16_384);
    });
    const done = (code: number | null, more = '') => {
      if (pid !== undefined) running.delete(pid);
      resolve({ code, said: said + more });
    };
    // The folder may be gone again.
    child.on('error', (error) => done(1, errorMessage(error)));
    child.on('close', (code) => done(code));
  });
  if (pid !== undefined) running.set(pid, end);
  return end;
}

/** What is installed in the repository now; a watcher runs for weeks, and its own files may have been replaced meanwhile. */
function runner(commonDir: string): [string, string[]] {
  const launcher = path.join(commonDir, 'coppice', 'launch');
  return fs.existsSync(launcher) ? [launcher, ['git']] : [process.execPath, [process.argv[1] ?? '']];
}
