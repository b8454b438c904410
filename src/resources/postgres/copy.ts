import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { errorMessage, Failure } from '../../outcome.ts';
import type { Address } from '../address.ts';
import { programEnvironment, type Server } from './server.ts';

/** How to start one of PostgreSQL's programs. */
interface Program {
  command: string;
  args: string[];
  /** Seen from where the program runs. */
  env: NodeJS.ProcessEnv;
}

/** Where PostgreSQL's programs are installed beside each other, a folder a version. */
const FOLDERS = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/opt/homebrew/opt/libpq/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
];

/** A migration that is open in the source holds its tables: that is not waited out. */
const LOCK_WAIT = ['--lock-wait-timeout=10s'];

/** What to load, into which database. */
export interface Copy {
  server: Server;
  /** The role that reads and writes. */
  address: Address;
  source: string;
  target: string;
  rows: boolean;
  signal: AbortSignal;
}

/**
 * Copies a database by dump and load, as of one moment, while others use it. The data goes from one program to the other; none
 * of it is kept here, whatever its size.
 * @throws {Failure} when the programs are not there, or one of them fails, with its last words
 */
export async function dumpAndLoad({ server, address, source, target, rows, signal }: Copy): Promise<void> {
  const dump = await findProgram('pg_dump', server, address, source);
  const load = await findProgram('psql', server, address, target);
  // Who is no superuser can neither give objects away nor grant in another's name.
  const own = server.user.superuser ? [] : ['--no-owner', '--no-privileges'];
  const loading = spawn(load.command, [...load.args, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null'], {
    env: load.env,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const dumping = spawn(dump.command, [...dump.args, ...LOCK_WAIT, ...own, ...(rows ? [] : ['--schema-only'])], {
    env: dump.env,
    stdio: ['ignore', loading.stdin, 'pipe'],
  });
  // The pipe is between the two now; this process would only keep it open.
  loading.stdin.destroy();
  const stop = () => {
    dumping.kill();
    loading.kill();
  };
  signal.addEventListener('abort', stop);
  const ends = await Promise.all([ended(dumping, 'pg_dump'), ended(loading, 'psql')]);
  signal.removeEventListener('abort', stop);
  if (signal.aborted) throw new Failure('interrupted');
  const [dumped, loaded] = ends;
  // A load that fails breaks the dump's pipe: then it is the load that has something to say.
  const why = loaded ?? dumped;
  if (why !== null) throw new Failure(`${source} could not be copied: ${why}`);
}

/** Runs a file of SQL in a database. @throws {Failure} with the last words of psql */
export async function runSqlFile(server: Server, address: Address, database: string, file: string, signal: AbortSignal): Promise<void> {
  const { command, args, env } = await findProgram('psql', server, address, database);
  const input = fs.openSync(file, 'r');
  try {
    const child = spawn(command, [...args, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null'], {
      env,
      cwd: path.dirname(file),
      stdio: [input, 'ignore', 'pipe'],
      signal,
    });
    const why = await ended(child, 'psql');
    if (signal.aborted) throw new Failure('interrupted');
    if (why !== null) throw new Failure(`${path.basename(file)}: ${why}`);
  } finally {
    fs.closeSync(input);
  }
}

/** The last words of a program that failed; null when it did not. */
function ended(child: ReturnType<typeof spawn>, name: string): Promise<string | null> {
  return new Promise((resolve) => {
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000);
    });
    child.on('error', (error) => resolve(`${name} could not be started: ${errorMessage(error)}`));
    child.on('close', (code, signal) =>
      resolve(code === 0 ? null : said.trim().split('\n').slice(-3).join(' ') || `${name} ended with ${signal ?? `exit code ${code}`}`),
    );
  });
}

/**
 * A program of the server's version or later: on PATH, beside its other versions, or in the container that publishes the
 * server's port.
 */
export async function findProgram(name: 'pg_dump' | 'psql', server: Server, address: Address, database: string): Promise<Program> {
  const env = programEnvironment(address, database);
  const major = Math.floor(server.version / 10_000);
  // psql of any version loads; a dump by an older program is refused by the server's.
  const oldest = name === 'pg_dump' ? major : 0;
  const seen: number[] = [];
  for (const command of candidates(name)) {
    const version = await versionOf(command);
    if (version === null) continue;
    if (version >= oldest) return { command, args: [], env };
    seen.push(version);
  }
  const container = await publishingContainer(address.port);
  if (container !== null) {
    const inside = { ...env, PGHOST: 'localhost', PGPORT: '5432' };
    const passed = Object.keys(inside).filter((key) => /^PG(HOST|PORT|USER|PASSWORD|DATABASE|APPNAME)$/.test(key));
    return { command: 'docker', args: ['exec', '-i', ...passed.flatMap((key) => ['-e', key]), container, name], env: inside };
  }
  const found = seen.length === 0 ? 'is not installed' : `is version ${Math.max(...seen)}, older than the server's ${major}`;
  throw new Failure(
    `${name} ${found}, and no container publishes port ${address.port}. Install it: Debian and Ubuntu \`apt install postgresql-client-${major}\`, macOS \`brew install postgresql@${major}\`.`,
  );
}

function candidates(name: string): string[] {
  const folders = FOLDERS.flatMap((pattern) => {
    const [before = '', after] = pattern.split('*');
    if (after === undefined) return [pattern];
    const parent = before.endsWith('/') ? before.slice(0, -1) : path.dirname(before);
    const start = before.endsWith('/') ? '' : path.basename(before);
    const versions = fs.existsSync(parent) ? fs.readdirSync(parent).filter((entry) => entry.startsWith(start)) : [];
    return versions.sort((a, b) => b.localeCompare(a, 'en', { numeric: true })).map((entry) => `${parent}/${entry}${after}`);
  });
  return [name, ...folders.map((folder) => path.join(folder, name)).filter((file) => fs.existsSync(file))];
}

/** The major version of a program; null when there is none. */
function versionOf(command: string): Promise<number | null> {
  return new Promise((resolve) => {
    execFile(command, ['--version'], { encoding: 'utf8' }, (error, stdout) => {
      const [, major] = /\) (\d+)/.exec(stdout) ?? [];
      resolve(error || major === undefined ? null : Number(major));
    });
  });
}

/** The container that publishes a port of this machine; null when there is none, or no Docker. */
function publishingContainer(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    execFile('docker', ['ps', '--quiet', '--filter', `publish=${port}`], { encoding: 'utf8', timeout: 10_000 }, (error, stdout) =>
      resolve(error ? null : (stdout.trim().split('\n')[0] ?? '') || null),
    );
  });
}
