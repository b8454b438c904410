import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { claimedNames, reservedPorts } from '../../ledger/claims.ts';
import { makeFolder, readIfThere, removeIfThere, writeTemporary } from '../../ledger/document.ts';
import { isRunning, isRunningHere, markProcess, type ProcessMark } from '../../ledger/process.ts';
import { openStateDir } from '../../ledger/state-dir.ts';
import { Failure } from '../../outcome.ts';
import { allFree, listeningPorts } from '../../slot.ts';
import { endGroup } from '../../steps/process-group.ts';
import type { DestroyEffects, ResourceEffects } from '../resource.ts';
import { connected, type RedisTarget } from './connection.ts';

/** Below the ports that systems give to outgoing connections, and above those that projects have. */
const FIRST_PORT = 27_100;
const LAST_PORT = 32_700;
/** How long a server may take to read its data before it answers, in milliseconds. */
const START_MS = 60_000;
const END_MS = 10_000;
const PROGRAMS = ['redis-server', 'valkey-server'];

/** The server that a worktree wants. */
export interface ServerWish {
  /** In the state folder; the resource's name. */
  folder: string;
  /** The port that an earlier run chose. */
  port: number | null;
  /** The main worktree's: the app's URL keeps them. */
  user: string;
  password: string;
  databases: number;
}

/** Whether the server runs. One that does not, after a reboot, is started again with its data at its port. */
export async function isServerIntact(wish: ServerWish, effects: ResourceEffects): Promise<boolean> {
  const { port } = wish;
  const folder = path.join(effects.stateFolder, wish.folder);
  if (port === null || !fs.existsSync(dataFolder(folder)) || !effects.claim(`port-${port}`)) return false;
  if (await runs(folder, port, wish, effects)) return true;
  const why = whyNot(folder, port, wish);
  if (!(await run(folder, port, wish, effects))) return false;
  effects.say(`${wish.folder}: ${why}; it was started again, with its data`);
  return true;
}

function whyNot(folder: string, port: number, wish: ServerWish): string {
  const mark = recorded(folder);
  if (mark === null || !isRunningHere(mark)) return 'its redis-server did not run';
  const isChanged = readIfThere(configFile(folder)) !== configText(dataFolder(folder), port, wish);
  return isChanged
    ? "the main worktree's user or password is another than its redis-server was started with"
    : 'its redis-server did not answer as it should';
}

/**
 * Starts a server at a port that nobody has; one that an earlier run started is used as it is.
 * @param intend writes down the port before anything is started
 */
export async function startServer(wish: ServerWish, effects: ResourceEffects, intend: (port: number) => void): Promise<number> {
  const folder = path.join(effects.stateFolder, wish.folder);
  findProgram();
  for await (const port of freePorts(wish.port, effects)) {
    intend(port);
    if ((await runs(folder, port, wish, effects)) || (await run(folder, port, wish, effects))) return port;
    effects.release(`port-${port}`);
  }
  throw new Failure(`No port from ${FIRST_PORT} to ${LAST_PORT} is free for ${wish.folder}.`);
}

/** Ends the server and removes its data. @throws {Failure} when it runs where it cannot be told from another */
export async function endServer(made: Record<string, string>, effects: DestroyEffects): Promise<void> {
  const folder = path.join(effects.stateFolder, made.folder ?? '');
  if (made.folder === undefined) return;
  await endProcess(folder);
  fs.rmSync(folder, { recursive: true, force: true });
  if (made.port !== undefined) effects.release(`port-${made.port}`);
}

/** The port that it had, then each that is claimed by nobody and listened on by nobody, claimed. */
async function* freePorts(before: number | null, { claim, release }: ResourceEffects): AsyncGenerator<number> {
  if (before !== null && claim(`port-${before}`)) yield before;
  const reserved = reservedPorts(claimedNames(openStateDir()));
  for (let port = FIRST_PORT; port <= LAST_PORT; port += 1) {
    if (reserved.has(port) || !claim(`port-${port}`)) continue;
    // Claimed first, probed then: no two of us probe one port at once.
    if (await allFree([port], await listeningPorts())) yield port;
    else release(`port-${port}`);
  }
}

function configFile(folder: string): string {
  return path.join(folder, 'redis.conf');
}

function dataFolder(folder: string): string {
  return path.join(folder, 'data');
}

/** The process that a run of ours started, which it wrote down before it began. */
function recorded(folder: string): (ProcessMark & { port: number }) | null {
  const text = readIfThere(path.join(folder, 'process'));
  return text === null ? null : JSON.parse(text);
}

/** Whether our process runs at this port and lets us in with the password of now. Another port or password is a server to end. */
async function runs(folder: string, port: number, wish: ServerWish, { signal }: ResourceEffects): Promise<boolean> {
  const mark = recorded(folder);
  return mark !== null && mark.port === port && isRunningHere(mark) && (await answers(mark, wish, signal)) === true;
}

