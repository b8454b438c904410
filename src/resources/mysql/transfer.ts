import fs from 'node:fs';
import { milliseconds } from '../../config/duration.ts';
import type { ProcessMark } from '../../ledger/process.ts';
import { Failure } from '../../outcome.ts';
import { runCommand } from '../../steps/run-command.ts';
import type { Address } from '../address.ts';
import type { Clients } from './clients.ts';
import { quoted, type Server } from './server.ts';

/** How long a dump may wait for a table that is being altered, in seconds. */
const STUCK_S = 10;

/**
 * Works with any maker's programs: what only one knows has `--loose-` before it. Their own option files are left out, because a
 * password there would win over ours.
 */
const DUMP_OPTIONS = [
  '--single-transaction',
  '--quick',
  '--skip-lock-tables',
  '--skip-add-locks',
  '--routines',
  '--triggers',
  '--events',
  '--hex-blob',
  '--no-tablespaces',
  '--default-character-set=utf8mb4',
  '--max-allowed-packet=1G',
  '--loose-column-statistics=0',
  '--loose-set-gtid-purged=OFF',
];
/** Not connected again: it would go on in a database that was made anew. */
const LOAD_OPTIONS = ['--batch', '--default-character-set=utf8mb4', '--max-allowed-packet=1G', '--loose-skip-reconnect'];
/**
 * Like the apps' own drivers: encrypted where the server can, without a certificate to check. MariaDB's programs take an empty
 * socket for one that is meant where the host is `localhost`.
 */
const CONNECTION = `--host="$DB_HOST" --port="$DB_PORT" --protocol="$DB_PROTOCOL" \${DB_SOCKET:+--socket="$DB_SOCKET"} --loose-skip-ssl-verify-server-cert`;

/**
 * What is changed on the way, in lines of their own that never hold rows (those begin with INSERT or a bracket):
 * who defined a routine, view, trigger or event, which is for an administrator to say, so that it is who loads it; the source's
 * name in ALTER DATABASE, which mysqldump writes around a routine that was made under another collation; and its name before the
 * columns of a view whose definer is gone.
 */
const DEFINER = 'DEFINER=`[^`]*`\\(@`[^`]*`\\)\\{0,1\\}';
const edits = (source: string) => [
  `/^\\/\\*!50001 VIEW /s/${quoted(source).replace(/[\\/.*[\]^$]/g, '\\$&')}\\.\\(\`[^\`]*\`\\.\`[^\`]*\`\\)/\\1/g`,
  `s/^CREATE ${DEFINER} /CREATE /`,
  `s/^\\(\\/\\*!50003 CREATE\\*\\/ \\)\\/\\*!50017 ${DEFINER}\\*\\/ /\\1/`,
  `s/^\\(\\/\\*!50106 CREATE\\*\\/ \\)\\/\\*!50117 ${DEFINER}\\*\\/ /\\1/`,
  `s/^\\/\\*!50013 ${DEFINER} SQL SECURITY /\\/*!50013 SQL SECURITY /`,
  's/^ALTER DATABASE `.*` CHARACTER SET \\([A-Za-z0-9_]*\\) COLLATE \\([A-Za-z0-9_]*\\) /ALTER DATABASE CHARACTER SET \\1 COLLATE \\2 /',
];

/** A pipe between the two processes themselves. The shell knows only the last one's end, so each tells its own. */
const COPY = `set -f; exec 3>&1
ends=$({
  { MYSQL_PWD="$DUMP_PASSWORD" $DUMP --no-defaults --user="$DUMP_USER" ${CONNECTION} $DUMP_OPTIONS -- "$DB_SOURCE"; echo $? >&4; } |
  { LC_ALL=C sed "$EDITS"; echo $? >&4; } |
  { MYSQL_PWD="$LOAD_PASSWORD" $LOAD --no-defaults --user="$LOAD_USER" ${CONNECTION} --binary-mode $LOAD_OPTIONS --database="$DB_TARGET" >&3; echo $? >&4; }
} 4>&1)
test "$(echo $ends)" = "0 0 0"`;
const LOAD = `set -f
MYSQL_PWD="$LOAD_PASSWORD" exec $LOAD --no-defaults --user="$LOAD_USER" ${CONNECTION} $LOAD_OPTIONS --database="$DB_TARGET" <"$DB_FILE"`;

/** What a transfer works with. */
export interface Transfer {
  clients: Clients;
  /** Who reads the source. */
  reader: Address;
  /** Who loads: the app's own user, so that what is defined is defined by them. */
  writer: Address;
  target: string;
  log: string;
  signal: AbortSignal;
  started(mark: ProcessMark | null): void;
}

