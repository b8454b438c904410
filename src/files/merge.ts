import { createHash } from 'node:crypto';
import { Failure } from '../outcome.ts';
import type { CarryRule } from '../resources/resource.ts';
import { carryOver } from './carry-over.ts';
import { type Assignment, assignments, lineEnd, readEnvText } from './env-text.ts';
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
  /** The main worktree's own values: only these are replaced by name, and nothing is added. Null: every value, and what is missing is added. */
  onlyThese: Record<string, string> | null;
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
  // Other programs that add worktrees copy the main worktree's file over ours: as long as it is that, nobody has edited it.
  const untouched = digests[''] === digest(salt, '', current ?? '') || current === input.source;
  if (current === null || untouched || current === fresh.text) return { ...fresh, digests: digestAll(fresh.text, salt), warnings: [] };
  return keepEdits(input, fresh);
}

function renderFresh({ file, source, place: all, carry, onlyThese }: MergeInput): { text: string; placed: string[] } {
  const body = withoutBlock(source);
  const place = onlyThese === null ? all : ownValues(body, all, onlyThese);
  const missing = new Set(Object.keys(place));
  const placed: string[] = [];
  const text = rewrite(body, (assignment) => {
    const { name, value } = assignment;
    const wanted = Object.hasOwn(place, name) ? place[name] : undefined;
    missing.delete(name);
    const next = wanted ?? carryOver(value, carry);
    if (next === value) return null;
    placed.push(name);
    return encode(file, name, next, body.slice(assignment.valueStart, assignment.valueEnd), wanted === undefined ? carry : []);
  });
  const added = [...missing];
  const lines = added.map((name) => `${name}=${quoted(file, name, place[name] ?? '')}`);
  const result = withBlock(text, lines, lineEnd(source));
  if (result === body) return { text: result, placed: [] };
  const before = readEnvText(`${body}\n`);
  const wanted = { ...Object.fromEntries(Object.entries(before).map(([name, value]) => [name, carryOver(value, carry)])), ...place };
  const after = readEnvText(result);
  if (Object.entries(wanted).some(([name, value]) => after[name] !== value)) {
    throw new Failure(
      `${file}: a quote in the main worktree's file is not closed, so that what is changed in it would be read as something else. Close it, then \`git coppice up\`.`,
    );
  }
  return { text: result, placed: [...new Set([...placed, ...added])] };
}

/** Of the variables, those whose value in the file is the main worktree's. */
function ownValues(text: string, place: Record<string, string>, main: Record<string, string>): Record<string, string> {
  const here = readEnvText(text);
  return Object.fromEntries(Object.entries(place).filter(([name]) => Object.hasOwn(here, name) && here[name] === main[name]));
}

