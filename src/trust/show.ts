import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { git } from '../git/git.ts';
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

/** What is new since the last approval, as a unified diff by git; null when nothing was approved before. */
export async function changesSince(last: Approval | null, now: string): Promise<string | null> {
  if (last === null) return null;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-diff-'));
  try {
    fs.writeFileSync(path.join(folder, 'approved'), await textOfContent(last.content, last.texts), { mode: 0o600 });
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
