import type { Colors } from 'picocolors/types.js';
import { duration } from '../steps/run-command.ts';
import { printable, printableLines } from './print.ts';

/** What a set-up says while it runs. Everything goes to stderr; text from outside is made safe to print, and secrets are left out. */
export interface Reporter {
  title(text: string): void;
  /** Names that lines will be for: their columns are made wide enough. */
  expect(names: readonly string[]): void;
  /** A line for a thing that is done. */
  done(name: string, detail: string, ms?: number): void;
  /** A line for a thing that needed nothing. */
  same(name: string, detail: string): void;
  fail(name: string, detail: string): void;
  warn(text: string): void;
  /** Text as it is, each line made safe. */
  text(text: string): void;
  /** Says what is going on now; a spinner on a terminal, nothing elsewhere. */
  busy(names: string[]): void;
  close(): void;
}

/** Longer names are not waited for by the others' columns. */
const WIDEST = 24;

type Spinner = { text: string; start(): void; stop(): void };

/** Colours, or none. The library looks at stdout when it is loaded, which costs a run that has no terminal its time. */
export async function colorsFor(wanted: boolean): Promise<Pick<Colors, 'bold' | 'dim' | 'green' | 'red' | 'yellow'>> {
  if (wanted) return (await import('picocolors')).default.createColors(true);
  return { bold: String, dim: String, green: String, red: String, yellow: String };
}

/** A reporter for a stream, by default stderr. Colours and the spinner are for terminals; `NO_COLOR` and `CI` are respected. */
export async function openReporter(stream: NodeJS.WriteStream = process.stderr, env: NodeJS.ProcessEnv = process.env): Promise<Reporter> {
  const terminal = stream.isTTY === true && env.TERM !== 'dumb';
  const color = await colorsFor(terminal && !env.NO_COLOR);
  // With handleSignals it would end this process at Ctrl-C, and leave what the steps started.
  const spinner: Spinner | null = terminal && !env.CI ? (await import('yocto-spinner')).default({ stream, handleSignals: false }) : null;
  let busy = false;
  const line = (text: string) => {
    if (busy) spinner?.stop();
    stream.write(`${text}\n`);
    if (busy) spinner?.start();
  };
  // A row of the table is one row of the terminal.
  const fitted = (text: string, used: number) => {
    const room = terminal ? Math.max(20, (stream.columns ?? 80) - used) : Number.POSITIVE_INFINITY;
    return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
  };
  let width = 14;
  const row = (mark: string, name: string, detail: string, ms?: number) => {
    const label = printable(name).padEnd(width);
    const took = ms === undefined || ms < 100 ? '' : `  ${duration(ms)}`;
    line(`${mark} ${label} ${color.dim(fitted(printable(detail), label.length + took.length + 3) + took)}`.trimEnd());
  };
  return {
    title: (text) => line(color.bold(printable(text))),
    expect(names) {
      width = Math.max(width, ...names.map((name) => Math.min(printable(name).length, WIDEST)));
    },
    done: (name, detail, ms) => row(color.green('✓'), name, detail, ms),
    same: (name, detail) => row(color.dim('·'), name, detail),
    fail: (name, detail) => line(`${color.red('✗')} ${printable(name).padEnd(width)} ${printable(detail)}`),
    warn: (text) => line(`${color.yellow('!')} ${printable(text)}`),
    text: (text) => line(printableLines(text)),
    busy(names) {
      if (!spinner) return;
      busy = names.length > 0;
      if (!busy) return spinner.stop();
      spinner.text = printable(names.join(', '));
      spinner.start();
    },
    close() {
      if (busy) spinner?.stop();
      busy = false;
    },
  };
}