/** The user edited the file here: their edits win, and what changed in the source since is brought in around them. */
function keepEdits(input: MergeInput, fresh: { text: string; placed: string[] }): MergeResult {
  const { file, digests, salt } = input;
  const text = input.current ?? '';
  const end = lineEnd(text);
  const warnings: string[] = [];
  const next = byName(fresh.text);
  const nextBody = byName(withoutBlock(fresh.text));
  const body = withoutBlock(text);
  const block = blockOf(text);
  const here = byName(body);
  const inBlock = byName(block);
  const inSource = byName(withoutBlock(input.source));
  // A value that no run of ours wrote counts as edited only when it is not simply the main worktree's.
  const edited = ({ name, value }: Assignment) =>
    Object.hasOwn(digests, name) ? digests[name] !== digest(salt, name, value) : inSource.get(name)?.value !== value;
  const warnWhereItDiffers = ({ name, value }: Assignment) => {
    const wanted = next.get(name);
    if (wanted && wanted.value !== value) warnings.push(`${name} in ${file} was edited in this worktree and is left as it is`);
  };

  let kept = rewrite(body, (assignment) => {
    // Of a name that stands twice the last counts; the others are left as they are.
    if (here.get(assignment.name)?.start !== assignment.start) return null;
    const wanted = next.get(assignment.name);
    if (edited(assignment)) {
      warnWhereItDiffers(assignment);
      return null;
    }
    if (!wanted) return REMOVED;
    return wanted.value === assignment.value ? null : fresh.text.slice(wanted.valueStart, wanted.valueEnd);
  });
  const add = (line: string) => {
    kept = `${kept}${kept === '' || kept.endsWith('\n') ? '' : end}${line.replace(/\r?\n$/, '')}${end}`;
  };
  for (const [name, wanted] of nextBody) {
    const own = inBlock.get(name);
    if (here.has(name) || (own && edited(own))) continue;
    if (own || !Object.hasOwn(digests, name)) add(fresh.text.slice(wanted.start, wanted.end));
    else if (fresh.placed.includes(name)) warnings.push(`${name} was removed from ${file} in this worktree and is left out`);
  }
  const lines: string[] = [];
  for (const [name, wanted] of next) {
    const own = inBlock.get(name);
    if (nextBody.has(name) || here.has(name)) continue;
    const mine = own && edited(own) ? own : null;
    if (mine) warnWhereItDiffers(mine);
    lines.push(mine ? block.slice(mine.start, mine.end).trimEnd() : fresh.text.slice(wanted.start, wanted.end).trimEnd());
  }
  for (const [name, own] of inBlock) {
    if (here.has(name) || (next.has(name) && !nextBody.has(name)) || !edited(own)) continue;
    add(block.slice(own.start, own.end));
    warnings.push(`${name} was edited in coppice's block of ${file}, where it no longer belongs: it stands above the block now`);
  }

  const result = withBlock(kept, lines, end);
  const isEdit = (assignment: Assignment | undefined) => assignment !== undefined && edited(assignment);
  const written = [...byName(result)].map(([name, assignment]): [string, string] => [
    name,
    isEdit(here.get(name) ?? inBlock.get(name)) ? (digests[name] ?? 'edited') : digest(salt, name, assignment.value),
  ]);
  const { '': _whole, ...earlier } = digests;
  return { text: result, digests: { ...earlier, ...Object.fromEntries(written) }, warnings, placed: fresh.placed };
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
  const found = findBlock(text);
  return found ? text.slice(0, found.start) + text.slice(found.end) : text;
}

/** What stands in our block, without the lines that mark it. */
function blockOf(text: string): string {
  const found = findBlock(text);
  return found ? text.slice(text.indexOf('\n', found.start) + 1, found.closing) : '';
}

/** Where our block stands, from its opening line to the end of its closing line. The markers are whole lines, not parts of values. */
function findBlock(text: string): { start: number; closing: number; end: number } | null {
  const opening = /^# >>> coppice >>>/m.exec(text);
  if (!opening) return null;
  const closing = new RegExp(`^${CLOSING}[^\\S\\r\\n]*(\\r?\\n|$(?![\\s\\S]))`, 'm').exec(text.slice(opening.index));
  if (!closing) return null;
  const start = opening.index + closing.index;
  return { start: opening.index, closing: start, end: start + closing[0].length };
}

function withBlock(text: string, lines: string[], end: string): string {
  if (lines.length === 0) return text;
  const opening = text === '' || text.endsWith('\n') ? text : text + end;
  return opening + [OPENING, ...lines, CLOSING, ''].join(end);
}

/** What `rewrite` is told to take a whole assignment out. */
const REMOVED = Symbol('removed');

/** Replaces values in place; `change` gives the new text of a value with its quotes, null to keep it, or `REMOVED`. */
function rewrite(text: string, change: (assignment: Assignment) => string | null | typeof REMOVED): string {
  let result = '';
  let position = 0;
  for (const assignment of assignments(text)) {
    const { start, end, valueStart, valueEnd } = assignment;
    const next = change(assignment);
    if (next === null) continue;
    if (next === REMOVED) {
      result += text.slice(position, start);
      position = end;
      continue;
    }
    // A `#` right behind a value belongs to it for shells.
    const space = valueStart === valueEnd && text[valueEnd] === '#' && next !== '' ? ' ' : '';
    result += text.slice(position, valueStart) + next + space;
    position = valueEnd;
  }
  return result + text.slice(position);
}

/** The value in the quotes that it has, where that is safe; else in the form that all readers agree on. */
function encode(file: string, name: string, value: string, raw: string, carry: readonly CarryRule[]): string {
  // A carried value may hold what only its own reader understands (`$HOME`, `\n`): only the part that moved is changed.
  const replaced = carryOver(raw, carry);
  if (
    replaced !== raw &&
    !/['"$\\`\s#]/.test(
      carry.flatMap((rule) => (rule.kind !== 'port' && rule.kind !== 'redis' && raw.includes(rule.from) ? [rule.to] : [])).join(''),
    )
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
