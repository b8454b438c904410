import fs from 'node:fs';
import path from 'node:path';
// Not the package's entry: that one first looks for settings of its own in the current folder, in package.json and in
// `.config/config.js`, which it runs. The folder is a branch's.
import { ExplorerSync } from 'cosmiconfig/dist/ExplorerSync.js';
import type * as z from 'zod/mini';
import { isData } from './data.ts';
import { CONFIG_NAMES, configsIn, LOCAL_NAME } from './find.ts';
import type { Problem } from './problems.ts';
import type { RuleReport } from './rule-report.ts';
import { checkRules } from './rules.ts';
import { type Config, configSchema } from './schema.ts';
import { expandShorthands, mergeLocal } from './shorthand.ts';
import { locate, MAX_PROBLEMS, more, type ReadSource, readSource, type Source } from './source.ts';
import { misspeltKeys, sentenceFor } from './zod-sentences.ts';

/** What loading came to. `absent`: this branch has no config, and nothing is to be done. */
export type LoadedConfig =
  | { state: 'absent' }
  | { state: 'wrong'; problems: Problem[] }
  | {
      state: 'ok';
      config: Config;
      file: string;
      /** The branch's own data, its short forms expanded, without anybody's override. */
      base: unknown;
      /** The texts that were judged. */
      texts: { branch: string; local: string | null };
    };

/**
 * Finds, reads and judges a worktree's config. Judges the files alone, never the machine.
 * @param root the worktree's root
 * @param localFolder where one person's override may be: the main worktree's root; null for none
 */
export async function loadConfig(root: string, localFolder: string | null): Promise<LoadedConfig> {
  const [first, ...more] = configsIn(root);
  if (first === undefined) return { state: 'absent' };
  if (more.length > 0)
    return { state: 'wrong', problems: more.map((name) => wholeFile(name, `is a second config beside ${first}`, 'Keep one of them.')) };
  const base = aMap(await search(root, first));
  const local = localFolder === null ? null : readLocal(path.join(localFolder, LOCAL_NAME));
  const unreadable = [local, base].flatMap((read) => (read !== null && 'problems' in read ? read.problems : []));
  if ('problems' in base) return { state: 'wrong', problems: unreadable };
  const override = local !== null && 'source' in local ? local.source : null;
  const sources = override === null ? [base.source] : [override, base.source];
  const [over, under] = sources.map((source) => expandShorthands(source.value));
  const value = under === undefined ? over : mergeLocal(under, over);
  const judged = await judgeConfig(value, sources, root);
  if ('config' in judged && unreadable.length === 0)
    return {
      state: 'ok',
      config: judged.config,
      file: first,
      base: under ?? over,
      texts: { branch: base.source.text, local: override?.text ?? null },
    };
  return { state: 'wrong', problems: [...unreadable, ...('problems' in judged ? judged.problems : [])] };
}

/** One person's override, or null when there is none. */
function readLocal(file: string): ReadSource | null {
  return fs.lstatSync(file, { throwIfNoEntry: false }) ? aMap(readSource(file, LOCAL_NAME)) : null;
}

function aMap(read: ReadSource): ReadSource {
  if ('problems' in read || isData(read.source.value)) return read;
  const hint = 'It begins like this: `resources:`, and below it `  PORT: 3000`.';
  return { problems: [place([read.source], [], 'a config is a map', hint, 'value', null)] };
}

/** cosmiconfig finds the file; our reader, as its loader, limits what a file may be and keeps where everything stands. */
function search(root: string, expected: string): ReadSource {
  const file = path.join(root, expected);
  const unreadable = readSource(file, expected);
  if ('problems' in unreadable) return unreadable;
  const loader = () => unreadable.source;
  const explorer = new ExplorerSync({
    moduleName: 'coppice',
    searchPlaces: CONFIG_NAMES,
    searchStrategy: 'none',
    loaders: { '.yaml': loader, '.yml': loader, '.json': loader },
    ignoreEmptySearchPlaces: true,
    mergeSearchPlaces: true,
    mergeImportArrays: true,
    applyPackagePropertyPathToConfiguration: false,
    cache: false,
    transform: (result: unknown) => result,
  });
  const found = explorer.search(root);
  return found === null ? { problems: [wholeFile(expected, 'cannot be found any more', null)] } : { source: found.config as Source };
}

