import { parse } from 'dotenv';

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

// What dotenv takes for an assignment: an optional `export`, a name, `=`, then a quoted value over any number of lines, or
// the rest of the line up to a `#`. A quote that is not closed makes it the second kind.
const ASSIGNMENT =
  /^[^\S\r\n]*(?:export[^\S\r\n]+)?(?<name>[\w.-]+)[^\S\r\n]*=[^\S\r\n]*(?<value>'(?:\\'|[^'])*'(?=[^\S\r\n]*(?:#.*)?(?:\r?\n|$))|"(?:\\"|[^"])*"(?=[^\S\r\n]*(?:#.*)?(?:\r?\n|$))|`(?:\\`|[^`])*`(?=[^\S\r\n]*(?:#.*)?(?:\r?\n|$))|[^#\r\n]*)(?<rest>(?:#.*)?)(?:\r?\n|$)/dgmu;

/** The assignments of an env file in order; where a name stands twice, the later counts for most readers. */
export function assignments(text: string): Assignment[] {
  const found: Assignment[] = [];
  for (const match of text.matchAll(ASSIGNMENT)) {
    const { name = '', value = '' } = match.groups ?? {};
    const [valueStart, valueEnd] = match.indices?.groups?.value ?? [0, 0];
    const trailing = /\s*$/.exec(value)?.[0].length ?? 0;
    found.push({
      name,
      value: parse(`X=${value}`).X ?? '',
      start: match.index,
      end: match.index + match[0].length,
      valueStart,
      valueEnd: valueEnd - trailing,
    });
  }
  return found;
}

/** The values of an env file, as dotenv reads them. */
export function readEnvText(text: string): Record<string, string> {
  return parse(text);
}

/** The line end that a text uses. */
export function lineEnd(text: string): '\n' | '\r\n' {
  return /\r\n/.test(text) ? '\r\n' : '\n';
}
