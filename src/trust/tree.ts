import fs from 'node:fs';
import path from 'node:path';
import { standing } from '../files/inside.ts';
import { errorCode, Failure } from '../outcome.ts';

/** The files of a branch: as they stand in a worktree, or as a commit has them. */
export interface Tree {
  /** The bytes of a plain file, by its path; null when there is none. */
  read(name: string): Promise<Buffer | null>;
  /** The paths that globs match, sorted. */
  glob(patterns: readonly string[]): Promise<string[]>;
}

/** What globs leave out. */
export const NOT_SEARCHED = ['**/.git/**', '**/node_modules/**'];

/** A worktree's files. @param root absolute */
export function worktreeTree(root: string): Tree {
  return {
    read: async (name) => readInside(root, name),
    async glob(patterns) {
      // Most are plain names, for which nothing has to be searched.
      if (patterns.every((pattern) => !isPattern(pattern) && standing(root, pattern) === 'file')) return [...new Set(patterns)].sort();
      const { glob } = await import('tinyglobby');
      const found = await glob([...patterns], {
        cwd: root,
        dot: true,
        ignore: NOT_SEARCHED,
        followSymbolicLinks: false,
        expandDirectories: true,
      });
      return found.sort();
    },
  };
}

function isPattern(name: string): boolean {
  return /[*?[\]{}()!\\]/.test(name);
}

/**
 * A link counts as what it leads to, and where that is: a change of either is a change.
 * @throws {Failure} when it leads out of the worktree
 */
function readInside(root: string, name: string): Buffer | null {
  const there = standing(root, name);
  if (there === 'file') return readPlain(path.join(root, name));
  if (there !== 'link') return null;
  const target = realPath(path.join(root, name));
  if (target === null) return null;
  const inside = path.relative(fs.realpathSync(root), target);
  if (inside === '' || inside.split('/')[0] === '..' || path.isAbsolute(inside))
    throw new Failure(`${name} is a symbolic link that leads out of the worktree, so nothing can say what it is.`);
  const content = standing(fs.realpathSync(root), inside) === 'file' ? readPlain(target) : null;
  return content && Buffer.concat([Buffer.from(`link to ${inside}\0`), content]);
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

function realPath(file: string): string | null {
  try {
    return fs.realpathSync(file);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errorCode(error) ?? '')) return null;
    throw error;
  }
}
