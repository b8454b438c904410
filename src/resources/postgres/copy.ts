import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { errorMessage, Failure } from '../../outcome.ts';
import { redact } from '../../report/secrets.ts';
import { type Address, isOnThisMachine } from '../address.ts';
import { containerHas, containersPublishing } from '../container.ts';
import { programEnvironment, type Server } from './server.ts';

/** How to start one of PostgreSQL's programs. */
interface Program {
  command: string;
  args: string[];
  /** Seen from where the program runs. */
  env: NodeJS.ProcessEnv;
  /** Its major version; of one in a container, the server's. */
  version: number;
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

/** A connection that died, as when a laptop slept, is found out in half a minute. Only here can libpq be told. */
const ALIVE = ['-d', 'keepalives_idle=10 keepalives_interval=5 keepalives_count=4'];
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
  const dump = await findDump(server, address, source);
  const load = await findPsql(server, address, target, dump);
  // Who is no superuser can neither give objects away nor grant in another's name.
  const own = server.user.superuser ? [] : ['--no-owner', '--no-privileges'];
  const loading = spawn(load.command, [...load.args, ...readingAll(server)], {
    env: load.env,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  const editing = knowsTooMuch(dump, server) ? spawn('sed', [EDIT], { env: SED, stdio: ['pipe', loading.stdin, 'pipe'] }) : null;
  const dumping = spawn(dump.command, [...dump.args, ...ALIVE, ...LOCK_WAIT, ...own, ...(rows ? [] : ['--schema-only'])], {
    env: dump.env,
    stdio: ['ignore', editing?.stdin ?? loading.stdin, 'pipe'],
  });
  // The pipes are between the programs now; this process would only keep them open.
  loading.stdin.destroy();
  editing?.stdin.destroy();
  const kill = (by: NodeJS.Signals) => {
    dumping.kill(by);
    loading.kill(by);
  };
  let hard: NodeJS.Timeout | undefined;
  const stop = () => {
    kill('SIGTERM');
    // pg_dump asks the server to end its query first, and one that has gone silent does not answer.
    hard = setTimeout(() => kill('SIGKILL'), 2000);
  };
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  const ends = await Promise.all([ended(dumping, 'pg_dump'), ended(loading, 'psql'), editing && ended(editing, 'sed')]);
  signal.removeEventListener('abort', stop);
  clearTimeout(hard);
  if (signal.aborted) throw new Failure('interrupted');
  const [dumped, loaded, edited] = ends;
  // A load that fails breaks the dump's pipe: then it is the load that has something to say.
  const why = loaded ?? dumped ?? edited;
  if (why !== null) throw new Failure(`${source} could not be copied: ${why}`);
}

/** What psql is told that reads SQL from its input to the end: at the first error it stops, and what is set for the role ends nothing. */
function readingAll({ version }: Server): string[] {
  const limits = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'];
  if (version >= 140_000) limits.push('idle_session_timeout');
  if (version >= 170_000) limits.push('transaction_timeout');
  const set = limits.map((name) => `set ${name} = 0`).join('; ');
  return [...ALIVE, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-c', set, '-f', '-'];
}

/** Whether a dump begins with a setting that the server does not know: the programs of 17 and later write it for any server. */
function knowsTooMuch({ version }: Program, server: Server): boolean {
  return version >= 17 && server.version < 170_000;
}

/** In the head alone: further down the line could be a row. */
const EDIT = '1,30{/^SET transaction_timeout = 0;$/d;}';
const SED = { ...process.env, LC_ALL: 'C' };

/**
 * Runs a file of SQL in a database.
 * @param stands where the file stands for those that it names in turn @throws {Failure} with the last words of psql
 */
export async function runSqlFile(
  { server, address, database, signal }: { server: Server; address: Address; database: string; signal: AbortSignal },
  file: string,
  stands: string,
): Promise<void> {
  const { command, args, env } = await findPsql(server, address, database);
  const input = fs.openSync(file, 'r');
  try {
    const child = spawn(command, [...args, ...readingAll(server)], {
      env,
      cwd: path.dirname(stands),
      stdio: [input, 'ignore', 'pipe'],
      signal,
    });
    const why = await ended(child, 'psql');
    if (signal.aborted) throw new Failure('interrupted');
    if (why !== null) throw new Failure(`${path.basename(stands)}: ${why}`);
  } finally {
    fs.closeSync(input);
  }
}

/** The last words of a program that failed; null when it did not. */
function ended(child: ReturnType<typeof spawn>, name: string): Promise<string | null> {
  return new Promise((resolve) => {
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-20_000);
    });
    child.on('error', (error) => resolve(`${name} could not be started: ${errorMessage(error)}`));
    child.on('close', (code, signal) =>
      resolve(code === 0 ? null : lastWords(said) || `${name} ended with ${signal ?? `exit code ${code}`}`),
    );
  });
}

