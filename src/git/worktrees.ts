import fs from 'node:fs';
import path from 'node:path';
import { listFolder, readIfThere, statIfThere } from '../ledger/document.ts';
import { Failure } from '../outcome.ts';
import { readConfig, writeConfig } from './config.ts';
import { git } from './git.ts';
import { readWorktreeId } from './identity.ts';

/** A worktree as git lists it. */
export interface Worktree {
  path: string;
  /** Its own folder in the common git directory; null for the main worktree. */
  adminDir: string | null;
  /** Short branch name; null when HEAD is detached. */
  branch: string | null;
  locked: boolean;
  /** The folder is not there, or not where git expects it. */
  prunable: boolean;
  /** The id that Coppice gave it; null before its first set-up. */
  id: string | null;
}

/** A repository and its worktrees. */
export interface Repository {
  /** The common git directory, absolute, links resolved. */
  commonDir: string;
  /** The main worktree's root; in a bare repository the worktree that plays its part; null when there is none. */
  main: string | null;
  bare: boolean;
  /** Every worktree but the main one. */
  linked: Worktree[];
}

/** Where a command was called: the repository, and the worktree around the folder, if any. */
export interface Place {
  repository: Repository;
  /** Null in the main worktree, and in a bare repository outside every worktree. */
  worktree: Worktree | null;
}

/**
 * Finds the repository and worktree around a folder.
 * @throws {Failure} when there is none, git cannot answer, or the repository does not know a folder that says it is a worktree of it
 */
export async function findPlace(cwd: string): Promise<Place> {
  const read = readGitFile(cwd);
  const repository = (read && readRepository(read.commonDir)) ?? null;
  const [{ gitDir, commonDir }, list] = repository ? [read as GitDirs, []] : await Promise.all([read ?? askGit(cwd), listWorktrees(cwd)]);
  const found = repository ?? (await describeRepository(commonDir, list));
  const worktree = found.linked.find((candidate) => candidate.adminDir === gitDir) ?? null;
  // Anybody can write a `.git` file, and what it leads to.
  if (worktree === null && gitDir !== commonDir && ![...adminDirs(commonDir).values()].includes(gitDir))
    throw new Failure(`${cwd} says that it is a worktree of ${commonDir}, which has no such worktree.`, 2);
  return { repository: found, worktree };
}

interface GitDirs {
  gitDir: string;
  commonDir: string;
}

/**
 * The repository by its own files, which a set-up can read faster than git starts. Null when they do not say it all: a bare
 * repository or a separate git directory, refs kept in another way than files.
 */
function readRepository(commonDir: string): Repository | null {
  // A bare repository has no index.
  if (path.basename(commonDir) !== '.git' || !fs.existsSync(path.join(commonDir, 'index'))) return null;
  const linked: Worktree[] = [];
  for (const [gitFile, adminDir] of adminDirs(commonDir)) {
    const head = readIfThere(path.join(adminDir, 'HEAD'));
    const [, branch, detached] = /^(?:ref: refs\/heads\/(.+)|([0-9a-f]{40,64}))\n$/.exec(head ?? '') ?? [];
    if ((branch === undefined && detached === undefined) || branch === '.invalid') return null;
    linked.push({
      path: path.dirname(gitFile),
      adminDir,
      branch: branch ?? null,
      locked: statIfThere(path.join(adminDir, 'locked')) !== null,
      prunable: !fs.existsSync(gitFile),
      id: readWorktreeId(adminDir),
    });
  }
  return { commonDir, main: path.dirname(commonDir), bare: false, linked };
}

/** At a linked worktree's root its `.git` file says where everything is (gitrepository-layout(5)): no process is needed. */
function readGitFile(cwd: string): GitDirs | null {
  const file = path.join(cwd, '.git');
  if (process.env.GIT_DIR !== undefined || !fs.statSync(file, { throwIfNoEntry: false })?.isFile()) return null;
  const named = /^gitdir: ([^\n]+)/.exec(fs.readFileSync(file, 'utf8'))?.[1];
  const gitDir = named === undefined ? undefined : path.resolve(cwd, named);
  const common = gitDir === undefined ? null : readIfThere(path.join(gitDir, 'commondir'));
  if (gitDir === undefined || common === null) return null;
  return { gitDir: fs.realpathSync(gitDir), commonDir: fs.realpathSync(path.resolve(gitDir, common.replace(/\n$/, ''))) };
}

