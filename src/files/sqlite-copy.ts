import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { errorCode, Failure } from '../outcome.ts';
import { copyFile } from './copy.ts';

/** node:sqlite, without a flag, is in Node since 22.13. */
const NODE_HAS_SQLITE = ((major, minor) => major > 22 || (major === 22 && minor >= 13))(
  ...(process.versions.node.split('.').map(Number) as [number, number]),
);

/** Runs in a process of its own, so that a long copy can be stopped. */
const VACUUM = `const { DatabaseSync } = require('node:sqlite');
const db = new DatabaseSync(process.argv[1], { readOnly: process.argv[3] === 'yes' });
db.exec('PRAGMA busy_timeout = 20000');
db.prepare('VACUUM INTO ?').run(process.argv[2]);`;

/**
 * Copies a SQLite database consistently while other processes write to it. `VACUUM INTO` reads one snapshot; a plain copy
 * of a database in use is corrupt or misses rows, and `.backup` starts over at every write.
 * @param target a path where nothing is; the copy is private (0600) from its creation
 * @throws {Failure} when no engine is there and a plain copy would not be safe
 */
export async function copySqlite(source: string, target: string, signal: AbortSignal): Promise<void> {
  if (!fs.statSync(source).isFile()) throw new Failure(`${source} is not a plain file, so it is not copied`);
  refuseForeignLock(source);
  // VACUUM INTO takes an empty file.
  fs.closeSync(fs.openSync(target, 'wx', 0o600));
  const readOnly = mustReadOnly(source);
  const done = NODE_HAS_SQLITE
    ? await vacuum(process.execPath, ['--no-warnings', '-e', VACUUM, source, target, readOnly ? 'yes' : 'no'], source, signal)
    : await vacuum(
        'sqlite3',
        [...(readOnly ? ['-readonly'] : []), '-bail', '-cmd', '.timeout 20000', source, `VACUUM INTO '${target.replaceAll("'", "''")}'`],
        source,
        signal,
      );
  if (!done) copyIdle(source, target);
  refuseForeignLock(source);
}

/**
 * Only a database in WAL mode that nobody has open is opened for writing, because a read-only connection would leave a -wal
 * and a -shm beside it. Any other is not: a writing connection could take a journal for a crashed one's and roll it back.
 */
function mustReadOnly(source: string): boolean {
  const header = Buffer.alloc(20);
  const fd = fs.openSync(source, 'r');
  fs.readSync(fd, header, 0, 20, 0);
  fs.closeSync(fd);
  // https://www.sqlite.org/fileformat.html#the_database_header: bytes 18 and 19 are 2 in WAL mode.
  const isWal = header[18] === 2 && header[19] === 2;
  return !isWal || fs.existsSync(`${source}-wal`);
}

/** SQLite compiled to WebAssembly locks with a folder, which no other SQLite sees: its writes cannot be waited for. */
function refuseForeignLock(source: string): void {
  if (fs.existsSync(`${source}.lock`))
    throw new Failure(
      `${source} is being used by a SQLite that locks with the folder ${source}.lock, which other programs cannot wait for; stop it, then \`git coppice up\``,
    );
}

/** @returns false when there is no such program */
function vacuum(command: string, args: string[], source: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], signal, killSignal: 'SIGKILL' });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, 4000);
    });
    child.on('error', (error) => {
      if (errorCode(error) === 'ENOENT') resolve(false);
      else reject(errorCode(error) === 'ABORT_ERR' ? new Failure('interrupted') : error);
    });
    child.on('close', (code) => {
      if (code === 0) resolve(true);
      else
        reject(
          new Failure(
            `${source} cannot be copied: ${/(?:Error|error[^:]*): (.*)/.exec(said)?.[1] ?? (said.trim().split('\n').at(-1) || `exit code ${code}`)}`,
          ),
        );
    });
  });
}

/** Without an engine only a database that nobody has open can be copied: one with no journal beside it, unchanged meanwhile. */
function copyIdle(source: string, target: string): void {
  const state = () => {
    const { size, mtimeNs, ino } = fs.statSync(source, { bigint: true });
    const beside = ['-wal', '-shm', '-journal'].filter((end) => fs.existsSync(source + end));
    return { mark: `${size} ${mtimeNs} ${ino}`, beside };
  };
  const before = state();
  const busy = (beside: string[]) =>
    new Failure(
      `${source} is in use (${beside.join(', ')} beside it), and this Node has no SQLite: install the sqlite3 program, or use Node 22.13 or later`,
    );
  if (before.beside.length > 0) throw busy(before.beside);
  copyFile(source, target, 0o600);
  const after = state();
  if (after.beside.length > 0 || after.mark !== before.mark) {
    fs.rmSync(target, { force: true });
    throw busy(after.beside);
  }
}
