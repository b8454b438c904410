import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { isData } from '../config/data.ts';
import { LOCAL_NAME, loadKnownConfig } from '../config/find.ts';
import { problemText } from '../config/problems.ts';
import type { Config, ResourceSpec } from '../config/schema.ts';
import { git } from '../git/git.ts';
import { Failure } from '../outcome.ts';
import { composeNames } from '../resources/compose/names.ts';
import { isSqlFile } from '../resources/database.ts';
import { matcher, type Tree, worktreeTree } from './tree.ts';

/** What a branch asks for, read once: what is approved is what runs, whatever changes on the disk meanwhile. */
export interface Closure {
  /** With one person's own override, which is not the branch's. */
  config: Config;
  content: Content;
  /** `sha256:` and 64 hexadecimal digits: of the content. */
  digest: string;
  /** What the files hold that the config names, by path; those of `inputs` that are not the branch's too. */
  files: ReadonlyMap<string, Buffer>;
  /** The paths that each step's `inputs` match, by step. */
  inputs: Readonly<Record<string, string[]>>;
}

/** All of a branch that can run or direct what runs; nothing in it is of this machine, so it is the same for every colleague. */
export interface Content {
  /** The config with its short forms expanded, in an order of keys that does not depend on how it was written. */
  config: unknown;
  /** The patterns of `.worktreeinclude`. */
  include: string[];
  /** The SHA-256 of every file of the branch that the config names, by path. */
  files: Record<string, string>;
}

/** For what is there, and is no file: a link that leads nowhere, a pipe. */
const UNREADABLE = Buffer.from('(no file)');

/** The sections whose entries are carried out in the order in which they stand. */
const IN_ORDER = ['resources', 'env', 'files', 'steps', 'teardown'];

/**
 * What the branch in a worktree asks for.
 * @param main the main worktree's root, where one person's override may be
 * @throws {Failure} with every problem of the config, exit code 2; null when the branch has none
 */
export async function readClosure(root: string, main: string | null): Promise<Closure | null> {
  if (main !== null) await refuseCarriedOverride(main);
  const loaded = await loadKnownConfig(root, main);
  if (loaded.state === 'absent') return null;
  if (loaded.state === 'wrong') throw new Failure(loaded.problems.map(problemText).join('\n\n'), 2);
  return closureOf(loaded.config, loaded.base, worktreeTree(root));
}

/** An override is one person's own: one that git has is a branch's, and nobody would be asked about it. @throws {Failure} */
async function refuseCarriedOverride(main: string): Promise<void> {
  if (!fs.existsSync(path.join(main, LOCAL_NAME))) return;
  const tracked = await git(main, ['ls-files', '-z', '--', `:(icase)${LOCAL_NAME}`]);
  if (tracked.code !== 0 || tracked.stdout !== '')
    throw new Failure(
      `${LOCAL_NAME} in ${main} is tracked by git, so it is not your own: anybody's branch could bring it. \`git rm --cached ${LOCAL_NAME}\`, and name it in .gitignore.`,
      2,
    );
}

/** @param base the branch's own config, without anybody's override, with its short forms expanded */
export async function closureOf(config: Config, base: unknown, tree: Tree): Promise<Closure> {
  const files = new Map<string, Buffer>();
  const inputs: Record<string, string[]> = Object.create(null);
  for (const [name, spec] of Object.entries(config.steps)) if (spec.inputs) inputs[name] = await tree.glob(spec.inputs);
  const inputNames = new Set(Object.values(inputs).flat());
  for (const name of new Set([...namedFiles(config), ...inputNames])) {
    const bytes = (await tree.read(name)) ?? (inputNames.has(name) ? UNREADABLE : null);
    if (bytes !== null) files.set(name, bytes);
  }
  const carried = await tree.carried([...inputNames]);
  const content: Content = {
    config: inOneOrder(base),
    include: patternsOf((await tree.read('.worktreeinclude'))?.toString('utf8') ?? ''),
    files: Object.fromEntries(
      [...files]
        .filter(([name]) => !inputNames.has(name) || carried.has(name))
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([name, bytes]) => [name, sha256(bytes)]),
    ),
  };
  return { config, content, digest: `sha256:${sha256(JSON.stringify(content))}`, files, inputs };
}

function sha256(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The files of the branch that a config has read or carried out, besides the inputs of steps. */
function namedFiles(config: Config): string[] {
  const templates = Object.values(config.files ?? {}).flatMap((spec) =>
    spec.action === 'template' && spec.template !== undefined ? [spec.template] : [],
  );
  return [...templates, ...Object.values(config.resources).flatMap(filesOfResource)];
}

/** The files of the branch that a resource runs: a seed, or the compose files of a project that is started. */
export function filesOfResource(spec: ResourceSpec): readonly string[] {
  if (spec.type === 'compose') return spec.up ? composeNames(spec.files) : [];
  return 'seed' in spec && spec.seed !== undefined && isSqlFile(spec.seed) ? [spec.seed] : [];
}

/** Two ways to write one thing become one: only in the sections whose order means something it is kept. */
function inOneOrder(base: unknown): unknown {
  if (!isData(base)) return base;
  return Object.fromEntries(
    entriesSorted(base).map(([key, value]) => [
      key,
      IN_ORDER.includes(key) && isData(value)
        ? Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, sorted(entry)]))
        : sorted(value),
    ]),
  );
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  return isData(value) ? Object.fromEntries(entriesSorted(value).map(([key, inner]) => [key, sorted(inner)])) : value;
}

function entriesSorted(map: Record<string, unknown>): [string, unknown][] {
  return Object.entries(map).sort(([one], [other]) => (one < other ? -1 : 1));
}

/** The lines that git would read as patterns (gitignore(5)): comments and spaces at the end mean nothing. */
function patternsOf(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line) => withoutSpaces(line.replace(/\r$/, '')))
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** Spaces at the end, but for one that a backslash stands before. */
function withoutSpaces(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === ' ') end -= 1;
  return line.slice(0, line[end - 1] === '\\' ? end + 1 : end);
}

/** A digest of what a step's inputs hold; null when it names none. */
export function digestOfInputs({ inputs, files }: Pick<Closure, 'inputs' | 'files'>, step: string): string | null {
  const names = Object.hasOwn(inputs, step) ? inputs[step] : undefined;
  if (names === undefined) return null;
  const hash = createHash('sha256');
  for (const name of names)
    hash
      .update(`${name}\0`)
      .update(files.get(name) ?? '')
      .update('\0');
  return hash.digest('base64url').slice(0, 22);
}

/** Whether what a branch brings of a step's inputs is another by now than what was approved. */
export async function haveInputsChanged(root: string, patterns: readonly string[], { files }: Content): Promise<boolean> {
  const tree = worktreeTree(root);
  const { among } = await matcher(patterns);
  const names = new Set(await tree.glob(patterns));
  const now = await tree.carried([...names]);
  for (const name of names) {
    if (now.has(name) && sha256((await tree.read(name)) ?? UNREADABLE) !== files[name]) return true;
  }
  return among(Object.keys(files)).some((name) => !names.has(name));
}