/** What is cut must be without secrets: half of one is one. */
function lastWords(said: string): string {
  return redact(said.replace(/^psql:<stdin>:\d+: /gm, ''))
    .trim()
    .split('\n')
    .slice(-3)
    .join(' ')
    .slice(-2000);
}

/**
 * A pg_dump of the server's version, else the oldest of those that are later: on PATH, beside its other versions, or in the
 * container that publishes the server's port. A server refuses an older one.
 */
export async function findDump(server: Server, address: Address, database: string): Promise<Program> {
  const major = Math.floor(server.version / 10_000);
  const seen = await installed('pg_dump', major);
  const [best] = seen.filter(({ version }) => version >= major);
  if (best !== undefined) return { ...best, args: [], env: programEnvironment(address, database) };
  const newest = seen.at(-1);
  return inContainer(
    'pg_dump',
    server,
    address,
    database,
    newest ? `is version ${newest.version}, older than the server's ${major}` : null,
  );
}

/** A psql to load with. @param dump what writes: its own psql knows all that it writes */
async function findPsql(server: Server, address: Address, database: string, dump?: Program): Promise<Program> {
  if (dump?.command === 'docker') return inContainer('psql', server, address, database, null);
  const beside = dump?.command.includes('/') ? path.join(path.dirname(dump.command), 'psql') : '';
  const seen = beside !== '' && fs.existsSync(beside) ? [{ command: beside, version: dump?.version ?? 0 }] : await installed('psql', 0);
  const [any] = seen;
  if (any === undefined) return inContainer('psql', server, address, database, null);
  return { ...any, args: [], env: programEnvironment(address, database) };
}

/** Where a program is installed: of the version that is wanted at once when PATH has it, else all, the oldest first. */
async function installed(name: 'pg_dump' | 'psql', wanted: number): Promise<{ command: string; version: number }[]> {
  const seen: { command: string; version: number }[] = [];
  for (const command of candidates(name)) {
    const version = await versionOf(command);
    if (version === null) continue;
    // Any version of psql will do.
    if (version === wanted || wanted === 0) return [{ command, version }];
    seen.push({ command, version });
  }
  return seen.sort((a, b) => a.version - b.version);
}

/** @param here what is wrong with the one that is installed; null when there is none @throws {Failure} when no container has it */
async function inContainer(
  name: 'pg_dump' | 'psql',
  server: Server,
  address: Address,
  database: string,
  here: string | null,
): Promise<Program> {
  const major = Math.floor(server.version / 10_000);
  for (const publisher of isOnThisMachine(address.host) ? await containersPublishing(address.port) : []) {
    if (!(await containerHas(publisher, name))) continue;
    const env = { ...programEnvironment(address, database), PGHOST: 'localhost', PGPORT: String(publisher.port) };
    const passed = Object.keys(env).filter((key) => /^PG(HOST|PORT|USER|PASSWORD|DATABASE|APPNAME)$/.test(key));
    const args = ['exec', '-i', ...passed.flatMap((key) => ['-e', key]), publisher.id, name];
    return { command: 'docker', args, env, version: major };
  }
  throw new Failure(
    `${name} ${here ?? 'is not installed'}, and no container publishes port ${address.port}. Install it: Debian and Ubuntu \`apt install postgresql-client-${major}\`, macOS \`brew install postgresql@${major}\`.`,
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
