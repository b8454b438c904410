import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { git, gitBytes } from '../git/git.ts';
import { Failure } from '../outcome.ts';
import type { Approval } from './approvals.ts';
import type { Content } from './closure.ts';

/** Everything of a content as one text, for people to read and to compare. */
export async function textOfContent({ config, include, files }: Content, texts: Readonly<Record<string, string>>): Promise<string> {
  const { stringify } = await import('yaml');
  const parts = [stringify(config, { lineWidth: 0 })];
  if (include.length > 0) parts.push(`# .worktreeinclude\n${include.map((line) => `${line}\n`).join('')}`);
  for (const [name, digest] of Object.entries(files)) {
    const text = texts[name];
    parts.push(`# ${name}${text === undefined ? `: sha256 ${digest}` : ''}\n${text === undefined || text === '' ? '' : ended(text)}`);
  }
  return parts.join('\n');
}

function ended(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

/** Bytes as text; null when they are none. */
export function textOf(bytes: Buffer): string | null {
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) && !text.includes('\0') ? text : null;
}

/** What git still has of the files that were approved. */
async function textsThen({ objects }: Approval, commonDir: string): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const [name, object] of Object.entries(objects)) {
    try {
      texts[name] = textOf(await gitBytes(commonDir, ['cat-file', 'blob', object])) ?? '';
    } catch (error) {
      // Approved before it was committed, and changed again: its digest is compared.
      if (!(error instanceof Failure)) throw error;
    }
  }
  return texts;
}

/** What is new since the last approval, as a unified diff by git; null when nothing was approved before. */
export async function changesSince(last: Approval | null, now: string, commonDir: string): Promise<string | null> {
  if (last === null) return null;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-diff-'));
  try {
    fs.writeFileSync(path.join(folder, 'approved'), await textOfContent(last.content, await textsThen(last, commonDir)), { mode: 0o600 });
    fs.writeFileSync(path.join(folder, 'now'), now, { mode: 0o600 });
    // Without what a user's git would call to show it.
    const options = ['--no-index', '--text', '--no-color', '--no-ext-diff', '--no-textconv', '-U3'];
    const { stdout } = await git(folder, ['diff', ...options, '--', 'approved', 'now']);
    const start = stdout.indexOf('\n@@');
    return start < 0 ? '' : stdout.slice(start + 1);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
