import { createHash } from 'node:crypto';
import { Failure } from '../outcome.ts';
import type { CarryRule } from '../resources/resource.ts';
import { carryOver } from './carry-over.ts';
import { type Assignment, assignments, lineEnd } from './env-text.ts';
import { quoteForAll, quoteForShell } from './quote.ts';

/** How an env file of the worktree is made from the main worktree's. */
export interface MergeInput {
  /** The path, for messages. */
  file: string;
  /** The main worktree's file. */
  source: string;
  /** What stands in the worktree now; null when nothing does. */
  current: string | null;
  /** The variables to place, in order. */
  place: Record<string, string>;
  carry: readonly CarryRule[];
  /** What the last run wrote; see {@link MergeResult.digests}. */
  digests: Record<string, string>;
  /** Makes digests of one worktree differ from another's. */
  salt: string;
}

export interface MergeResult {
  text: string;
  /** A digest of each value written, by name, and of the whole text under the empty name: what the user edits later shows. */
  digests: Record<string, string>;
  warnings: string[];
  /** The names whose values are this worktree's own. */
  placed: string[];
}

const OPENING = "# >>> coppice >>> this worktree's own values; `git coppice up` writes this block again";
const CLOSING = '# <<< coppice <<<';

/**
 * The main worktree's env file with this worktree's values in place. Comments, order, quotes, line ends and every value
 * that does not point at the main worktree stay byte for byte.
 * @throws {Failure} when a value has no form that all readers of env files read the same
 */
export function mergeEnv(input: MergeInput): MergeResult {
  const fresh = renderFresh(input);
  const { current, digests, salt } = input;
  if (current === null || digests[''] === digest(salt, '', current) || current === fresh.text)
    return { ...fresh, digests: digestAll(fresh.text, salt), warnings: [] };
  return keepEdits(input, fresh);
}

function renderFresh({ file, source, place, carry }: MergeInput): { text: string; placed: string[] } {
  const body = withoutBlock(source);
  const missing = new Set(Object.keys(place));
  const placed: string[] = [];
  const text = rewrite(body, (assignment) => {
    const { name, value } = assignment;
    const wanted = place[name];
    missing.delete(name);
    const next = wanted ?? carryOver(value, carry);
    if (next === value) return null;
    placed.push(name);
    return encode(file, name, next, body.slice(assignment.valueStart, assignment.valueEnd), wanted === undefined ? carry : []);
  });
  const added = [...missing];
  return {
    text: withBlock(
      text,
      added.map((name) => `${name}=${quoted(file, name, place[name] ?? '')}`),
      lineEnd(source),
    ),
    placed: [...placed, ...added],
  };
}

/** The user edited the file here: their edits win, and what changed in the source since is brought in around them. */
function keepEdits({ file, current, digests, salt, source }: MergeInput, fresh: { text: string; placed: string[] }): MergeResult {
  const text = current ?? '';
  const warnings: string[] = [];
  const next = byName(fresh.text);
  const here = byName(withoutBlock(text));
  const inSource = byName(withoutBlock(source));
  // A value that no run of ours wrote counts as edited only when it is not simply the main worktree's.
  const edited = ({ name, value }: Assignment) =>
    name in digests ? digests[name] !== digest(salt, name, value) : inSource.get(name)?.value !== value;
  const isEdit = (assignment: Assignment | undefined) => assignment !== undefined && edited(assignment);
  const dropped: Assignment[] = [];
  let kept = rewrite(withoutBlock(text), (assignment) => {
    const wanted = next.get(assignment.name);
    if (edited(assignment)) {
      if (wanted && wanted.value !== assignment.value)
        warnings.push(`${assignment.name} in ${file} was edited in this worktree and is left as it is`);
      return null;
    }
    if (!wanted) dropped.push(assignment);
    return wanted && wanted.value !== assignment.value ? fresh.text.slice(wanted.valueStart, wanted.valueEnd) : null;
  });
  for (const name of dropped.map(({ name }) => name)) kept = rewrite(kept, () => null, name);
  const end = lineEnd(text);
  const news = [...inSource.keys()].filter((name) => !here.has(name) && !(name in digests) && next.has(name));
  for (const name of news) {
    const wanted = next.get(name);
    if (!wanted) continue;
    kept = `${kept}${kept === '' || kept.endsWith('\n') ? '' : end}${fresh.text.slice(wanted.start, wanted.end).replace(/\r?\n$/, '')}${end}`;
  }
  const blockHere = byName(blockOf(text).join('\n'));
  const block = blockOf(fresh.text).flatMap((line) => {
    const name = line.slice(0, line.indexOf('='));
    const own = blockHere.get(name);
    if (here.has(name)) return [];
    if (!own || !edited(own)) return [line];
    if (own.value !== next.get(name)?.value) warnings.push(`${name} in ${file} was edited in this worktree and is left as it is`);
    return [blockOf(text).find((candidate) => candidate.startsWith(`${name}=`)) ?? line];
  });
  const result = withBlock(kept, block, end);
  const written = byName(result);
  const merged = Object.fromEntries(
    [...written].map(([name, assignment]) => [
      name,
      isEdit(here.get(name) ?? blockHere.get(name)) ? (digests[name] ?? 'edited') : digest(salt, name, assignment.value),
    ]),
  );
  for (const name of Object.keys(digests)) if (name !== '' && !(name in merged)) merged[name] = digests[name] ?? '';
  return { text: result, digests: merged, warnings, placed: fresh.placed };
}

