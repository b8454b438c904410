import fs from 'node:fs';
import { errorMessage } from '../outcome.ts';
import { redact } from '../report/secrets.ts';

/** Lines of a failed command's log that are shown. */
const TAIL_LINES = 20;

/** As much of its end as is read: a log can be larger than a text may be. */
const TAIL_BYTES = 64 * 1024;

/** The last part of a file, whole lines but for the first. */
export function readEnd(file: string): string {
  const descriptor = fs.openSync(file, 'r');
  try {
    const { size } = fs.fstatSync(descriptor);
    const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const length = fs.readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8', 0, length);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The end of a log, indented. */
export function tail(log: string): string {
  try {
    // A line that is cut must be without secrets: half of one is one.
    const lines = redact(readEnd(log)).trimEnd().split('\n').slice(-TAIL_LINES);
    if (lines.join('') === '') return '';
    return lines.map((line) => `    ${line.slice(0, 400)}`).join('\n');
  } catch (error) {
    return `    (its log cannot be read: ${errorMessage(error)})`;
  }
}
