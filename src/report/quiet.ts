import type { Reporter } from './reporter.ts';

/**
 * A reporter that holds back what it is told until something is done or fails, and then says all of it, in its order: a set-up
 * that found nothing to do says nothing.
 */
export function holdBack(report: Reporter): { report: Reporter; speak(): void } {
  let held: (() => void)[] | null = [];
  const speak = () => {
    const lines = held ?? [];
    held = null;
    for (const line of lines) line();
  };
  const later = (line: () => void) => {
    if (held === null) line();
    else held.push(line);
  };
  const now = (line: () => void) => {
    speak();
    line();
  };
  return {
    speak,
    report: {
      expect: (names) => report.expect(names),
      title: (text) => later(() => report.title(text)),
      done: (...row) => now(() => report.done(...row)),
      same: (...row) => later(() => report.same(...row)),
      fail: (...row) => now(() => report.fail(...row)),
      warn: (text) => later(() => report.warn(text)),
      text: (text) => later(() => report.text(text)),
      busy: (names) => report.busy(names),
      close: () => report.close(),
    },
  };
}
