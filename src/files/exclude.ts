import fs from 'node:fs';
import path from 'node:path';
import { git, gitOutput, gitScript } from '../git/git.ts';
import { readIfThere } from '../ledger/document.ts';
import { Failure } from '../outcome.ts';

/** Which of these paths of a worktree git tracks (folders by what is in them), and the env files that it tracks anywhere. */
export async function trackedPaths(worktree: string, paths: string[]): Promise<Omit<PathFacts, 'ignored'>> {
  return trackedFacts(split(await gitOutput(worktree, ['ls-files', '-z', '--', ...pathspecs(paths)])));
}

/** What git knows of the paths that a set-up writes. */
export interface PathFacts {
  isTracked(name: string): boolean;
  /** Whether git tracks just this path, not something below it. */
  isTrackedFile(name: string): boolean;
  /** The env files that git tracks anywhere in the worktree. */
  envFiles: string[];
  /** Those that git ignores as plain files. */
  ignored: ReadonlySet<string>;
}

/**
 * Asks git about the paths that a set-up will write, before it does: the answers come while other work is done.
 * @param scratch a folder of ours for a passing file
 */
export async function askAboutPaths(
  worktree: string,
  files: { path: string; spec: { action: string } }[],
  scratch: string,
): Promise<PathFacts> {
  const plain = files.filter(({ spec }) => !['copy', 'link'].includes(spec.action)).map((file) => file.path);
  const specs = pathspecs(files.map((file) => file.path));
  const answer = await gitScript(worktree, IGNORED_AND_TRACKED, [String(plain.length), ...plain, ...specs], scratch);
  const [ignored = '', tracked = ''] = answer.split('//\0');
  return { ...trackedFacts(split(tracked)), ignored: new Set(split(ignored)) };
}

/**
 * Arguments: how many paths to ask check-ignore about, these paths, and pathspecs for ls-files. The answers have `//` between
 * them, which is no path. check-ignore ends with 1 when it ignores nothing.
 */
const IGNORED_AND_TRACKED = `
count=$1
shift
asked() {
  while [ "$count" -gt 0 ]; do
    printf '%s\\0' "$1"
    shift
    count=$((count - 1))
  done
}
asked "$@" | git check-ignore -z --stdin || [ $? = 1 ] || exit
printf '//\\0'
shift "$count"
git ls-files -z -- "$@"`;

function pathspecs(paths: string[]): string[] {
  return [...paths.map((name) => `:(literal)${name}`), ':(glob)**/.env*'];
}

function nulTerminated(paths: string[]): string {
  return paths.map((name) => `${name}\0`).join('');
}

function trackedFacts(names: string[]): Omit<PathFacts, 'ignored'> {
  const tracked = new Set(names);
  return {
    isTrackedFile: (name) => tracked.has(name),
    isTracked: (name) => tracked.has(name) || names.some((other) => other.startsWith(`${name}/`)),
    envFiles: names.filter((name) => path.posix.basename(name).startsWith('.env')),
  };
}

/** Which of these paths git ignores, as what really stands there: `models/` does not match a symbolic link `models`. */
export async function ignoredPaths(worktree: string, paths: string[]): Promise<Set<string>> {
  if (paths.length === 0) return new Set();
  const result = await git(worktree, ['check-ignore', '-z', '--stdin'], { input: nulTerminated(paths) });
  if (result.code > 1) throw new Failure(`git check-ignore failed: ${result.stderr.trim()}`);
  return new Set(split(result.stdout));
}

/**
 * Puts what git would show as untracked into the clone's own `info/exclude`, so that `git status` stays clean and
 * `git worktree remove` needs no `--force`. One append, which other processes' appends cannot tear.
 * @param there paths that were put into the worktree @param later files that may come to stand there
 * @returns what git shows all the same, because the branch's `.gitignore` takes it back
 */
export async function excludePaths(commonDir: string, worktree: string, there: string[], later: string[]): Promise<string[]> {
  const ignored = await ignoredPaths(worktree, later);
  const missing = [...(await untracked(worktree, there)), ...later.filter((name) => !ignored.has(name))];
  if (missing.length === 0) return [];
  append(
    commonDir,
    missing.map((name) => `/${escapePattern(name)}`),
  );
  return untracked(worktree, there);
}

/** The temporary files that a killed run leaves must not keep git from removing the worktree; see `temporaryBeside`. */
export function excludeTemporaries(commonDir: string): void {
  if (!excludes(commonDir).includes(`\n${TEMPORARIES}\n`)) append(commonDir, [TEMPORARIES]);
}

const TEMPORARIES = '.coppice-*.tmp*';

function excludes(commonDir: string): string {
  return readIfThere(path.join(commonDir, 'info', 'exclude')) ?? '';
}

function append(commonDir: string, patterns: string[]): void {
  const file = path.join(commonDir, 'info', 'exclude');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const text = excludes(commonDir);
  const lines = patterns.map((pattern) => `${EXCLUDE_MARK}\n${pattern}\n`).join('');
  fs.appendFileSync(file, `${text === '' || text.endsWith('\n') ? '' : '\n'}${lines}`);
}

/** What of these paths, or below them, git would show; a folder that is new as a whole ends with `/`. */
async function untracked(worktree: string, paths: string[]): Promise<string[]> {
  if (paths.length === 0) return [];
  const literal = paths.map((name) => `:(literal)${name}`);
  return split(await gitOutput(worktree, ['ls-files', '-z', '--others', '--exclude-standard', '--directory', '--', ...literal]));
}

/** Takes out the lines that `excludePaths` added. */
export function removeExcludes(commonDir: string): void {
  const file = path.join(commonDir, 'info', 'exclude');
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'latin1') : '';
  if (!text.includes(EXCLUDE_MARK)) return;
  const lines = text.split('\n');
  const kept = lines.filter((line, index) => line !== EXCLUDE_MARK && lines[index - 1] !== EXCLUDE_MARK);
  fs.writeFileSync(file, kept.join('\n'), 'latin1');
}

/** The comment above each line that Coppice adds. */
const EXCLUDE_MARK = '# added by coppice, which puts this into worktrees:';

/** gitignore(5): these characters mean more than themselves, and a space at the end is dropped unless escaped. */
function escapePattern(name: string): string {
  return name.replace(/[\\*?[\]!#]/g, '\\$&').replace(/ $/, '\\ ');
}

function split(text: string): string[] {
  return text.split('\0').filter((name) => name !== '');
}
