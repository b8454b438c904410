import { visible, visibleLines } from '../report/visible.ts';

/** One thing wrong with a config file, or one thing to look at. */
export interface Problem {
  /** The file as the user knows it, relative to the worktree. */
  file: string;
  /** 1-based; 0 when the problem is with the file as a whole. */
  line: number;
  column: number;
  /** How many characters the caret underlines. */
  width: number;
  message: string;
  /** A second sentence: the nearest name, or what to write instead. */
  hint: string | null;
  /** The text of the line. */
  source: string | null;
}

/** A problem as it is printed: where, what, the line with a caret under it, and the hint. */
export function formatProblem(problem: Problem): string {
  return visibleLines(problemText(problem));
}

/** The same for a message, which is made visible when it is printed. */
export function problemText(problem: Problem): string {
  const { file, line, column, width, message, hint, source } = problem;
  const place = line > 0 ? `${file}:${line}:${column}` : file;
  const lines = [`${oneLine(place)}  ${oneLine(message)}`];
  if (source !== null && line > 0) {
    const shown = cut(source, column);
    const gutter = `  ${line} | `;
    // What is made visible is longer than it was. A tab takes one place, as in the column.
    const before = visible(shown.text.slice(0, shown.caret));
    const under = visible(shown.text.slice(shown.caret, shown.caret + width));
    lines.push(`${gutter}${shown.text}`);
    lines.push(`${' '.repeat(gutter.length + before.length)}${'^'.repeat(Math.max(1, under.length))}`);
  }
  if (hint !== null) lines.push(`  ${oneLine(hint)}`);
  return lines.join('\n');
}

/** What stands in a config begins no line of its own. */
function oneLine(text: string): string {
  return text.replaceAll('\n', visible);
}

/** A long line is shown around the place in question. */
function cut(source: string, column: number): { text: string; caret: number } {
  const start = column > 100 ? column - 60 : 0;
  return { text: source.slice(start, start + 120).replaceAll('\t', ' '), caret: Math.min(column - 1 - start, 120) };
}
