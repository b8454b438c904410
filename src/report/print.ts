import { redact } from './secrets.ts';
import { visible, visibleLines } from './visible.ts';

/** A text fit to be printed on one line: without secrets, made safe. */
export function printable(text: string): string {
  return visible(redact(text));
}

/** The same of a text of several lines. */
export function printableLines(text: string): string {
  return visibleLines(redact(text));
}

/** Prints on stdout, without secrets. */
export function print(text: string): void {
  process.stdout.write(redact(text));
}

/** The same as JSON: each text in it by itself, so that what is left is JSON. What a terminal would not show as it is is escaped. */
export function printJson(data: object): void {
  const text = JSON.stringify(data, (_, value: unknown) => (typeof value === 'string' ? redact(value) : value));
  const escaped = text.replace(/[^ -~\p{L}\p{N}]/gu, (character) =>
    Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  );
  process.stdout.write(`${escaped}\n`);
}
