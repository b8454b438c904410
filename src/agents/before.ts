import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { listFolder, readDocument, removeIfThere, replaceDocument } from '../ledger/document.ts';

const FORMAT = 'coppice-agent-file';

/** What a program's file was before we wrote into it, so that it can be restored to the byte while nobody else changed it. */
export interface Before {
  /** Null when there was no file. */
  text: string | null;
  /** The topmost folder that was made for it, below the main worktree; null when it was there. */
  folder: string | null;
  /** SHA-256 of what we wrote. */
  wrote: string;
}

/** What is remembered of a program's file in this clone; null when we did not write it here. */
export function readBefore(commonDir: string, program: string): Before | null {
  const document = readDocument(path.join(folderIn(commonDir), program), FORMAT);
  if (document === null) return null;
  const { text, folder, wrote } = document;
  return { text: typeof text === 'string' ? text : null, folder: typeof folder === 'string' ? folder : null, wrote: String(wrote) };
}

export function remember(commonDir: string, program: string, before: Before): void {
  fs.mkdirSync(folderIn(commonDir), { recursive: true });
  replaceDocument(path.join(folderIn(commonDir), program), FORMAT, { ...before });
}

export function forgetBefore(commonDir: string, program: string): void {
  removeIfThere(path.join(folderIn(commonDir), program));
  if (listFolder(folderIn(commonDir)).length === 0) fs.rmSync(folderIn(commonDir), { recursive: true, force: true });
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function folderIn(commonDir: string): string {
  return path.join(commonDir, 'coppice', 'agents');
}
