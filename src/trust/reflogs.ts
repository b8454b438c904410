import fs from 'node:fs';
import path from 'node:path';
import { git } from '../git/git.ts';
import { listFolder, readIfThere, statIfThere } from '../ledger/document.ts';
import { errorCode } from '../outcome.ts';

/** A line of a reflog: which commit a ref came to, and why. */
interface Entry {
  commit: string;
  message: string;
}

/** The entries of a reflog, the oldest first; null when git keeps none. */
function entriesIn(file: string): Entry[] | null {
  // An empty folder may be left over from a ref that was called alike.
  const log = statIfThere(file)?.isFile() ? readIfThere(file) : null;
  return log === null ? null : entriesOf(log);
}

function entriesOf(log: string): Entry[] {
  return log.split('\n').flatMap((line) => (line === '' ? [] : [entryOf(line)]));
}

function entryOf(line: string): Entry {
  const tab = line.indexOf('\t');
  return { commit: /^\S+ (\w+)/.exec(line)?.[1] ?? '', message: tab < 0 ? '' : line.slice(tab + 1) };
}

/** What git says of each change of a ref, the newest first; null when it keeps no reflog for it. */
export async function messagesOf(commonDir: string, ref: string): Promise<string[] | null> {
  if (!keepsRefsInFiles(commonDir)) {
    const shown = await git(commonDir, ['log', '--walk-reflogs', '--format=%gs', ref, '--']);
    return shown.stdout.split('\n').slice(0, -1);
  }
  const entries = entriesIn(path.join(commonDir, 'logs', ref));
  return entries && messages(entries);
}

function messages(entries: Entry[]): string[] {
  return entries.map(({ message }) => message).reverse();
}

/** The messages of the reflogs of remote branches that say such a thing at all, by ref: there may be thousands. */
export function remoteMessagesLike(commonDir: string, thing: RegExp): [ref: string, messages: string[]][] {
  const logs = path.join(commonDir, 'logs');
  return filesBelow(logs, 'refs/remotes').flatMap((ref): [string, string[]][] => {
    const log = readIfThere(path.join(logs, ref)) ?? '';
    return thing.test(log) ? [[ref, messages(entriesOf(log))]] : [];
  });
}

/** Otherwise only git itself can tell. */
export function keepsRefsInFiles(commonDir: string): boolean {
  return !fs.existsSync(path.join(commonDir, 'reftable'));
}

/** All files in a folder and in those below it, as paths from `root`; none when it does not exist. */
export function filesBelow(root: string, folder: string): string[] {
  return namesIn(path.join(root, folder)).flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(root, name) : [name];
  });
}

function namesIn(folder: string): fs.Dirent[] {
  try {
    return fs.readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Whether a branch began as something that was fetched, in words. `git fetch <from> <what>:<branch>` looks at nothing; nor does such a pull. */
export async function wasFetched(commonDir: string, branch: string): Promise<string | null> {
  const began = (await messagesOf(commonDir, `refs/heads/${branch}`))?.at(-1) ?? '';
  const stored = /: storing (head|ref|tag)$/;
  if (began.startsWith('fetch') || stored.test(began)) return `its branch was made by \`git ${began.replace(stored, '')}\``;
  return began === 'branch: Created from FETCH_HEAD' ? 'its branch was made from FETCH_HEAD' : null;
}

/** Somebody here made this commit, in whatever worktree and on whatever branch, and pushed it to a remote of his own. */
export async function wasMadeHere(commonDir: string, commit: string): Promise<boolean> {
  return (await entriesOfOwn(commonDir)).some((entry) => entry.commit === commit && makesCommit(entry));
}

/** The entries of all worktrees' HEADs and of all branches. */
async function entriesOfOwn(commonDir: string): Promise<Entry[]> {
  if (!keepsRefsInFiles(commonDir)) {
    const shown = await git(commonDir, ['log', '--walk-reflogs', '--all', '--format=- %H%x09%gs']);
    return entriesOf(shown.stdout);
  }
  const worktrees = listFolder(path.join(commonDir, 'worktrees')).map((name) => path.join('worktrees', name, 'logs', 'HEAD'));
  const logs = ['logs/HEAD', ...worktrees, ...filesBelow(commonDir, 'logs/refs/heads')];
  return logs.flatMap((name) => entriesIn(path.join(commonDir, name)) ?? []);
}

const MADE = /^(commit|am|revert)\b/;
const MERGE = /^(merge|pull) .*: (Merge made by|In-index merge)/;
const PICK = /^(cherry-pick|(rebase|pull)[^(]* \((pick|reword|edit|squash|fixup|merge|continue)\)): (?!fast-forward$)/;
const REBASED = /^(?:rebase|pull)[^(]* (?:\(finish\)|finished): refs\/\S+ onto (\w+)$/;

/** Whether a new commit was made: a rebase and a cherry-pick may also come to one that was there. */
function makesCommit(entry: Entry): boolean {
  const [, onto] = REBASED.exec(entry.message) ?? [];
  if (onto !== undefined) return entry.commit !== onto;
  return [MADE, MERGE, PICK].some((kind) => kind.test(entry.message));
}
