import fs from 'node:fs';
import path from 'node:path';
import { cosmiconfig } from 'cosmiconfig';
import type { z } from 'zod';
import type { Problem } from './problems.ts';
import { checkRules, type RuleReport } from './rules.ts';
import { type Config, configSchema } from './schema.ts';
import { expandShorthands, isData, mergeLocal } from './shorthand.ts';
import { locate, readSource, type Source } from './source.ts';
import { sentenceFor } from './zod-sentences.ts';

/** The names a config can have, in a worktree's root. */
export const CONFIG_NAMES = ['worktree.config.yaml', 'worktree.config.yml', 'worktree.config.json'];
/** One person's own override, in the main worktree, git-ignored. */
export const LOCAL_NAME = 'worktree.config.local.yaml';

/** What loading came to. `absent`: this branch has no config, and nothing is to be done. */
export type LoadedConfig = { state: 'absent' } | { state: 'wrong'; problems: Problem[] } | { state: 'ok'; config: Config; file: string };

/**
 * Finds, reads and judges a worktree's config. Judges the files alone, never the machine.
 * @param root the worktree's root
 * @param localFolder where one person's override may be: the main worktree's root; null for none
 */
export async function loadConfig(root: string, localFolder: string | null): Promise<LoadedConfig> {
  const there = CONFIG_NAMES.filter((name) => fs.lstatSync(path.join(root, name), { throwIfNoEntry: false }));
  const [first, second] = there;
  if (first === undefined) return { state: 'absent' };
  if (second !== undefined)
    return { state: 'wrong', problems: [wholeFile(second, `is a second config beside ${first}`, 'Keep one of them.')] };
  const base = await search(root, first);
  if ('problems' in base) return { state: 'wrong', problems: base.problems };
  const sources = [base.source];
  let value = expandShorthands(base.source.value);
  const localFile = localFolder === null ? null : path.join(localFolder, LOCAL_NAME);
  if (localFile !== null && fs.lstatSync(localFile, { throwIfNoEntry: false })) {
    const local = readSource(localFile, LOCAL_NAME);
    if ('problems' in local) return { state: 'wrong', problems: local.problems };
    value = mergeLocal(value, expandShorthands(local.source.value));
    sources.unshift(local.source);
  }
  const judged = await judgeConfig(value, sources, root);
  return 'problems' in judged ? { state: 'wrong', problems: judged.problems } : { state: 'ok', config: judged.config, file: first };
}

/** cosmiconfig finds the file; our reader, as its loader, limits what a file may be and keeps where everything stands. */
async function search(root: string, expected: string): Promise<{ source: Source } | { problems: Problem[] }> {
  const file = path.join(root, expected);
  const unreadable = readSource(file, expected);
  if ('problems' in unreadable) return unreadable;
  const loader = () => unreadable.source;
  const explorer = cosmiconfig('coppice', {
    searchPlaces: CONFIG_NAMES,
    searchStrategy: 'none',
    loaders: { '.yaml': loader, '.yml': loader, '.json': loader },
    cache: false,
  });
  const found = await explorer.search(root);
  return found === null ? { problems: [wholeFile(expected, 'cannot be found any more', null)] } : { source: found.config as Source };
}

/**
 * Judges config data whose shorthands are expanded.
 * @param sources where the data came from, the overriding one first, to say where a problem stands
 * @param root the worktree's root, where template files are read from; null to leave them unread
 */
export async function judgeConfig(
  value: unknown,
  sources: Source[],
  root: string | null,
): Promise<{ config: Config } | { problems: Problem[] }> {
  const problems: Problem[] = [];
  const report: RuleReport = (at, message, hint = null, want = 'value') => problems.push(place(sources, at, message, hint, want));
  if (!isData(value)) {
    report([], 'a config is a map', 'It begins like this: `resources:`, and below it `  PORT: 3000`.');
    return { problems };
  }
  const { config, dropped } = parseLeniently(value, report);
  if (config) await checkRules(config, dropped, root, report);
  if (problems.length > 0 || !config)
    return { problems: problems.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column) };
  return { config };
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
    for (const issue of parsed.error.issues) {
      if (round === 0) reportIssue(issue, value, report);
      const at = dropPath(issue);
      for (const keys of at) {
        const [section, entry] = keys;
        if (entry !== undefined && (section === 'resources' || section === 'env' || section === 'steps'))
          dropped.add(`${String(section)}.${String(entry)}`);
        remove(rest, keys);
      }
    }
  }
  return { config: null, dropped };
}

/** An unknown key is left out alone; anything else wrong in an entry takes the whole entry with it. */
function dropPath(issue: z.core.$ZodIssue): PropertyKey[][] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => [...issue.path, key]);
  return [issue.path.slice(0, 2)];
}

function remove(value: unknown, keys: PropertyKey[]): void {
  const parent = keys.slice(0, -1).reduce<unknown>((node, key) => (isData(node) ? node[String(key)] : undefined), value);
  if (isData(parent)) delete parent[String(keys.at(-1))];
}

function reportIssue(issue: z.core.$ZodIssue, value: unknown, report: RuleReport): void {
  for (const { at, message, hint, want } of sentenceFor(issue, value)) report(at, message, hint, want);
}

function place(sources: Source[], at: readonly PropertyKey[], message: string, hint: string | null, want: 'key' | 'value'): Problem {
  // A shorthand has no node for what it expands to: the closest part that stands in a file is shown.
  for (let length = at.length; length >= 0; length -= 1) {
    for (const source of sources) {
      const found = locate(source, at.slice(0, length), length === at.length ? want : 'value');
      if (found)
        return { file: source.file, line: found.line, column: found.column, width: found.width, message, hint, source: found.source };
    }
  }
  return wholeFile(sources[0]?.file ?? 'worktree.config.yaml', message, hint);
}

function wholeFile(file: string, message: string, hint: string | null): Problem {
  return { file, line: 0, column: 0, width: 0, message, hint, source: null };
}
