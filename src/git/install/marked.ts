/** What opens and closes our part of a file that others write too. */
export const OPENING = '# >>> coppice >>>';
const CLOSING = '# <<< coppice <<<';

/** Our part of a text, from the opening mark to the end of the closing mark's line. */
export function markedPart(text: string): string {
  const start = text.indexOf(OPENING);
  const closing = text.indexOf(CLOSING, start);
  const end = closing < 0 ? -1 : text.indexOf('\n', closing);
  return text.slice(start, end < 0 ? undefined : end + 1);
}

/**
 * Puts lines between marks at a place in a text, in the text's own kind of line ends; `withoutLines` takes them out to the byte.
 * @param at the beginning of a line, or the end of the text
 */
export function withLines(text: string, at: number, indent: string, lines: string[]): string {
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const part = [`${OPENING} written by \`coppice install\``, ...lines, CLOSING].map((line) => `${indent}${line}`).join(newline);
  // A last line that does not end: its newline, which we add, is taken out with ours.
  const unended = at === text.length && text !== '' && !text.endsWith('\n');
  return `${text.slice(0, at)}${unended ? newline + part : part + newline}${text.slice(at)}`;
}

/** Takes the lines of `withLines` out. */
export function withoutLines(text: string): string {
  const mark = text.indexOf(OPENING);
  if (mark < 0) return text;
  const start = text.lastIndexOf('\n', mark) + 1;
  const end = mark + markedPart(text).length;
  const unended = end === text.length && !text.endsWith('\n');
  const head = text.slice(0, start);
  return (unended ? head.replace(/\r?\n$/, '') : head) + text.slice(end);
}
