import { BUILT_IN_NAMES, HELPERS } from '../config/templates.ts';
import { readEnvText } from '../files/env-text.ts';
import { learn } from '../report/secrets.ts';
import { type Finding, type Findings, finding } from './findings.ts';
import { folderOf, inFolder, type Look, literalPath } from './look.ts';

/** What an env file is for. `sample`: for people to copy, no program reads it. */
type Role = 'main' | 'test' | 'other' | 'sample';

export interface EnvFile {
  path: string;
  role: Role;
  /** Whether git has it: then no worktree can have another one. */
  tracked: boolean;
  ignored: boolean;
  values: Record<string, string>;
}

/** A variable of an env file that apps read in development. */
export interface Variable {
  name: string;
  value: string;
  file: string;
}

/** The env files, and what the app reads from them. */
export interface Environment {
  files: EnvFile[];
  /** The root's, the later over the earlier. */
  values: Record<string, string>;
  /** Those of the root's files first, each name once for a file; where several files of one folder set it, the last one's. */
  variables: Variable[];
  /** Those of the root's files for tests that git ignores. */
  testVariables: Variable[];
  /** The files that `main.env` has to read, when they are not the usual two. */
  envFiles: string[] | null;
  /** The file that gets what is missing. */
  primary: string;
  /** There is only a sample: nobody has made the file yet. */
  onlySample: string | null;
}

const SAMPLE = /(^|[._-])(example|sample|template|dist|defaults?|tpl|bak|orig|schema)([._-]|$)/i;
const ENV_FILE = /(^|\/)\.env[^/]*$|^\.?(example|sample|template|test)\.env$|^env\.(example|sample|template)$/;
/** As Next and Vite read them, the later over the earlier. */
const ORDER = ['.envrc', '.env', '.env.development', '.env.local', '.env.development.local'];
const USUAL = ['.env', '.env.local'];

function roleOf(name: string): Role {
  if (SAMPLE.test(name)) return 'sample';
  if (ORDER.includes(name) || name === '.env.dev') return 'main';
  return /^\.env\.test(ing)?(\.local)?$|^\.?test\.env$/.test(name) ? 'test' : 'other';
}

