import fs from 'node:fs';
import path from 'node:path';
import { readDocument, replaceDocument } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';

const FORMAT = 'coppice-kept';

/**
 * What is kept of a worktree that may be secret, and so is not in the ledger: a file (0600) in its admin directory, which goes with
 * the worktree. This: what commands gave for its resources.
 */
export function readKept(adminDir: string): Record<string, Record<string, string>> {
  const document = readDocument(fileIn(adminDir), FORMAT);
  return (document?.resources ?? {}) as Record<string, Record<string, string>>;
}

/** The worktree's variables at the end of its last set-up: its teardown gets them, whatever its config says by then. */
export function readVariables(adminDir: string): Record<string, string> {
  return (readDocument(fileIn(adminDir), FORMAT)?.variables ?? {}) as Record<string, string>;
}

export function keepVariables(adminDir: string, variables: Record<string, string>): void {
  write(adminDir, { resources: readKept(adminDir), variables });
}

/** Keeps the values of one resource, instead of those that were kept for it before. @throws {Failure} when the worktree was removed */
export function keep(adminDir: string, name: string, values: Record<string, string>): void {
  write(adminDir, { resources: { ...readKept(adminDir), [name]: values }, variables: readVariables(adminDir) });
}

function write(adminDir: string, kept: Record<string, unknown>): void {
  try {
    replaceDocument(fileIn(adminDir), FORMAT, kept);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || fs.existsSync(adminDir)) throw error;
    throw new Failure('The worktree was removed meanwhile. `git coppice gc` destroys what was made.');
  }
}

/** What was kept is of no use any more. */
export function keepNothing(adminDir: string): void {
  fs.rmSync(fileIn(adminDir), { force: true });
}

function fileIn(adminDir: string): string {
  return path.join(adminDir, 'coppice-kept');
}
