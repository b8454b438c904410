import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { errorCode, Failure } from '../outcome.ts';

/** What the first line of every file of the ledger says of itself. */
interface Header {
  format: string;
  version: number;
  /** The oldest Coppice that can read the file. */
  needs: string;
}

/** Versions of the formats that this Coppice reads and writes, and the first release that knew them. */
const FORMATS: Record<string, { version: number; needs: string }> = {
  'coppice-claim': { version: 1, needs: '0.1.0' },
  'coppice-owner': { version: 1, needs: '0.1.0' },
  'coppice-journal': { version: 1, needs: '0.1.0' },
  'coppice-repository': { version: 1, needs: '0.1.0' },
  'coppice-worktree': { version: 1, needs: '0.1.0' },
  'coppice-branch': { version: 1, needs: '0.1.0' },
  'coppice-kept': { version: 1, needs: '0.1.0' },
  'coppice-agent-file': { version: 1, needs: '0.1.0' },
  'coppice-main-redis': { version: 1, needs: '0.1.0' },
  'coppice-approval': { version: 1, needs: '0.1.0' },
  'coppice-first-approval': { version: 1, needs: '0.1.0' },
  'coppice-held': { version: 1, needs: '0.1.0' },
};

/** The fields that open a file of `format`. */
function header(format: string): Header {
  const known = FORMATS[format];
  if (!known) throw new Error(`unknown ledger format ${format}`);
  return { format, version: known.version, needs: known.needs };
}

/**
 * Reads one line of JSON that must open a file of `format`.
 * @throws {Failure} when it is not that, or was written by a newer Coppice. It is never taken for an empty file.
 */
export function parseHeader(line: string, format: string, file: string): Record<string, unknown> {
  const value = parseLine(line, file);
  if (value.format !== format || typeof value.version !== 'number') {
    throw new Failure(
      `${file} is not a ${format} file: the ledger is damaged, and nothing was changed. Restore the file, or move it away to give up what it records.`,
    );
  }
  const known = header(format);
  if (value.version > known.version) {
    throw new Failure(`${file} was written by a newer coppice: it needs version ${String(value.needs)} or later.`);
  }
  return value;
}

/** Parses one line of a ledger file. @throws {Failure} when it is not a JSON object. */
export function parseLine(line: string, file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new Failure(
    `${file} cannot be read: the ledger is damaged, and nothing was changed. Restore the file, or move it away to give up what it records.`,
  );
}

/** Reads a one-document file of the ledger; null when it does not exist. @throws {Failure} when damaged or too new. */
export function readDocument(file: string, format: string): Record<string, unknown> | null {
  const text = readIfThere(file);
  return text === null ? null : parseHeader(text, format, file);
}

/** What the system says where nothing stands, nothing can, or a link leads nowhere. */
const NOTHING_THERE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'];

/** A file's text, or null when there is no such file, or a link leads nowhere. Every other error is thrown. */
export function readIfThere(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (NOTHING_THERE.includes(errorCode(error) ?? '')) return null;
    throw error;
  }
}

/** Text of a one-document file. */
export function documentText(format: string, fields: Record<string, unknown>): string {
  return `${JSON.stringify({ ...header(format), ...fields })}\n`;
}

/** Makes a folder and those above it, by default for its owner alone. */
export function makeFolder(folder: string, mode = 0o700): void {
  try {
    fs.mkdirSync(folder, { recursive: true, mode });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    // So Node says of a disk that is read-only. Asked for the first one alone, it says what is wrong.
    let first = path.resolve(folder);
    while (!fs.existsSync(path.dirname(first))) first = path.dirname(first);
    fs.mkdirSync(first, { mode });
    fs.mkdirSync(folder, { recursive: true, mode });
  }
}

/** What stands at a path, links followed; null when nothing does or can, or a link leads nowhere. Every other error is thrown. */
export function statIfThere(file: string): fs.Stats | null {
  try {
    return fs.statSync(file);
  } catch (error) {
    if (NOTHING_THERE.includes(errorCode(error) ?? '')) return null;
    throw error;
  }
}

/** Where a path really is, links followed; null when nothing stands there or can, or a link leads nowhere. */
export function realPathIfThere(file: string): string | null {
  try {
    return fs.realpathSync(file);
  } catch (error) {
    if (NOTHING_THERE.includes(errorCode(error) ?? '')) return null;
    throw error;
  }
}

/** No env file, compose file or setting is larger. What is read of a branch takes time and memory. */
const MOST_PLAIN_BYTES = 1024 * 1024;

/**
 * The text of a plain file, or null when there is none. A pipe or device, which could keep a reader waiting for ever, is an error,
 * and so is a file that is too large.
 */
export function readPlainIfThere(file: string): string | null {
  const stat = statIfThere(file);
  if (stat === null) return null;
  if (!stat.isFile()) throw new Failure(`${file} is not a plain file, so it is not read`);
  if (stat.size > MOST_PLAIN_BYTES) throw new Failure(`${file} is ${stat.size} bytes long; at most ${MOST_PLAIN_BYTES} are read`);
  return readIfThere(file);
}

/** Who may read a file of the common git directory that holds nothing private: every user of the clone whom the umask leaves it to. */
export const FOR_ALL = 0o644;

/** A name for what becomes `target` when it is whole, which no other process uses, in another container neither. */
export function temporaryName(target: string): string {
  return `${target}.${randomBytes(8).toString('hex')}.tmp`;
}

/** Writes a complete temporary file beside `target` (by default 0600, flushed to the disk) and returns its path. */
export function writeTemporary(target: string, text: string, mode = 0o600): string {
  const temporary = path.join(path.dirname(target), `.tmp-${randomBytes(8).toString('hex')}`);
  const fd = fs.openSync(temporary, 'wx', mode);
  try {
    writeWhole(fd, text);
    // Without it a power cut can leave the name with no content (ext4 allocates late).
    fs.fsyncSync(fd);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  } finally {
    fs.closeSync(fd);
  }
  return temporary;
}

/** Writes all of `text`; a short write, as at ENOSPC, is an error. */
export function writeWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  let done = 0;
  while (done < bytes.length) done += fs.writeSync(fd, bytes, done);
}

/** Replaces a one-document file as a whole: a reader sees the old or the new, never a part. */
export function replaceDocument(file: string, format: string, fields: Record<string, unknown>, mode?: number): void {
  const temporary = writeTemporary(file, documentText(format, fields), mode);
  try {
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Creates `file` with this content unless it exists: link(2) lets exactly one of many processes win, and the winner's
 * file is complete from the first moment.
 * @returns whether this call created it.
 */
export function createDocument(file: string, format: string, fields: Record<string, unknown>, mode?: number): boolean {
  const temporary = writeTemporary(file, documentText(format, fields), mode);
  try {
    return linkNew(temporary, file);
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/** Gives the complete file `existing` a second name, unless that name is taken. @returns whether it was free. */
export function linkNew(existing: string, name: string): boolean {
  try {
    fs.linkSync(existing, name);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Removes a file that may be gone already. @returns whether it was there. */
export function removeIfThere(file: string): boolean {
  try {
    fs.unlinkSync(file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Names in a folder; none when the folder does not exist. Every other error is thrown: unreadable is not empty. */
export function listFolder(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
