import fs from 'node:fs';
import { errorMessage } from '../outcome.ts';

/** Lines of a failed command's log that are shown. */
const TAIL_LINES = 20;

/** The end of a log, indented. */
export function tail(log: string): string {
  try {
    const lines = fs.readFileSync(log, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES);
    if (lines.join('') === '') return '';
    return lines.map((line) => `    ${line.slice(0, 400)}`).join('\n');
  } catch (error) {
    return `    (its log cannot be read: ${errorMessage(error)})`;
  }
}
