import type { ComposeProject } from '../resources/compose/file.ts';

/** What is looked at: git's answers and texts. Values only; the detectors read nothing else. */
export interface Look {
  /** The main worktree, for values that name it. */
  main: string;
  /** The files that git tracks, and those that it would: a new repository has nothing else. */
  files: ReadonlySet<string>;
  /** Of these, the ones that git tracks. */
  tracked: ReadonlySet<string>;
  /** Files of the main worktree that git ignores; a folder that is ignored as a whole ends with `/`. */
  ignored: ReadonlySet<string>;
  /** Texts of the files that tell something, by path. */
  texts: ReadonlyMap<string, string>;
  /** Where symbolic links lead, by path. */
  links: ReadonlyMap<string, string>;
  /** The Compose project, read, and where its files are, when Compose does not find them by itself. */
  compose: { project: ComposeProject; named: string[] | null } | null;
  /** What could not be read, as sentences. */
  unreadable: string[];
}

/** The text of a file; empty when it is not there. */
export function textOf(look: Look, file: string): string {
  return look.texts.get(file) ?? '';
}

/** The files whose path matches, in order. */
export function filesLike(look: Look, pattern: RegExp): string[] {
  return [...look.files].filter((file) => pattern.test(file)).sort();
}

/** A path in a folder; `''` is the root. */
export function inFolder(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/** The folder of a path; `''` is the root. */
export function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.lastIndexOf('/')) : '';
}

/** What a package.json says that matters here. */
export interface PackageJson {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  packageManager: string;
  worktreeSetup: unknown;
}

/** A package.json, read; null when there is none, or it is none. */
export function packageJson(look: Look, folder = ''): PackageJson | null {
  const data = jsonOf(textOf(look, inFolder(folder, 'package.json')));
  if (data === null) return null;
  return {
    scripts: strings(data.scripts),
    dependencies: { ...strings(data.devDependencies), ...strings(data.dependencies) },
    packageManager: typeof data.packageManager === 'string' ? data.packageManager : '',
    worktreeSetup: data.worktreeSetup,
  };
}

/** The folders that have a package.json, the root first; examples and tests are no apps. */
export function packageFolders(look: Look): string[] {
  return filesLike(look, /(^|\/)package\.json$/)
    .map(folderOf)
    .filter(
      (folder) => folder.split('/').length <= 3 && !/(^|\/)(examples?|tests?|fixtures|e2e|docs|templates?|node_modules)(\/|$)/.test(folder),
    )
    .sort((a, b) => a.length - b.length || a.localeCompare(b));
}

/** A JSON object; null when the text is none. */
export function jsonOf(text: string): Record<string, unknown> | null {
  try {
    const data: unknown = JSON.parse(text);
    return isMap(data) ? data : null;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The entries of a map that are texts. */
function strings(value: unknown): Record<string, string> {
  if (!isMap(value)) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

/** A path as a key of `files`: the characters of globs are escaped. */
export function literalPath(name: string): string {
  return name.replace(/[*?[\]{}()!]/g, '\\$&');
}
