import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { standing } from '../files/inside.ts';
import { gitOutput } from '../git/git.ts';
import { realPathIfThere, statIfThere } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';

/** More are not given to git by name. */
const MOST_NAMES = 500;

/** The files of a branch: as they stand in a worktree, or as a commit has them. */
export interface Tree {
  /** The bytes of a plain file, by its path; null when there is none. */
  read(name: string): Promise<Buffer | null>;
  /** The paths that globs match, sorted. */
  glob(patterns: readonly string[]): Promise<string[]>;
  /** Which of these paths a branch brings or will: what git ignores is nobody else's. */
  carried(names: readonly string[]): Promise<ReadonlySet<string>>;
}

/** A worktree's files. @param root absolute */
export function worktreeTree(root: string): Tree {
  let known: Promise<ReadonlyMap<string, string>> | null = null;
  const submodules = () => {
    known ??= submodulesOf(root);
    return known;
  };
  const tree: Tree = {
    async read(name) {
      // Only what was searched for can be one.
      const commit = (await known)?.get(name);
      if (commit !== undefined) return asSubmodule(commit);
      return readInside(root, name, async (target) => (await tree.carried([target])).has(target));
    },
    async carried(names) {
      if (names.length === 0) return new Set();
      const top = fs.realpathSync(root);
      // Of what is below a link, that which it leads to.
      const target = (name: string) => path.relative(top, realPathIfThere(path.join(root, name)) ?? top);
      const asked = [...new Set(names.flatMap((name) => [name, target(name)]))].filter((name) => name !== '' && !name.startsWith('..'));
      // What is not committed yet will be; git takes only so many names.
      const args = ['--literal-pathspecs', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'];
      const listed = await gitOutput(root, asked.length > MOST_NAMES ? args : [...args, '--', ...asked]);
      const known = new Set(listed.split('\0'));
      const isCarried = (name: string) => known.has(name) || known.has(target(name));
      return new Set(names.filter(isCarried));
    },
    async glob(patterns) {
      const others = await submodules();
      // Most are plain names, for which nothing has to be searched.
      if (others.size === 0 && patterns.every((pattern) => standing(root, pattern) === 'file')) return [...new Set(patterns)].sort();
      const { among, bases, reach } = await matcher(patterns);
      const found = bases.filter((base) => standing(root, base) !== 'nothing' || base === '').flatMap((base) => filesAt(root, base));
      return [...new Set([...among(found), ...[...others.keys()].filter(reach)])].sort();
    },
  };
  return tree;
}

/** What stands for all files of a submodule: git does not list them, and they may come later than the branch. */
export function asSubmodule(commit: string): Buffer {
  return Buffer.from(`submodule at ${commit}\n`);
}

/** The commits of the branch's submodules, by path. */
async function submodulesOf(root: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  // Without it git takes no folder for a submodule.
  if (standing(root, '.gitmodules') === 'nothing') return found;
  for (const line of (await gitOutput(root, ['ls-files', '-z', '--stage'])).split('\0')) {
    const [, commit, name] = /^160000 ([0-9a-f]+) 0\t(.+)$/s.exec(line) ?? [];
    if (commit !== undefined && name !== undefined) found.set(name, commit);
  }
  return found;
}

/** What globs mean. */
interface Matcher {
  /** Those of these paths that are meant, also as below a folder that is named. @throws {Failure} when that cannot be told in time */
  among(names: readonly string[]): string[];
  /** Where these lie. */
  bases: string[];
  /** Whether anything in a folder could be meant. */
  reach(folder: string): boolean;
}

/** More files than anybody means. */
const MOST_FILES = 100_000;
/** Links between folders can make more paths of a few folders than there are atoms. */
const MOST_LINKS = 8;
const FILES_FOR_ONE_BELOW_A_LINK = 10;
/** Milliseconds that expressions may take, which take less than one for what people write. */
const MATCHING_MS = 5000;

/** Reads the globs of a step's `inputs`. */
export async function matcher(patterns: readonly string[]): Promise<Matcher> {
  const { default: picomatch } = await import('picomatch');
  const plain = patterns.map((pattern) => path.posix.normalize(pattern).replace(/\/$/, ''));
  // A name can hold line ends, and a `.` of the library's expressions does not match them.
  const wanted = picomatch([...plain, ...plain.map((pattern) => `${pattern}/**`)], { dot: true, flags: 's' });
  const names = plain.flatMap((name) => [name, `${name}/`]);
  const all = plain.map((pattern) => (picomatch.scan(pattern).isGlob ? picomatch.scan(pattern).base : pattern));
  const bases = [...new Set(all)].filter((base) => base !== '..' && !base.startsWith('../')).map((base) => (base === '.' ? '' : base));
  const isMeant = (name: string) =>
    names.some((known) => name === known || (known.endsWith('/') && name.startsWith(known))) || wanted(name);
  return {
    among: (paths) => inTime(() => paths.filter(isMeant)),
    bases,
    reach: (folder) => bases.some((base) => base === '' || `${base}/`.startsWith(`${folder}/`) || folder.startsWith(`${base}/`)),
  };
}

/** An expression of a branch's can be one that comes to no end: only V8 can end it. */
function inTime(match: () => string[]): string[] {
  try {
    return vm.runInNewContext('match()', { match }, { timeout: MATCHING_MS });
  } catch (error) {
    // It is an error of the other context, so no `Error` here.
    if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new Failure('The globs under `inputs` take longer to match than anybody waits. Write simpler ones.', 2);
  }
}

function filesAt(root: string, base: string): string[] {
  const isFolder = base === '' || standing(root, base) === 'folder' || leadsToFolder(root, base);
  return isFolder ? filesBelow(root, base, base === '', { left: MOST_FILES }) : [base];
}

/**
 * The files, and the links to any, below a folder; what links to folders of the worktree lead to, under their names. git's own files
 * are left out.
 * @param everywhere the search began at the worktree's root: what is installed in `node_modules` is not looked through
 * @throws {Failure} for a name that is not UTF-8: it could not be told from another
 */
function filesBelow(root: string, folder: string, everywhere: boolean, budget: { left: number }, above: readonly Above[] = []): string[] {
  const found = lookInto(path.join(root, folder));
  if (found === null || above.some((one) => one.real === found.real)) return [];
  const { real, entries } = found;
  const links = above.filter(({ isLink }) => isLink).length;
  return entries.flatMap((entry) => {
    budget.left -= links > 0 ? FILES_FOR_ONE_BELOW_A_LINK : 1;
    if (budget.left < 0 || links > MOST_LINKS)
      throw new Failure(`\`inputs\` reach more files, or go through more links, than anybody looks at: the last is below ${folder}.`, 2);
    const name = path.posix.join(folder, nameOf(entry.name, folder));
    if (path.basename(name) === '.git' || (everywhere && path.basename(name) === 'node_modules')) return [];
    const isLink = entry.isSymbolicLink() && leadsToFolder(root, name);
    return entry.isDirectory() || isLink ? filesBelow(root, name, everywhere, budget, [...above, { real, isLink }]) : [name];
  });
}

/** What is in a folder, and where that is; null when another program, such as a step that builds, has removed it meanwhile. */
function lookInto(folder: string): { real: string; entries: fs.Dirent<Buffer>[] } | null {
  try {
    return { real: fs.realpathSync(folder), entries: fs.readdirSync(folder, { withFileTypes: true, encoding: 'buffer' }) };
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
    return null;
  }
}

/** A folder on the way, and whether what was entered from it is a link. */
interface Above {
  real: string;
  isLink: boolean;
}

function nameOf(bytes: Buffer, folder: string): string {
  const name = bytes.toString('utf8');
  if (!Buffer.from(name, 'utf8').equals(bytes))
    throw new Failure(`${path.posix.join(folder, name)} has a name that is not UTF-8, so \`inputs\` cannot say what it is.`);
  return name;
}

/** A link to a folder of the worktree; one that leads elsewhere is a file that cannot be read. */
function leadsToFolder(root: string, name: string): boolean {
  const target = realPathIfThere(path.join(root, name));
  return target !== null && isInside(fs.realpathSync(root), target) && statIfThere(target)?.isDirectory() === true;
}

function isInside(root: string, target: string): boolean {
  return target.startsWith(`${root}${path.sep}`);
}

/**
 * A link counts as where it leads, and what that is where the branch brings it: a change of either is a change.
 * @throws {Failure} when it leads out of the worktree
 */
async function readInside(root: string, name: string, isCarried: (target: string) => Promise<boolean>): Promise<Buffer | null> {
  const there = standing(root, name);
  if (there === 'file') return readPlain(path.join(root, name));
  if (there !== 'link') return null;
  const target = realPathIfThere(path.join(root, name));
  if (target === null) return null;
  const inside = path.relative(fs.realpathSync(root), target);
  if (!isInside(fs.realpathSync(root), target))
    throw new Failure(`${name} is a symbolic link that leads out of the worktree, so nothing can say what it is.`);
  const content = standing(fs.realpathSync(root), inside) === 'file' ? readPlain(target) : null;
  // What git ignores is this machine's own, as `.env` is.
  return content && Buffer.concat([Buffer.from(`link to ${inside}\n`), (await isCarried(inside)) ? content : Buffer.alloc(0)]);
}

function readPlain(file: string): Buffer | null {
  let fd: number;
  try {
    // Whatever has come to stand there meanwhile: a link is not followed, and a pipe is not waited for.
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(errorCode(error) ?? '')) return null;
    throw error;
  }
  try {
    return fs.fstatSync(fd).isFile() ? fs.readFileSync(fd) : null;
  } finally {
    fs.closeSync(fd);
  }
}
