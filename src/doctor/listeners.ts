import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { errorCode } from '../outcome.ts';

/** A process that listens on a TCP port. Of other users' processes the kernel tells no more than the port. */
export interface Listener {
  port: number;
  pid: number | null;
  /** The program's name. */
  program: string;
  /** Its folder. */
  cwd: string | null;
}

/** Who listens on this machine's TCP ports. */
export function findListeners(): Promise<Listener[]> {
  return process.platform === 'linux' ? Promise.resolve(fromProc()) : fromLsof();
}

/** proc(5): `/proc/net/tcp` has the socket's inode, `/proc/<pid>/fd` who has it open. */
function fromProc(): Listener[] {
  const ports = new Map<string, number>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of read(table).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === '0A') ports.set(fields[9] ?? '', Number.parseInt(fields[1]?.split(':')[1] ?? '', 16));
    }
  }
  const found: Listener[] = [];
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const inode of socketsOf(pid)) {
      const port = ports.get(inode);
      if (port === undefined) continue;
      const program = read(`/proc/${pid}/comm`).trim();
      found.push({ port, pid: Number(pid), program, cwd: link(`/proc/${pid}/cwd`) });
    }
  }
  const known = new Set(found.map(({ port }) => port));
  return [
    ...found,
    ...[...new Set(ports.values())].filter((port) => !known.has(port)).map((port) => ({ port, pid: null, program: '', cwd: null })),
  ];
}

function socketsOf(pid: string): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return fs.readdirSync(folder).flatMap((name) => /^socket:\[(\d+)\]$/.exec(link(path.join(folder, name)) ?? '')?.[1] ?? []);
  } catch (error) {
    // Of another user, or it has ended.
    if (!isPassing(error)) throw error;
    return [];
  }
}

function link(file: string): string | null {
  try {
    return fs.readlinkSync(file);
  } catch (error) {
    if (!isPassing(error)) throw error;
    return null;
  }
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (!isPassing(error)) throw error;
    return '';
  }
}

function isPassing(error: unknown): boolean {
  return ['ENOENT', 'EACCES', 'EPERM', 'ESRCH', 'EINVAL'].includes(errorCode(error) ?? '');
}

/** lsof(8), which macOS has: `p<pid>`, `c<program>`, `n<address>` a line. */
async function fromLsof(): Promise<Listener[]> {
  const found: Listener[] = [];
  let pid = 0;
  let program = '';
  for (const line of (await run('lsof', ['-nP', '-iTCP', '-sTCP:LISTEN', '-Fpcn'])).split('\n')) {
    if (line.startsWith('p')) pid = Number(line.slice(1));
    if (line.startsWith('c')) program = line.slice(1);
    const port = line.startsWith('n') ? /:(\d+)$/.exec(line)?.[1] : undefined;
    if (port !== undefined) found.push({ port: Number(port), pid, program, cwd: null });
  }
  if (found.length === 0) return found;
  const folders = new Map<number, string>();
  const pids = [...new Set(found.map((listener) => listener.pid))].join(',');
  for (const line of (await run('lsof', ['-a', '-d', 'cwd', '-p', pids, '-Fpn'])).split('\n')) {
    if (line.startsWith('p')) pid = Number(line.slice(1));
    if (line.startsWith('n')) folders.set(pid, line.slice(1));
  }
  return found.map((listener) => ({ ...listener, cwd: folders.get(listener.pid ?? 0) ?? null }));
}

/** lsof ends with 1 when it finds nothing, or not all that was asked for. */
function run(command: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 20_000 }, (error, stdout) =>
      error && errorCode(error) === 'ENOENT' ? reject(error) : resolve(stdout),
    );
  });
}