async function askGit(cwd: string): Promise<GitDirs> {
  const dirs = await git(cwd, ['rev-parse', '--path-format=absolute', '--git-dir', '--git-common-dir']);
  if (dirs.code !== 0) {
    const why = dirs.stderr.trim();
    throw new Failure(
      /not a git repository/.test(why) ? `${cwd} is not in a git repository.` : `git cannot tell where ${cwd} is: ${why}`,
      2,
    );
  }
  const [gitDir = '', commonDir = ''] = dirs.stdout.split('\n').map((line) => line && fs.realpathSync(line));
  return { gitDir, commonDir };
}

/** A repository by its common git directory. @throws {Failure} when git cannot list its worktrees: that is unknown, never empty. */
export async function openRepository(commonDir: string): Promise<Repository> {
  return describeRepository(commonDir, await listWorktrees(commonDir));
}

interface Listed {
  path: string;
  branch: string | null;
  bare: boolean;
  locked: boolean;
  prunable: boolean;
}

async function listWorktrees(cwd: string): Promise<Listed[]> {
  let result = await git(cwd, ['worktree', 'list', '--porcelain', '-z']);
  let separator = '\0';
  if (result.code === 129) {
    // git before 2.36 has no -z; only a path with a newline is read wrongly there.
    result = await git(cwd, ['worktree', 'list', '--porcelain']);
    separator = '\n';
  }
  if (result.code !== 0) {
    if (/not a git repository/.test(result.stderr)) throw new Failure(`${cwd} is not in a git repository.`, 2);
    throw new Failure(`git worktree list failed in ${cwd}: ${result.stderr.trim()}`);
  }
  return result.stdout
    .split(separator + separator)
    .filter((block) => block !== '')
    .map((block) => {
      const fields = new Map(block.split(separator).map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]));
      return {
        path: fields.get('worktree') ?? '',
        branch: fields.get('branch')?.replace(/^refs\/heads\//, '') ?? null,
        bare: fields.has('bare'),
        locked: fields.has('locked'),
        prunable: fields.has('prunable'),
      };
    });
}

async function describeRepository(commonDir: string, list: Listed[]): Promise<Repository> {
  const [first, ...others] = list;
  const admins = adminDirs(commonDir);
  const linked = others.map((listed): Worktree => {
    const adminDir = admins.get(path.join(listed.path, '.git')) ?? null;
    return {
      path: listed.path,
      adminDir,
      branch: listed.branch,
      locked: listed.locked,
      prunable: listed.prunable,
      id: adminDir && readWorktreeId(adminDir),
    };
  });
  const bare = first?.bare ?? false;
  if (path.basename(commonDir) === '.git' && !bare) return { commonDir, main: path.dirname(commonDir), bare, linked };
  const main = bare ? await mainOfBare(commonDir, linked) : await mainElsewhere(commonDir);
  return { commonDir, main, bare, linked: linked.filter((worktree) => worktree.path !== main) };
}

/** `<common>/worktrees/*`, by the path of the `.git` file that each names (gitrepository-layout(5)). */
function adminDirs(commonDir: string): Map<string, string> {
  const folder = path.join(commonDir, 'worktrees');
  const found = new Map<string, string>();
  for (const name of listFolder(folder)) {
    const admin = path.join(folder, name);
    const gitFile = readIfThere(path.join(admin, 'gitdir'))?.replace(/\n$/, '');
    if (gitFile) found.set(path.resolve(admin, gitFile), admin);
  }
  return found;
}

/** A submodule names its working tree in core.worktree; a separate git directory does not name it at all. */
async function mainElsewhere(commonDir: string): Promise<string | null> {
  const chosen = await readConfig(commonDir, 'coppice.main');
  if (chosen !== null) return chosen;
  const worktree = await git(commonDir, ['config', '--get', 'core.worktree']);
  return worktree.code === 0 ? path.resolve(commonDir, worktree.stdout.replace(/\n$/, '')) : null;
}

/** In a bare repository the worktree on the default branch at first use plays the main worktree's part, from then on. */
async function mainOfBare(commonDir: string, linked: Worktree[]): Promise<string | null> {
  const chosen = await readConfig(commonDir, 'coppice.main');
  if (chosen && linked.some((worktree) => worktree.path === chosen)) return chosen;
  const head = await git(commonDir, ['symbolic-ref', '--short', 'HEAD']);
  const main = linked.find((worktree) => worktree.branch !== null && worktree.branch === head.stdout.replace(/\n$/, ''));
  if (!main) return null;
  await writeConfig(commonDir, ['coppice.main', main.path]);
  return main.path;
}
