import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { git, gitBytes } from '../git/git.ts';
import { Failure } from '../outcome.ts';
import type { Approval } from './approvals.ts';
import type { Content } from './closure.ts';

/** Of a file larger than this that holds NUL only the digest is shown, and that this is so: nobody could read it. */
const BINARY_BYTES = 256 * 1024;

/** Everything of a content as one text, for people to read and to compare. What a file holds is set in, so that it is no heading. */
export async function textOfContent({ config, include, files }: Content, texts: Readonly<Record<string, string | null>>): Promise<string> {
  const { stringify } = await import('yaml');
  const parts = [stringify(config, { lineWidth: 0 })];
  if (include.length > 0) parts.push(`# .worktreeinclude\n${setIn(include.join('\n'))}`);
  for (const [name, digest] of Object.entries(files)) {
    const text = Object.hasOwn(texts, name) ? texts[name] : null;
    const heading = `# ${name.replaceAll('\n', '\\n')}`;
    const why = text === null ? `, not shown: it holds NUL and more than ${BINARY_BYTES / 1024} KiB. Look at it before you approve it` : '';
    parts.push(text === null || text === undefined ? `${heading}: SHA-256 ${digest}${why}\n` : `${heading}\n${setIn(text)}`);
  }
  return parts.join('\n');
}

function setIn(text: string): string {
  return text
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => `  | ${line}\n`)
    .join('');
}

/** Bytes as text, whatever they are: in a line that is not UTF-8 each odd byte is `\x{…}`. Null when nobody could read it. */
export function textOf(bytes: Buffer): string | null {
  if (bytes.length > BINARY_BYTES && bytes.includes(0)) return null;
  const text = bytes.toString('utf8');
  if (Buffer.from(text, 'utf8').equals(bytes)) return text;
  const line = (raw: string) => {
    const decoded = Buffer.from(raw, 'latin1').toString('utf8');
    const isText = Buffer.from(decoded, 'utf8').toString('latin1') === raw;
    return isText ? decoded : raw.replace(/[\x80-\xff]/g, (byte) => `\\x{${byte.charCodeAt(0).toString(16)}}`);
  };
  return bytes.toString('latin1').split('\n').map(line).join('\n');
}

/** What git still has of the files that were approved. */
async function textsThen({ objects }: Approval, commonDir: string): Promise<Record<string, string | null>> {
  const texts: Record<string, string | null> = {};
  for (const [name, object] of Object.entries(objects)) {
    try {
      texts[name] = textOf(await gitBytes(commonDir, ['cat-file', 'blob', object]));
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