/**
 * Judges config data, a map, whose shorthands are expanded.
 * @param sources where the data came from, the overriding one first, to say where a problem stands
 * @param root the worktree's root, where template files are read from; null to leave them unread
 */
export async function judgeConfig(
  value: unknown,
  sources: Source[],
  root: string | null,
): Promise<{ config: Config } | { problems: Problem[] }> {
  const problems: Problem[] = [];
  let untold = 0;
  const report: RuleReport = (at, message, { hint = null, want = 'value', part = null } = {}) => {
    if (problems.length < MAX_PROBLEMS) problems.push(place(sources, at, message, hint, want, part));
    else untold += 1;
  };
  if (!isData(value)) throw new TypeError('a config that is not a map');
  const { config, dropped } = parseLeniently(value, report);
  if (config) await checkRules(config, dropped, root, report);
  if (problems.length > 0 || !config)
    return { problems: [...problems.sort(byPlace), ...(untold > 0 ? [more(sources[0]?.file ?? 'the config', untold)] : [])] };
  return { config };
}

function byPlace(a: Problem, b: Problem): number {
  return a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column;
}

/**
 * Reports what the schema finds wrong, then leaves those parts out and parses the rest, so that the rules can judge it
 * in the same run. Names that were left out still count as known.
 */
function parseLeniently(value: Record<string, unknown>, report: RuleReport): { config: Config | null; dropped: Set<string> } {
  const dropped = new Set<string>();
  const rest = structuredClone(value);
  for (let round = 0; round < 5; round += 1) {
    const parsed = configSchema.safeParse(rest);
    if (parsed.success) return { config: parsed.data, dropped };
    const issues = round === 0 ? parsed.error.issues : [];
    const misspelt = new Set(issues.flatMap((issue) => misspeltKeys(issue, value)));
    for (const issue of issues) if (!misspelt.has(JSON.stringify(issue.path))) reportIssue(issue, value, report);
    for (const issue of parsed.error.issues) {
      for (const keys of dropPaths(issue, rest)) {
        const [section, entry] = keys;
        if (keys.length <= 2) dropped.add(entry === undefined ? String(section) : `${String(section)}.${String(entry)}`);
        remove(rest, keys);
      }
    }
  }
  return { config: null, dropped };
}

/** An unknown key is left out alone; anything else wrong in an entry takes the whole entry with it, or the whole list. */
function dropPaths(issue: z.core.$ZodIssue, value: Record<string, unknown>): PropertyKey[][] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => [...issue.path, key]);
  return [issue.path.slice(0, isData(value[String(issue.path[0])]) ? 2 : 1)];
}

function remove(value: unknown, keys: PropertyKey[]): void {
  const parent = keys.slice(0, -1).reduce<unknown>((node, key) => (isData(node) ? node[String(key)] : undefined), value);
  if (isData(parent)) delete parent[String(keys.at(-1))];
}

function reportIssue(issue: z.core.$ZodIssue, value: unknown, report: RuleReport): void {
  for (const { at, message, hint, want } of sentenceFor(issue, value)) report(at, message, { hint, want });
}

function place(
  sources: Source[],
  at: readonly PropertyKey[],
  message: string,
  hint: string | null,
  want: 'key' | 'value',
  part: string | null,
): Problem {
  // A shorthand has no node for what it expands to: the closest part that stands in a file is shown.
  for (let length = at.length; length >= 0; length -= 1) {
    for (const source of sources) {
      const found = locate(source, at.slice(0, length), length === at.length ? want : 'value', part);
      if (found)
        return { file: source.file, line: found.line, column: found.column, width: found.width, message, hint, source: found.source };
    }
  }
  return wholeFile(sources[0]?.file ?? 'worktree.config.yaml', message, hint);
}

function wholeFile(file: string, message: string, hint: string | null): Problem {
  return { file, line: 0, column: 0, width: 0, message, hint, source: null };
}
