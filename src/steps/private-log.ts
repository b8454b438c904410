import fs from 'node:fs';
import { errorCode } from '../outcome.ts';
import { redactBytes } from '../report/secrets.ts';

/** As much as is looked at at once. */
const PART_BYTES = 1024 * 1024;
/** No secret is longer, in whatever form. */
const MOST_SECRET = 64 * 1024;

/**
 * Writes stars over the secrets in the log of a command that has ended. In place and byte for byte: what the command left running
 * goes on appending to this file, and who follows it loses no line.
 */
export function maskLog(file: string): void {
  const descriptor = openIfThere(file);
  if (descriptor === null) return;
  try {
    const { size } = fs.fstatSync(descriptor);
    const buffer = Buffer.alloc(Math.min(size, PART_BYTES));
    // What stands on either side of a part: where a secret is cut in two, both parts know the whole of it.
    let before = '';
    for (let at = 0; at < size; ) {
      const length = fs.readSync(descriptor, buffer, 0, Math.min(buffer.length, size - at), at);
      if (length === 0) return;
      const bytes = buffer.toString('latin1', 0, length);
      const end = at + length < size && length > MOST_SECRET ? length - MOST_SECRET : length;
      const masked = redactBytes(before + bytes).slice(before.length, before.length + end);
      if (masked !== bytes.slice(0, end)) writeAt(descriptor, Buffer.from(masked, 'latin1'), at);
      before = (before + bytes.slice(0, end)).slice(-MOST_SECRET);
      at += end;
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

/** Null when the command has removed it. */
function openIfThere(file: string): number | null {
  try {
    return fs.openSync(file, 'r+');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

function writeAt(descriptor: number, bytes: Buffer, at: number): void {
  for (let done = 0; done < bytes.length; ) done += fs.writeSync(descriptor, bytes, done, bytes.length - done, at + done);
}