/** Only our variables, in a marked block; the lines outside it are the user's. @throws {Failure} as {@link mergeEnv} */
export function envBlock(file: string, current: string | null, place: Record<string, string>, format: 'dotenv' | 'export'): string {
  const lines = Object.entries(place).map(([name, value]) => {
    if (format === 'dotenv') return `${name}=${quoted(file, name, value)}`;
    const shell = quoteForShell(value);
    if (shell === null) throw new Failure(`${file}: the value of ${name} has a NUL character, which no shell can read`);
    return `export ${name}=${shell}`;
  });
  const text = current ?? '';
  return withBlock(withoutBlock(text), lines, lineEnd(text));
}

/** A text without our block. */
export function withoutBlock(text: string): string {
  const start = text.indexOf(OPENING.slice(0, 17));
  if (start < 0) return text;
  const closing = text.indexOf(CLOSING, start);
  if (closing < 0) return text;
  const after = text.indexOf('\n', closing);
  return text.slice(0, start) + (after < 0 ? '' : text.slice(after + 1));
}

function blockOf(text: string): string[] {
  const start = text.indexOf(OPENING);
  if (start < 0) return [];
  return text.slice(start, text.indexOf(CLOSING, start)).split(/\r?\n/).slice(1, -1);
}

function withBlock(text: string, lines: string[], end: string): string {
  if (lines.length === 0) return text;
  const opening = text === '' || text.endsWith('\n') ? text : text + end;
  return opening + [OPENING, ...lines, CLOSING, ''].join(end);
}

/** Replaces values in place; `change` gives the new text of a value with its quotes, or null to keep it. */
function rewrite(text: string, change: (assignment: Assignment) => string | null, without?: string): string {
  let result = '';
  let position = 0;
  for (const assignment of assignments(text)) {
    if (assignment.name === without) {
      result += text.slice(position, assignment.start);
      position = assignment.end;
      continue;
    }
    const next = change(assignment);
    if (next === null) continue;
    result += text.slice(position, assignment.valueStart) + next;
    position = assignment.valueEnd;
  }
  return result + text.slice(position);
}

/** The value in the quotes that it has, where that is safe; else in the form that all readers agree on. */
function encode(file: string, name: string, value: string, raw: string, carry: readonly CarryRule[]): string {
  // A carried value may hold what only its own reader understands (`$HOME`, `\n`): only the part that moved is changed.
  const replaced = carryOver(raw, carry);
  if (
    replaced !== raw &&
    !/['"$\\`\s#]/.test(carry.flatMap((rule) => (rule.kind === 'text' && raw.includes(rule.from) ? [rule.to] : [])).join(''))
  )
    return replaced;
  const [quote] = raw;
  const safe = quoted(file, name, value);
  if (quote === '"' && !/["$\\`\p{Cc}]/u.test(value)) return `"${value}"`;
  if (quote === "'" && !/['$\\\p{Cc}]/u.test(value)) return `'${value}'`;
  return safe;
}

function quoted(file: string, name: string, value: string): string {
  const text = quoteForAll(value);
  if (text === null)
    throw new Failure(
      `${file}: the value of ${name} cannot be written so that every reader of env files reads it the same (it has a line break, \`$\`, \`\\\`, or both kinds of quotes in it). Shells can read it from a file with \`{ action: env, format: export }\`.`,
    );
  return text;
}

function byName(text: string): Map<string, Assignment> {
  return new Map(assignments(text).map((assignment) => [assignment.name, assignment]));
}

function digestAll(text: string, salt: string): Record<string, string> {
  return {
    '': digest(salt, '', text),
    ...Object.fromEntries(assignments(text).map(({ name, value }) => [name, digest(salt, name, value)])),
  };
}

function digest(salt: string, name: string, value: string): string {
  return createHash('sha256').update(`${salt}\0${name}\0${value}`).digest('base64url').slice(0, 16);
}