/** @returns why not, when it does not */
async function answers(mark: ProcessMark & { port: number }, wish: ServerWish, signal: AbortSignal): Promise<true | Failure> {
  const { user, password } = wish;
  const target: RedisTarget = {
    user,
    password,
    host: '127.0.0.1',
    port: mark.port,
    socket: null,
    tls: false,
    anyCertificate: false,
    server: `127.0.0.1:${mark.port}`,
  };
  try {
    return await connected(target, signal, async (connection) => {
      const reply = String(await connection.command('INFO', 'server'));
      if (Number(/^process_id:(\d+)/m.exec(reply)?.[1]) === mark.pid) return true;
      return new Failure(`Another server answers at port ${mark.port}.`);
    });
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/** Starts the server. @returns false when the port is another's @throws {Failure} when it does not come up for another reason */
async function run(folder: string, port: number, wish: ServerWish, effects: ResourceEffects): Promise<boolean> {
  await endProcess(folder);
  makeFolder(dataFolder(folder));
  const config = configFile(folder);
  fs.renameSync(writeTemporary(config, configText(dataFolder(folder), port, wish)), config);
  const log = path.join(folder, 'log');
  fs.closeSync(fs.openSync(log, 'w', 0o600));
  const mark = launch(folder, config, log, port);
  const deadline = Date.now() + START_MS;
  let why: Failure | true = new Failure('it has ended');
  while (mark !== null && isRunningHere(mark) && Date.now() < deadline) {
    why = await answers(mark, wish, effects.signal);
    if (why === true) return true;
    if (effects.signal.aborted) throw new Failure('interrupted');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const said = fs.readFileSync(log, 'utf8');
  await endProcess(folder);
  if (/address already in use/i.test(said)) return false;
  throw new Failure(`The redis-server of ${wish.folder} does not run: ${said.trim().split('\n').at(-1) || why}`);
}

/**
 * The shell waits for a line, which is sent when the process is written down: a server that nobody could end later never
 * begins. It is a session of its own, in a folder of its own, with no file of ours open, so it outlives the hook. Its data is
 * nobody else's.
 */
const WHEN_TOLD = 'umask 077; IFS= read -r go || exit 1; exec "$0" "$1" >>"$2" 2>&1 </dev/null';

function launch(folder: string, config: string, log: string, port: number): ProcessMark & { port: number } {
  const env = { PATH: process.env.PATH, HOME: os.homedir(), LANG: 'C' };
  const child = spawn('/bin/sh', ['-c', WHEN_TOLD, findProgram(), config, log], {
    cwd: folder,
    env,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const mark = child.pid === undefined ? null : markProcess(child.pid);
  if (mark === null) throw new Failure('The redis-server could not be started: there is no process left for it.');
  const file = path.join(folder, 'process');
  fs.renameSync(writeTemporary(file, JSON.stringify({ ...mark, port })), file);
  child.stdin?.on('error', () => {}); // it was ended before it was told
  child.stdin?.end('\n');
  child.unref();
  return { ...mark, port };
}

/** Ends the process that is written down, if it still is that one. */
async function endProcess(folder: string): Promise<void> {
  const mark = recorded(folder);
  if (mark === null) return;
  if (isRunningHere(mark)) {
    await endGroup(mark.pid);
    const deadline = Date.now() + END_MS;
    while (isRunningHere(mark)) {
      if (Date.now() > deadline) throw new Failure(`The redis-server with process id ${mark.pid} does not end: end it, and try again.`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  } else if (isRunning(mark))
    throw new Failure(
      `The redis-server with process id ${mark.pid} was started in another container or on the host ${mark.host}, so it cannot be ended from here: try again there.`,
    );
  removeIfThere(path.join(folder, 'process'));
}

/** Its settings. The password is in this file (0600) and nowhere else: arguments can be read by everybody. */
function configText(data: string, port: number, { user, password, databases }: ServerWish): string {
  const digest = createHash('sha256').update(password).digest('hex');
  return [
    'bind 127.0.0.1',
    `port ${port}`,
    'protected-mode yes',
    'daemonize no',
    `databases ${databases}`,
    `dir ${quoted(data)}`,
    // What was written is there after a crash of the machine but for the last second.
    'appendonly yes',
    'save ""',
    ...(user !== '' && user !== 'default' ? ['user default off', `user ${quoted(user)} on #${digest} ~* &* +@all`] : []),
    ...(password !== '' && (user === '' || user === 'default') ? [`requirepass ${quoted(password)}`] : []),
    '',
  ].join('\n');
}

/** As redis.conf reads a quoted word: every byte that could mean something is written as `\xHH`. */
function quoted(text: string): string {
  const bytes = [...Buffer.from(text)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[\w./-]/.test(character) ? character : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return `"${bytes.join('')}"`;
}

/** The program that servers of worktrees are. @throws {Failure} when there is none */
export function findProgram(): string {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'];
  for (const program of PROGRAMS)
    for (const folder of folders) {
      const file = path.join(folder, program);
      if (path.isAbsolute(file) && isProgram(file)) return file;
    }
  throw new Failure(
    '`isolate: server` starts redis-server (or valkey-server), which is not on this machine: install the package `redis-server` (Debian, Ubuntu) or `redis` (Fedora, Alpine, Homebrew).',
  );
}

function isProgram(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}
