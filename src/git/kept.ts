import fs from 'node:fs';
import path from 'node:path';
import { readDocument, replaceDocument } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';

const FORMAT = 'coppice-kept';

/**
 * What commands gave for a worktree's resources, which may be secret and so is not in the ledger: a file (0600) in the
 * worktree's admin directory, which goes with the worktree.
 */
export function readKept(adminDir: string): Record<string, Record<string, string>> {
  const document = readDocument(fileIn(adminDir), FORMAT);
  return (document?.resources ?? {}) as Record<string, Record<string, string>>;
}

/** Keeps the values of one resource, instead of those that were kept for it before. @throws {Failure} when the worktree was removed */
export function keep(adminDir: string, name: string, values: Record<string, string>): void {
  try {
    replaceDocument(fileIn(adminDir), FORMAT, { resources: { ...readKept(adminDir), [name]: values } });
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
