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

/** What the machine refuses is said in a sentence; anything else is a bug, and its stack is what mends it. */
export function explain(error: unknown): string {
  const why = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the quota is used up',
    EROFS: 'the disk is read-only',
    EACCES: 'no permission',
    EPERM: 'no permission',
    EIO: 'the disk gave an error',
    EMFILE: 'too many files are open',
    ENFILE: 'too many files are open',
    ENOMEM: 'no memory is left',
    EAGAIN: 'the system has no process left',
  };
  if (error instanceof Failure) return error.message;
  const code = errorCode(error);
  if (code === 'ENOENT' && errorMessage(error).includes('uv_cwd')) return 'coppice: the folder that this was called in is gone.';
  if (code !== undefined && code in why)
    return `coppice: ${why[code as keyof typeof why]} (${errorMessage(error)}). When that is mended, \`git coppice up\` goes on.`;
  return `coppice failed in a way that it should not: ${error instanceof Error ? error.stack : errorMessage(error)}`;
}
