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
    for (let at = 0; at < size; ) {
      const length = fs.readSync(descriptor, buffer, 0, Math.min(buffer.length, size - at), at);
      if (length === 0) return;
      const bytes = buffer.toString('latin1', 0, length);
      const masked = redactBytes(bytes);
      const end = at + length < size ? endOfPart(bytes, masked) : length;
      if (masked !== bytes) writeAt(descriptor, Buffer.from(masked.slice(0, end), 'latin1'), at);
      at += end;
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

/** Where the next part begins: after a line, or else where no secret can have been cut in two. */
function endOfPart(bytes: string, masked: string): number {
  let end = bytes.lastIndexOf('\n') + 1 || bytes.length - MOST_SECRET;
  while (end > 1 && bytes[end - 1] !== masked[end - 1]) end -= 1;
  return end;
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