/** Copies a database into an empty one: everything as of one moment, or its tables alone. @throws {Failure} */
export async function copyDatabase(transfer: Transfer, source: string, rows: boolean, server: Server): Promise<void> {
  const options = [...DUMP_OPTIONS, ...(rows ? [] : ['--no-data'])].join(' ');
  const stuck = new AbortController();
  const watch = watchSource(server, source, stuck);
  try {
    await run(transfer, COPY, { DB_SOURCE: source, DUMP_OPTIONS: options, EDITS: edits(source).join('\n') }, stuck.signal);
  } catch (error) {
    if (stuck.signal.aborted) throw stuck.signal.reason;
    throw error;
  } finally {
    await watch.stop();
  }
}

/** Loads a file of SQL. @throws {Failure} */
export async function loadFile(transfer: Transfer, file: string): Promise<void> {
  await run(transfer, LOAD, { DB_FILE: file }, transfer.signal);
}

async function run(transfer: Transfer, script: string, more: Record<string, string>, signal: AbortSignal): Promise<void> {
  const { clients, reader, writer, target, log } = transfer;
  fs.rmSync(log, { force: true });
  const result = await runCommand({
    run: script,
    cwd: '/',
    env: {
      ...process.env,
      DUMP: clients.dump,
      LOAD: clients.load,
      DUMP_USER: reader.user,
      DUMP_PASSWORD: reader.password,
      LOAD_USER: writer.user,
      LOAD_PASSWORD: writer.password,
      LOAD_OPTIONS: LOAD_OPTIONS.join(' '),
      DB_HOST: clients.host,
      DB_PORT: String(clients.port),
      DB_PROTOCOL: clients.socket === null ? 'TCP' : 'SOCKET',
      DB_SOCKET: clients.socket ?? '',
      DB_TARGET: target,
      ...more,
    },
    timeoutMs: milliseconds('24h'),
    log,
    signal: AbortSignal.any([signal, transfer.signal]),
    started: transfer.started,
  });
  if (!result.ok) throw new Failure(explanation(result.why, log));
}

/** The first thing that a program said against it; that its neighbour does not read any more is not it. */
function explanation(why: string, log: string): string {
  const messages = fs
    .readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => /^ERROR \d|^(mariadb|mysql)[\w-]*: |^(sh|docker|Error|error)\b/.test(line));
  // MariaDB's client prints the whole statement that fails: those are rows of the source, which nobody looks for in a log.
  fs.writeFileSync(log, messages.map((line) => `${line}\n`).join(''));
  const said = messages.find((line) => !/warning|errno 32|broken pipe/i.test(line));
  if (said === undefined || why === 'interrupted') return `the copy did not come to its end: ${why}`;
  const short = said.slice(0, 400);
  if (/no space left|is full|errno: 28|disk full/i.test(short))
    return `the server's disk is full: ${short}. Make room, then run \`git coppice up\`.`;
  if (/Table definition has changed/i.test(short))
    return `a table was altered while it was copied: ${short}. Run \`git coppice up\` when the migration is over.`;
  // MySQL from 8.0 writes a binary log unless it is told not to, and then this takes SUPER.
  if (/^ERROR 1419 /.test(short))
    return `${short}. It has triggers or functions: an administrator lets ordinary users make them by \`SET PERSIST log_bin_trust_function_creators = 1\`.`;
  if (/^ERROR 3105 /.test(short))
    return `${short}. MariaDB's programs do not copy such tables of MySQL: install MySQL's own, \`mysqldump\` and \`mysql\`.`;
  return short;
}

/** Ends a copy that waits for a table which another session alters: the server would let it wait for a day. */
function watchSource(server: Server, source: string, stuck: AbortController): { stop(): Promise<void> } {
  let over = false;
  let wake = () => {};
  const watch = async () => {
    while (!over && !stuck.signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (over) return;
      const waiting = await server.rows(
        `SELECT DB AS place FROM information_schema.PROCESSLIST WHERE DB = ? AND TIME >= ${STUCK_S} AND STATE LIKE 'Waiting for table%lock'
          AND (INFO LIKE 'SELECT /*!40001 SQL_NO_CACHE */%' OR INFO LIKE 'show create %')`,
        [source],
      );
      if (waiting.some(({ place }) => server.same(String(place), source)))
        stuck.abort(
          new Failure(
            `a table of ${source} is locked or being altered by another session, for more than ${STUCK_S} seconds. Run \`git coppice up\` when that is over.`,
          ),
        );
    }
  };
  // A server that went away makes the copy fail too, which is what is said.
  const ended = watch().catch((error: unknown) => {
    if (!(error instanceof Failure)) throw error;
  });
  return {
    stop() {
      over = true;
      wake();
      return ended;
    },
  };
}
