import fs from 'node:fs';
import path from 'node:path';
import { badPath } from '../config/paths.ts';
import type { FileSpec } from '../config/schema.ts';
import { git } from '../git/git.ts';
import type { Repository } from '../git/worktrees.ts';
import { statIfThere } from '../ledger/document.ts';
import { Failure } from '../outcome.ts';
import type { Closure } from '../trust/closure.ts';
import { ignoredPaths } from './exclude.ts';

/** One path of the worktree, with globs expanded against the main worktree. */
export interface FileTask {
  path: string;
  spec: FileSpec;
  /** Whether the config names it, rather than a default. */
  explicit: boolean;
  /** Whether variables that the source lacks are added; else only values that are the main worktree's own are replaced. */
  adds: boolean;
}

/** The actions that need no variable: they run before the resources are made. */
const COPIED = ['copy', 'link', 'sqlite'];

/** Whether a file is put into place before the resources are made. */
export function isCopied({ action }: FileSpec): boolean {
  return COPIED.includes(action);
}

/** Whether a key of `files` stands for many paths. A name that holds one of these characters is escaped with `\\`. */
function isGlob(pattern: string): boolean {
  return /[*?[\]{}()!]/.test(pattern);
}

/**
 * The paths that a config's `files` mean on this machine: globs are matched against the main worktree, `.worktreeinclude`
 * is honoured after them, and without `files` every git-ignored `.env*` of the main worktree's root is merged.
 */
export async function fileTasks(
  { config, content }: Pick<Closure, 'config' | 'content'>,
  { main, linked }: Pick<Repository, 'main' | 'linked'>,
): Promise<FileTask[]> {
  // The other worktrees may lie inside the main one.
  const others = linked.map((worktree) => worktree.path);
  const tasks: FileTask[] = config.files === undefined ? await defaultTasks(main, config.envFiles) : [];
  for (const [key, spec] of Object.entries(config.files ?? {})) {
    if (!isGlob(key)) tasks.push({ path: path.posix.normalize(key).replace(/\/$/, ''), spec, explicit: true, adds: true });
    else if (main !== null) {
      const found = await matches(key, main, others);
      // One that matches nothing is a source that is missing, like any other.
      for (const name of found.length > 0 ? found : [key]) tasks.push({ path: name, spec, explicit: true, adds: true });
    }
  }
  const named = new Set(tasks.map((task) => task.path));
  const included = main === null ? [] : await worktreeInclude(main, content.include);
  for (const found of included) if (!named.has(found)) tasks.push({ path: found, spec: { action: 'copy' }, explicit: false, adds: false });
  return tasks;
}

async function defaultTasks(main: string | null, envFiles: string[]): Promise<FileTask[]> {
  const merge: FileSpec = { action: 'merge' };
  const names =
    main === null ? [] : fs.readdirSync(main).filter((name) => name.startsWith('.env') && statIfThere(path.join(main, name))?.isFile());
  const ignored = main === null ? new Set<string>() : await ignoredPaths(main, names);
  const found = names.filter((name) => ignored.has(name)).sort();
  // One file gets the variables that are missing. In `.env.test` and the like another value is another's, and stays.
  const first = found.find((name) => name === '.env') ?? found.find((name) => envFiles.includes(name)) ?? '.env';
  return [...new Set([first, ...found])].map((name) => ({ path: name, spec: merge, explicit: false, adds: name === first }));
}

async function matches(pattern: string, main: string, others: string[]): Promise<string[]> {
  const inside = others.flatMap((other) => {
    const relative = path.relative(main, other);
    return relative !== '' && !relative.startsWith('..') ? [`${relative.replace(/[\\*?[\]{}()!+@]/g, '\\$&')}/**`] : [];
  });
  const ignore = ['**/.git', '**/.git/**', ...inside, ...(pattern.includes('node_modules') ? [] : ['**/node_modules/**'])];
  const { glob } = await import('tinyglobby');
  const found = await glob([pattern], {
    cwd: main,
    dot: true,
    ignore,
    followSymbolicLinks: false,
    expandDirectories: false,
    onlyFiles: true,
  });
  return found.sort();
}

/** `.worktreeinclude` has the syntax of `.gitignore`; what it matches and git ignores is copied. git itself does the matching. */
async function worktreeInclude(main: string, patterns: string[]): Promise<string[]> {
  if (patterns.length === 0) return [];
  const listed = await git(main, ['ls-files', '-z', '--others', '--ignored', ...patterns.map((pattern) => `--exclude=${pattern}`)]);
  if (listed.code !== 0) throw new Failure(`.worktreeinclude cannot be used: ${listed.stderr.trim()}`);
  // A name with `/` at its end is another repository, or a worktree of this one.
  const names = listed.stdout.split('\0').filter((name) => name !== '' && !name.endsWith('/') && badPath(name) === null);
  const ignored = await ignoredPaths(main, names);
  return names.filter((name) => ignored.has(name));
}
