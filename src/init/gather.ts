import fs from 'node:fs';
import path from 'node:path';
import { readEnvText } from '../files/env-text.ts';
import { gitOutput } from '../git/git.ts';
import { errorCode, Failure } from '../outcome.ts';
import { findComposeFiles, readProject } from '../resources/compose/file.ts';
import type { Look } from './look.ts';

/** Files that tell what an app needs. Everything else is only a name. */
const TELLING = [
  /(^|\/)\.env[^/]*$|^\.?(example|sample|template|test)\.env$|^env\.(example|sample|template)$/,
  /(^|\/)(package\.json|\.dev\.vars|Procfile[^/]*|Makefile|schema\.prisma|Gemfile|composer\.json|artisan|mix\.exs|manage\.py)$/,
  /(^|\/)(pyproject\.toml|requirements[^/]*\.txt|Pipfile|go\.mod|pom\.xml|build\.gradle(\.kts)?|phpunit\.xml(\.dist)?)$/,
  /(^|\/)(vite|nuxt|astro|svelte|webpack)\.config\.[cm]?[jt]s$/,
  /(^|\/)(server|index|main|app)\.([cm]?[jt]s|go|py)$/,
  /(^|\/)settings(\/[^/]+)?\.py$|(^|\/)settings\/[^/]+\.py$/,
  /(^|\/)config\/(database\.(yml|php)|puma\.rb|cable\.yml|(config|dev|test|runtime)\.exs)$/,
  /(^|\/)application[^/]*\.(properties|ya?ml)$/,
  /^(bin|scripts?|tools|\.cursor)\/[^/]+$|\.(sh|bash)$/,
  /^(\.worktreeinclude|conductor\.json|wt\.config\.json|\.cursor\/worktrees\.json|\.codex\/environments\/[^/]+\.toml)$/,
];
const MAX_BYTES = 128 * 1024;
const MAX_FILES = 2000;

/** Folders that hold what others made: nothing in them is anybody's own. */
const MADE =
  /(^|\/)(node_modules|vendor|\.venv|venv|dist|build|target|deps|_build|\.next|\.nuxt|\.turbo|\.cache|coverage|tmp|log|logs|__pycache__|\.git|\.idea|\.gradle|public|out)\/$/;

/**
 * Looks at a repository.
 * @param root the worktree that the config is for
 * @param main where ignored files are; the same, but for a linked worktree
 */
export async function gatherLook(root: string, main: string): Promise<Look> {
  const [tracked, untracked, ignored] = await Promise.all([
    list(root, ['ls-files', '-z']),
    list(root, ['ls-files', '-z', '--others', '--exclude-standard']),
    list(main, ['ls-files', '-z', '--others', '--ignored', '--exclude-standard', '--directory']),
  ]);
  const own = ignored.flatMap((name) => (name.endsWith('/') && !MADE.test(name) ? [name, ...listFolder(main, name)] : [name]));
  const texts = new Map<string, string>();
  const links = new Map<string, string>();
  const telling = (names: string[], folder: string) => {
    for (const name of names.filter((file) => TELLING.some((pattern) => pattern.test(file))).slice(0, MAX_FILES)) {
      const text = smallText(path.join(folder, name));
      if (text !== null) texts.set(name, text);
      const link = linkOf(path.join(folder, name));
      if (link !== null) links.set(name, link);
    }
  };
  telling([...tracked, ...untracked], root);
  readCalled(root, new Set([...tracked, ...untracked]), texts);
  telling(own, main);
  const unreadable: string[] = [];
  const compose = await readCompose(root, [...tracked, ...untracked], texts, unreadable);
  return {
    main,
    files: new Set([...tracked, ...untracked]),
    tracked: new Set(tracked),
    ignored: new Set(own),
    texts,
    links,
    compose,
    unreadable,
  };
}

/** Files that hold commands. */
const COMMANDS = /(^|\/)(package\.json|composer\.json|Makefile|mix\.exs|conductor\.json|wt\.config\.json)$|\.(sh|bash|toml)$|^\.cursor\//;

/** The programs of the repository that its commands call: whether they lose data is asked of their texts. */
function readCalled(root: string, files: ReadonlySet<string>, texts: Map<string, string>): void {
  for (const [holder, commands] of [...texts].filter(([name]) => COMMANDS.test(name))) {
    for (const word of new Set(commands.split(/[^\w./@-]+/))) {
      const named = word.replace(/^\.\//, '');
      for (const file of [named, path.posix.join(path.posix.dirname(holder), named)]) {
        if (!files.has(file) || texts.has(file)) continue;
        const text = smallText(path.join(root, file));
        if (text !== null) texts.set(file, text);
      }
    }
  }
}

async function list(folder: string, args: string[]): Promise<string[]> {
  return (await gitOutput(folder, args)).split('\0').filter((name) => name !== '');
}

/** The files right in an ignored folder. */
function listFolder(main: string, folder: string): string[] {
  try {
    const entries = fs.readdirSync(path.join(main, folder), { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => folder + entry.name);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errorCode(error) ?? '')) return [];
    throw error;
  }
}

function smallText(file: string): string | null {
  try {
    const stat = fs.statSync(file);
    return stat.isFile() && stat.size <= MAX_BYTES ? fs.readFileSync(file, 'utf8') : null;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return null;
  }
}

function linkOf(file: string): string | null {
  try {
    return fs.readlinkSync(file);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return null;
  }
}

/** The files that Compose finds, or the one elsewhere that is plainly meant for development. */
async function readCompose(root: string, files: string[], texts: Map<string, string>, unreadable: string[]): Promise<Look['compose']> {
  const named = composeFileOf(texts) ?? null;
  const found = named ?? (files.some((name) => /^(docker-)?compose\.ya?ml$/.test(name)) ? null : elsewhere(files));
  if (found !== null && found.length === 0) return null;
  try {
    // Where COMPOSE_FILE says it, the resource finds them as Compose does.
    return { project: await readProject(root, findComposeFiles(root, found)), named: named === null ? found : null };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    unreadable.push(error.message);
    return null;
  }
}

function composeFileOf(texts: Map<string, string>): string[] | undefined {
  const { COMPOSE_FILE: named } = readEnvText(texts.get('.env') ?? '');
  return named ? named.split(':') : undefined;
}

function elsewhere(files: string[]): string[] {
  const all = files.filter(
    (name) => /(^|\/)(docker-)?compose[\w.-]*\.ya?ml$/.test(name) && name.split('/').length <= 3 && !name.startsWith('.'),
  );
  const meant = all.filter((name) => /dev|local/i.test(name));
  const [one, another] = meant.length > 0 ? meant : all;
  return one !== undefined && another === undefined && !/prod|test|ci\b|example/i.test(one) ? [one] : [];
}
