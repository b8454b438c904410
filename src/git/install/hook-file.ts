import fs from 'node:fs';
import path from 'node:path';
import { temporaryName } from '../../ledger/document.ts';
import { errorCode, Failure } from '../../outcome.ts';
import { markedPart, OPENING } from './marked.ts';

/** Where a hook that is no shell script goes, to be called after our block. */
const ASIDE = 'post-checkout.before-coppice';
/** Where link(2) is not for us: a filesystem without it, or a file of another user (Linux' protected_hardlinks). */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];
/** The shells that understand the block. */
const SHELL = /^#!\s*\S*\/(env\s+)?(sh|bash|dash|ash|ksh|zsh)\b/;

/** The block of the hook that is shipped, without its `#!` line. */
function hookBlock(shipped: string): string {
  return shipped.slice(shipped.indexOf(OPENING));
}

/**
 * Puts our block at the top of a post-checkout hook, so that it runs whatever follows; what is there runs after it. A hook
 * that is no shell script is moved aside and called.
 * @param shebang whether a new file needs a `#!` line
 * @returns whether anything was written
 */
export function addToHook(file: string, shipped: string, shebang: boolean): boolean {
  const block = hookBlock(shipped);
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (!stat) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    replaceFile(file, shebang ? `#!/bin/sh\n${block}` : block, shebang ? 0o755 : 0o644);
    return true;
  }
  const text = stat.isFile() ? fs.readFileSync(file, 'latin1') : '';
  if (text.includes(OPENING)) {
    const next = text.replace(markedPart(text), () => block);
    if (next === text) return false;
    replaceFile(file, next, stat.mode & 0o777);
    return true;
  }
  if (stat.isFile() && (SHELL.test(text) || (!shebang && !text.startsWith('#!')))) {
    const end = text.startsWith('#!') ? text.indexOf('\n') + 1 || text.length : 0;
    const head = text.slice(0, end);
    replaceFile(
      file,
      `${head}${head === '' || head.endsWith('\n') ? '' : '\n'}${block}${text.slice(end)}`,
      shebang ? (stat.mode & 0o777) | 0o111 : stat.mode & 0o777,
    );
    return true;
  }
  if (!setAside(file)) return false;
  replaceFile(file, `#!/bin/sh\n${block}"\${0%/*}/${ASIDE}" "$@"\n`, 0o755);
  return true;
}

/**
 * Gives a hook its second name, under which ours calls it. The first stays until ours replaces it, so there is a hook at every
 * moment, and of several processes that install at once none takes ours for the user's.
 * @returns false when another process has put our hook there meanwhile
 * @throws {Failure} when something else has that name
 */
function setAside(file: string): boolean {
  const aside = path.join(path.dirname(file), ASIDE);
  try {
    // macOS would follow a link. Beside it, a copy of it leads to the same place.
    if (fs.lstatSync(file).isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(file), aside);
    else fs.linkSync(file, aside);
    return true;
  } catch (error) {
    const code = errorCode(error) ?? '';
    if (NO_LINKS.includes(code) && !fs.lstatSync(aside, { throwIfNoEntry: false })) {
      fs.renameSync(file, aside);
      return true;
    }
    if (code !== 'EEXIST') throw error;
  }
  if (isSameHook(file, aside)) return true;
  const stat = fs.lstatSync(file);
  if (stat.isFile() && fs.readFileSync(file, 'latin1').includes(OPENING)) return false;
  throw new Failure(
    `${file} is a hook that is no shell script, and ${ASIDE} beside it is taken by an older one. Join the two, then install again.`,
  );
}

/** Whether the second name was given to it before, by an install that was killed or is at it. */
function isSameHook(file: string, aside: string): boolean {
  const [one, other] = [fs.lstatSync(file), fs.lstatSync(aside)];
  if (one.isSymbolicLink() && other.isSymbolicLink()) return fs.readlinkSync(file) === fs.readlinkSync(aside);
  return one.dev === other.dev && one.ino === other.ino;
}

/**
 * Takes our block out again and restores what was there, to the byte.
 * @param empty what remains of a file that was ours alone
 * @returns whether anything was there
 */
export function removeFromHook(file: string, empty = '#!/bin/sh\n'): boolean {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  const text = stat?.isFile() ? fs.readFileSync(file, 'latin1') : '';
  if (!stat || !text.includes(OPENING)) return false;
  const aside = path.join(path.dirname(file), ASIDE);
  const rest = text.replace(markedPart(text), '');
  if (fs.lstatSync(aside, { throwIfNoEntry: false }) && rest.includes(ASIDE)) fs.renameSync(aside, file);
  else if (rest === '' || rest === empty) fs.unlinkSync(file);
  else replaceFile(file, rest, stat.mode & 0o777);
  return true;
}

/** Read and written as Latin-1, which keeps every byte. A checkout that runs meanwhile finds the old hook or the new one. */
export function replaceFile(file: string, text: string, mode: number): void {
  const temporary = temporaryName(file);
  fs.writeFileSync(temporary, text, 'latin1');
  fs.chmodSync(temporary, mode);
  fs.renameSync(temporary, file);
}
