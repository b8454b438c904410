import fs from 'node:fs';
import type { CST } from 'yaml';
import { Composer, type Document, isMap, isNode, isScalar, Lexer, type Node, type Pair, Parser } from 'yaml';
import { errorCode } from '../outcome.ts';
import { redactLine } from '../report/secrets.ts';
import type { Problem } from './problems.ts';
import { type At, isRefused, jsonProblems, refusedTokens, yamlProblems } from './yaml-problems.ts';

/** More would be no config; also bounds what a hostile file can cost. */
const MAX_BYTES = 64 * 1024;
/** The composer recurses: ten thousand levels would overflow Node's stack. */
const MAX_DEPTH = 40;
/** Keys and values. What compares each with each would take minutes for those that 64 KiB can hold. */
const MAX_PARTS = 1000;
/** A file of one mistake made a thousand times is told of the first ones. */
export const MAX_PROBLEMS = 20;
const SMALLEST = 'The smallest useful file is two lines: `resources:` and `  PORT: 3000`.';

/** A config file's data together with where each part of it stands. */
export interface Source {
  file: string;
  value: unknown;
  text: string;
  document: Document;
}

export type ReadSource = { source: Source } | { problems: Problem[] };

/**
 * Reads a YAML or JSON file as data: no aliases, no tags that build objects, no repeated keys.
 * @param file where it is @param name what to call it in problems
 */
export function readSource(file: string, name: string): ReadSource {
  const bytes = readPlainFile(file);
  if ('wrong' in bytes) return { problems: [whole(name, bytes.wrong, bytes.hint)] };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.content);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { problems: [whole(name, 'is not valid UTF-8', 'Save it as UTF-8.')] };
  }
  return parseSource(text, name);
}

function readPlainFile(file: string): { content: Buffer } | { wrong: string; hint: string | null } {
  try {
    const stat = fs.lstatSync(file);
    if (stat.isSymbolicLink()) return { wrong: 'is a symbolic link, and is not followed', hint: 'Put the file itself here.' };
    if (stat.isDirectory()) return { wrong: 'is a folder', hint: 'A YAML file of this name is expected.' };
    if (!stat.isFile()) return { wrong: 'is not a plain file', hint: null };
    if (stat.size > MAX_BYTES) return { wrong: `is ${stat.size} bytes long; at most ${MAX_BYTES} are read`, hint: null };
    return { content: fs.readFileSync(file) };
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return { wrong: `cannot be read (${code})`, hint: code === 'EACCES' ? 'Check its permissions.' : null };
  }
}

/** Parses the text of a config file; see {@link readSource}. */
export function parseSource(text: string, name: string): ReadSource {
  const position = placesIn(text);
  const at: At = (offset, message, width = 1, hint = null) => ({
    ...position(offset),
    file: name,
    width,
    message,
    hint,
  });
  if (text.trim() === '') return { problems: [whole(name, 'is empty', SMALLEST)] };
  const top = parsed(text);
  const { tokens, tooDeep } = typeof top === 'number' ? { tokens: { top: [], all: [] }, tooDeep: top } : scan(top);
  if (tooDeep !== null) return { problems: [at(tooDeep, `is nested more than ${MAX_DEPTH} levels deep`)] };
  const parts = tokens.all.filter(({ type }) => PARTS.includes(type));
  const first = parts[MAX_PARTS];
  if (first !== undefined) return { problems: [at(first.offset, `has more than ${MAX_PARTS} keys and values`)] };
  const refused = tokens.all.filter(isRefused);
  if (refused.length > MAX_PROBLEMS)
    return { problems: [...refusedTokens(refused.slice(0, MAX_PROBLEMS), at), more(name, refused.length - MAX_PROBLEMS)] };
  const [document, second] = [
    ...new Composer({ version: '1.2', uniqueKeys: true, strict: true, keepSourceTokens: false }).compose(tokens.top, true, text.length),
  ] as Document[];
  if (!document || document.contents === null) return { problems: [whole(name, 'is empty', SMALLEST)] };
  const problems = yamlProblems(document, tokens.all, text, at);
  if (second) problems.push(at(second.range?.[0] ?? 0, 'a second document starts here; one file holds one config'));
  if (name.endsWith('.json') && problems.length === 0) problems.push(...jsonProblems(text, tokens.all, at));
  if (problems.length > 0) return { problems: shortened(problems, name) };
  keepTextAsWritten(document.contents, []);
  return { source: { file: name, value: document.toJS({ maxAliasCount: 0 }), text, document } };
}

/** The tokens that are a key or a value. */
const PARTS: CST.Token['type'][] = [
  ...(['alias', 'scalar', 'single-quoted-scalar', 'double-quoted-scalar', 'block-scalar'] as const),
  ...(['block-map', 'block-seq', 'flow-collection'] as const),
];

/** How many problems are not told. */
export function more(name: string, count: number): Problem {
  return whole(name, `has ${count} more problems`, null);
}

function shortened(problems: Problem[], name: string): Problem[] {
  const sorted = problems.sort((a, b) => a.line - b.line || a.column - b.column);
  if (sorted.length <= MAX_PROBLEMS) return sorted;
  return [...sorted.slice(0, MAX_PROBLEMS), more(name, sorted.length - MAX_PROBLEMS)];
}

function whole(file: string, message: string, hint: string | null): Problem {
  return { file, line: 0, column: 0, width: 0, message, hint, source: null };
}

