import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { errorCode } from '../outcome.ts';

/** Which process this is, so that another can tell later whether it still runs: a pid alone is reused. */
export interface ProcessMark {
  pid: number;
  /** When it started, in the form that this system gives (clock ticks since boot on Linux). */
  start: string;
  /** This boot of the machine and, on Linux, the pid namespace; a pid means nothing outside it. */
  boot: string;
  host: string;
}

/** The mark of a process, by default this one. Null when no such process runs. */
export function markProcess(pid: number = process.pid): ProcessMark | null {
  const start = startTime(pid);
  return start === null ? null : { pid, start, boot: bootMark(), host: os.hostname() };
}

/**
 * Whether the marked process still runs. Where that cannot be told (another host, another container on this one) it counts
 * as running: nothing may be taken from a process that could be alive.
 */
export function isRunning(mark: ProcessMark): boolean {
  const [boot, namespace] = mark.boot.split(' ');
  const [ourBoot, ourNamespace] = bootMark().split(' ');
  // The boot tells the machine, whatever it is called now. Another boot of a machine of this name is this one before.
  if (boot !== ourBoot) return mark.host !== os.hostname();
  return namespace !== ourNamespace || startTime(mark.pid) === mark.start;
}

/** Whether the mark is of a process that runs here and now, so that its pid may be used. */
export function isRunningHere(mark: ProcessMark): boolean {
  return mark.boot === bootMark() && startTime(mark.pid) === mark.start;
}

function startTime(pid: number): string | null {
  if (process.platform === 'linux') {
    let stat: string;
    try {
      stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    } catch (error) {
      if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return null;
      throw error;
    }
    // proc(5): the command name, field 2, may hold spaces and brackets; state is field 3, starttime field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    return state === 'Z' || state === 'X' ? null : (fields[19] ?? null);
  }
  try {
    const [state, ...start] = execFileSync('/bin/ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trim()
      .split(/\s+/);
    return !state || state.startsWith('Z') ? null : start.join(' ');
  } catch (error) {
    // ps exits with 1 when there is no such process.
    if (error instanceof Error && 'status' in error && error.status === 1) return null;
    throw error;
  }
}

let boot: string | undefined;

function bootMark(): string {
  if (boot !== undefined) return boot;
  if (process.platform === 'linux') {
    const id = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    boot = `${id} ${fs.readlinkSync('/proc/self/ns/pid')}`;
  } else {
    boot = execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim();
  }
  return boot;
}
