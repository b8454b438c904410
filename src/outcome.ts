/**
 * An expected failure: a sentence for the user that says what happened, to what, and what to do next.
 * The command line prints it without a stack trace and exits with `exitCode`
 * (1 something failed, 2 wrong usage or config, 3 not approved).
 */
export class Failure extends Error {
  readonly exitCode: number;
  /** The end of what a failed command printed, indented, shown below the sentence; empty when there is none. */
  readonly output: string;

  constructor(message: string, exitCode = 1, output = '') {
    super(message);
    this.name = 'Failure';
    this.exitCode = exitCode;
    this.output = output;
  }
}

/** The `code` of a system error (`ENOENT`, `EEXIST` …), or undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}

/** The message of anything that can be thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