/** The file's tokens, or where it is nested so deep that the parser, which recurses when it closes levels, could overflow Node's stack. */
function parsed(text: string): CST.Token[] | number {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // The document is the first on the stack, and the last may be a word.
    const [tooDeep, ...more] = parser.stack.slice(MAX_DEPTH + 1);
    if (tooDeep !== undefined && more.length > 0) return tooDeep.offset;
  }
  return [...tokens, ...parser.end()];
}

/** Every token of the file in its order, found without recursion, or where it is nested too deep for the composer, which recurses. */
function scan(top: CST.Token[]): { tokens: { top: CST.Token[]; all: CST.Token[] }; tooDeep: number | null } {
  const all: CST.Token[] = [];
  let tooDeep: number | null = null;
  const open: { token: CST.Token; depth: number }[] = [];
  const push = (tokens: (CST.Token | null | undefined)[] | undefined, depth: number) => {
    for (const token of tokens ?? []) if (token) open.push({ token, depth });
  };
  push(top, 0);
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (depth > MAX_DEPTH && 'items' in token) {
      tooDeep = Math.min(tooDeep ?? token.offset, token.offset);
      continue;
    }
    all.push(token);
    if ('start' in token && Array.isArray(token.start)) push(token.start, depth);
    if ('end' in token) push(token.end, depth);
    if (token.type === 'document') push([token.value], depth + 1);
    if (token.type === 'block-scalar') push(token.props, depth);
    if ('items' in token) {
      for (const item of token.items) {
        push(item.start, depth);
        push(item.sep, depth);
        push([item.key, item.value], depth + 1);
      }
    }
  }
  return { tokens: { top, all: all.sort((a, b) => a.offset - b.offset) }, tooDeep };
}

/** Where the values of variables stand; null is any name. */
const TEXT_MAPS = [['env'], ['resources', null, 'env'], ['files', null, 'set'], ['steps', null, 'env'], ['teardown', null, 'env']];

/** Numbers and booleans among the values of variables are text as it is written: `VERSION: 1.10` is not the number 1.1. */
function keepTextAsWritten(node: unknown, path: string[]): void {
  if (!isMap(node) || path.length > 3) return;
  const isTextMap = TEXT_MAPS.some(
    (map) => map.length === path.length && map.every((name, index) => name === null || name === path[index]),
  );
  for (const { key, value } of node.items) {
    if (isMap(value)) keepTextAsWritten(value, [...path, isScalar(key) ? String(key.value) : '']);
    else if (isTextMap && isScalar(value) && ['number', 'boolean'].includes(typeof value.value))
      value.value = value.source ?? String(value.value);
  }
}

/** The line and column of an offset, 1-based, and the line itself. The library's line counter misses lines of broken files. */
function placesIn(text: string): (offset: number) => { line: number; column: number; source: string } {
  const starts = [0];
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) starts.push(end + 1);
  const sources = new Map<number, string>();
  return (offset) => {
    let [line, after] = [0, starts.length];
    while (after - line > 1) {
      const middle = (line + after) >> 1;
      if ((starts[middle] ?? 0) <= offset) line = middle;
      else after = middle;
    }
    const start = starts[line] ?? 0;
    const source = sources.get(line) ?? redactLine(text.slice(start, starts[line + 1] ?? text.length).replace(/\r?\n?$/, ''));
    sources.set(line, source);
    return { line: line + 1, column: Math.min(offset - start, source.length) + 1, source };
  };
}

/**
 * Where a path of keys stands in a source: the key itself when `key` is asked for, else its value, or this part of its text.
 * Null when it is not in it.
 */
export function locate(
  source: Source,
  path: readonly PropertyKey[],
  want: 'key' | 'value',
  part: string | null = null,
): { line: number; column: number; width: number; source: string } | null {
  const position = placesIn(source.text);
  let node: unknown = source.document.contents;
  let found: Node | null = isNode(node) ? node : null;
  let key: Node | null = null;
  for (const step of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (!pair) return null;
      key = pair.key as Node;
      node = pair.value;
    } else if (isNode(node) && 'items' in node && Array.isArray(node.items) && typeof step === 'number') {
      node = node.items[step];
      key = null;
    } else return null;
    found = isNode(node) ? node : key;
  }
  const target = want === 'key' && key ? key : (found ?? key);
  if (!target?.range) return null;
  const [start, end] = target.range;
  const within = part === null || !isScalar(target) ? -1 : wordAt(source.text.slice(start, end), part);
  if (part !== null && within >= 0) return { ...position(start + within), width: part.length };
  const place = position(start);
  const length = isScalar(target) && end > start ? end - start : 1;
  return { ...place, width: Math.min(length, Math.max(1, place.source.length - place.column + 1)) };
}

/** A longer name is shown with the whole value that it stands in: to look for it would take its time. */
const LONGEST_NAME = 200;

/** Where a name stands by itself in the expressions of a template, or -1. */
function wordAt(text: string, word: string): number {
  if (word === '' || word.length > LONGEST_NAME) return -1;
  for (const { 0: expression, index } of text.matchAll(/\{\{[^}]*/g))
    for (let at = expression.indexOf(word); at >= 0; at = expression.indexOf(word, at + 1))
      if (!/[\w.]/.test((expression[at - 1] ?? '') + (expression[at + word.length] ?? ''))) return index + at;
  return -1;
}
