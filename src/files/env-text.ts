import { parse } from 'dotenv';
import { Failure } from '../outcome.ts';

/** One assignment in an env file, with where its value stands in the text. */
export interface Assignment {
  name: string;
  /** As dotenv reads it. */
  value: string;
  /** Where the line (or lines) of the assignment start and end, the line end included. */
  start: number;
  end: number;
  /** Where the value with its quotes starts and ends. */
  valueStart: number;
  valueEnd: number;
}

// What dotenv takes for an assignment, its oddities included (`NAME: value`; a quoted value on the next line): both must find
// the same ones. A quote that is not closed, or is followed by more than a comment, makes the value the rest of the line.
const ASSIGNMENT =
  /^(?<before>\s*)(?:export\s+)?(?<name>[\w.-]+)(?<separator>\s*=\s*?|:\s+?)(?<value>\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$/dgm;

/** Nobody leaves so many lines empty. To look through them takes dotenv's expression, and ours, the square of their number. */
const EMPTY_LINES = /\s{200,}/g;
const isEmptyLines = (blank: string) => blank.split('\n').length > 100;

/**
 * The assignments of an env file in order; where a name stands twice, the later counts for most readers.
 * @throws {Failure} when hundreds of lines in a row are empty
 */
export function assignments(text: string): Assignment[] {
  if (text.match(EMPTY_LINES)?.some(isEmptyLines)) throw new Failure('the env file has hundreds of empty lines in a row: take them out');
  const { normal, toOriginal } = withPlainLineEnds(text);
  return [...normal.matchAll(ASSIGNMENT)].map((match) => {
    const { before = '', name = '', value = '' } = match.groups ?? {};
    const separatorEnd = match.indices?.groups?.separator?.[1] ?? 0;
    const [from, to] = match.indices?.groups?.value ?? [separatorEnd, separatorEnd];
    const trimmed = value.trim();
    const lead = value.indexOf(trimmed);
    const valueEnd = trimmed === '' ? separatorEnd : from + lead + trimmed.length;
    // Only a quoted value may stand on the next line: the line end belongs to it, so that a bare one can take its place.
    const valueStart = trimmed === '' || value.slice(0, lead).includes('\n') ? separatorEnd : from + lead;
    const lineEnd = normal.indexOf('\n', Math.max(valueEnd, trimmed === '' ? separatorEnd : to));
    const start = match.index + Math.max(before.lastIndexOf('\n') + 1, match.index === 0 && before.startsWith('\uFEFF') ? 1 : 0);
    return {
      name,
      value: trimmed === '' ? '' : (parse(`X=${value}`).X ?? ''),
      start: toOriginal(start),
      end: lineEnd < 0 ? text.length : toOriginal(lineEnd + 1),
      valueStart: toOriginal(valueStart),
      valueEnd: toOriginal(valueEnd),
    };
  });
}

/** dotenv reads `\r\n` and `\r` as line ends: the text with `\n` alone, and the way back from its offsets. */
function withPlainLineEnds(text: string): { normal: string; toOriginal(offset: number): number } {
  const normal = text.replace(/\r\n?/g, '\n');
  if (normal.length === text.length) return { normal, toOriginal: (offset) => offset };
  const original: number[] = [];
  for (let index = 0; index < text.length; index += 1) {
    original.push(index);
    if (text.startsWith('\r\n', index)) index += 1;
  }
  return { normal, toOriginal: (offset) => original[offset] ?? text.length };
}

/** The values of an env file, as dotenv reads them. A map without a prototype, so that no name reads what is not in the file. */
export function readEnvText(text: string): Record<string, string> {
  return Object.assign(Object.create(null), parse(text.replace(EMPTY_LINES, (blank) => (isEmptyLines(blank) ? '\n' : blank))));
}

/** The line end that a text uses. */
export function lineEnd(text: string): '\n' | '\r\n' {
  return /\r\n/.test(text) ? '\r\n' : '\n';
}