/** Reads the env files of a look. Names and the shape of values are used; values of secrets go nowhere. */
export function readEnvironment(look: Look): Environment {
  const files = [...look.texts]
    // A quote or a brace in a path cannot be named in a template.
    .filter(
      ([file]) => ENV_FILE.test(file) && !/["'{}\\\n]/.test(file) && !/(^|\/)(examples?|tests?|fixtures|e2e|node_modules)\//.test(file),
    )
    .map(
      ([file, text]): EnvFile => ({
        path: file,
        role: roleOf(baseName(file)),
        tracked: look.tracked.has(file),
        ignored: look.ignored.has(file),
        values: usable(learn(readEnvText(text))),
      }),
    )
    .filter(({ path, tracked }) => baseName(path) !== '.envrc' || !tracked)
    .sort((a, b) => a.path.split('/').length - b.path.split('/').length || order(a) - order(b) || a.path.localeCompare(b.path));
  const sample = files.find(({ path, role }) => role === 'sample' && folderOf(path) === '');
  const root = files.filter(({ path, role }) => role === 'main' && folderOf(path) === '');
  const onlySample = root.length === 0 && sample !== undefined ? sample.path : null;
  const read = onlySample === null ? root : [sample as EnvFile];
  const others = files.filter(({ path, role }) => role === 'main' && folderOf(path) !== '');
  const names = root.map(({ path }) => path);
  const unusual = names.some((name) => !USUAL.includes(name));
  return {
    files,
    values: Object.assign({}, ...read.map(({ values }) => values)),
    variables: byFolder([...read, ...others]),
    testVariables: byFolder(files.filter(({ path, role, tracked }) => role === 'test' && !tracked && folderOf(path) === '')),
    envFiles: unusual ? names : null,
    primary: primaryOf(root),
    onlySample,
  };
}

/** Without names that no variable of the config can have. */
function usable(values: Record<string, string>): Record<string, string> {
  const names: readonly string[] = BUILT_IN_NAMES;
  const entries = Object.entries(values).filter(
    ([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !names.includes(name) && !name.startsWith('COPPICE'),
  );
  return Object.fromEntries(entries.filter(([name]) => !Object.hasOwn(HELPERS, name) && name !== 'if' && name !== 'unless'));
}

/** In one folder the last file that sets a variable counts. */
function byFolder(files: EnvFile[]): Variable[] {
  const found = new Map<string, Variable>();
  for (const { path, values } of files)
    for (const [name, value] of Object.entries(values)) found.set(`${folderOf(path)} ${name}`, { name, value, file: path });
  return [...found.values()];
}

function primaryOf(root: EnvFile[]): string {
  const ours = root.filter(({ tracked }) => !tracked);
  const names = ours.map(({ path }) => path);
  if (names.includes('.env')) return '.env';
  if (root.some(({ path, tracked }) => path === '.env' && tracked)) return names.find((name) => name !== '.envrc') ?? '.env.local';
  return names.find((name) => name !== '.envrc') ?? names[0] ?? '.env';
}

function order({ path }: EnvFile): number {
  const at = ORDER.indexOf(baseName(path));
  return at < 0 ? ORDER.length : at;
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}

/** What the config has: variables by name, as templates give them, to put into env files that hold some of them. */
export type Placeable = (variable: Variable) => string | null;

/**
 * The env files of a worktree: the root's gets all variables, each other one those that it has.
 * @param place what stands for a variable of a file; null when it stays, or follows by itself
 */
export function envFileFindings(look: Look, environment: Environment, place: Placeable): Findings {
  const { files, primary, onlySample } = environment;
  const found: Finding[] = [];
  const notes: string[] = [];
  const there = files.find(({ path }) => path === primary);
  if (there !== undefined)
    found.push(
      finding(
        'files',
        literalPath(primary),
        'merge',
        `the main worktree's, with this worktree's values in place${linkNote(look, primary)}`,
      ),
    );
  else if (onlySample !== null) {
    found.push(finding('files', primary, 'merge', `made from the main worktree's ${primary}, which is not there yet`));
    notes.push(
      `There is no ${primary} here, only ${onlySample}. Make it before the first worktree: \`cp ${onlySample} ${primary}\`, and fill it in.`,
    );
  }
  for (const file of files) {
    if (file.path === primary || file.role === 'sample') continue;
    const set = Object.fromEntries(
      Object.entries(file.values).flatMap(([name, value]) => {
        const template = place({ name, value, file: file.path });
        return template === null ? [] : [[name, template]];
      }),
    );
    if (file.tracked) notes.push(...trackedNotes(file, set));
    else if (look.links.has(file.path) && isEnvLink(look, file.path))
      found.push(
        finding(
          'files',
          literalPath(file.path),
          'merge',
          `a link to ${look.links.get(file.path)} in the main worktree; here a file of its own`,
        ),
      );
    else found.push(finding('files', literalPath(file.path), { action: 'merge', set }, whyOther(file, set)));
  }
  for (const file of files)
    if (!file.tracked && !file.ignored && file.role !== 'sample')
      notes.push(`git does not ignore ${file.path}: put it into .gitignore, so that nobody commits it.`);
  return { found, notes };
}

function whyOther({ role }: EnvFile, set: Record<string, string>): string {
  const names = Object.keys(set);
  const what =
    names.length === 0 ? 'addresses in it follow by themselves' : `only ${names.join(', ')} and addresses in it are this worktree's`;
  return role === 'test' ? `for tests; ${what}` : what;
}

/** Files that git tracks are the same in every worktree. */
function trackedNotes({ path, role }: EnvFile, set: Record<string, string>): string[] {
  const names = Object.keys(set);
  if (names.length === 0 || role === 'other') return [];
  const where = role === 'test' ? `.env.test.local` : inFolder(folderOf(path), '.env.local');
  return [
    `git tracks ${path}, which sets ${names.join(', ')}: the same in every worktree, and the isolation check will say so. Take ${names.length > 1 ? 'them' : 'it'} out of it, into a file that git ignores (${where}).`,
  ];
}

function linkNote(look: Look, file: string): string {
  const target = look.links.get(file);
  return target === undefined ? '' : ` (a link to ${target} there; here a file of its own)`;
}

function isEnvLink(look: Look, file: string): boolean {
  return /(^|\/)\.env[^/]*$/.test(look.links.get(file) ?? '');
}
