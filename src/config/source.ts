import fs from 'node:fs';
import type { CST } from 'yaml';
import { Composer, type Document, isMap, isNode, isPair, isScalar, LineCounter, type Node, type Pair, Parser } from 'yaml';
import { errorCode } from '../outcome.ts';
import type { Problem } from './problems.ts';

/** More would be no config; also bounds what a hostile file can cost. */
const MAX_BYTES = 64 * 1024;
/** The composer recurses: ten thousand levels would overflow Node's stack. */
const MAX_DEPTH = 40;

/** A config file's data together with where each part of it stands. */
export interface Source {
  file: string;
  value: unknown;
  text: string;
  document: Document;
  lines: LineCounter;
}

export type ReadSource = { source: Source } | { problems: Problem[] };

/**
 * Reads a YAML or JSON file as data: no aliases, no tags that build objects, no repeated keys.
 * @param file where it is @param name what to call it in problems
 */
export function readSource(file: string, name: string): ReadSource {
  const whole = (message: string, hint: string | null = null): ReadSource => ({
    problems: [{ file: name, line: 0, column: 0, width: 0, message, hint, source: null }],
  });
  const bytes = readPlainFile(file);
  if ('wrong' in bytes) return whole(bytes.wrong, bytes.hint);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.content);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return whole('is not valid UTF-8', 'Save it as UTF-8.');
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
  const lines = new LineCounter();
  const at = (offset: number, message: string, width = 1, hint: string | null = null): Problem => ({
    ...position(lines, text, offset),
    file: name,
    width,
    message,
    hint,
  });
  if (text.trim() === '')
    return {
      problems: [
        {
          file: name,
          line: 0,
          column: 0,
          width: 0,
          message: 'is empty',
          hint: 'The smallest useful file is two lines: `resources:` and `  PORT: 3000`.',
          source: null,
        },
      ],
    };
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const deep = tooDeep(tokens);
  if (deep !== null) return { problems: [at(deep, `is nested more than ${MAX_DEPTH} levels deep`)] };
  const documents = [
    ...new Composer({ version: '1.2', uniqueKeys: true, strict: true, keepSourceTokens: false }).compose(tokens, true, text.length),
  ];
  const [document, second] = documents;
  if (!document) return { problems: [at(0, 'is empty')] };
  const problems = [...document.errors, ...document.warnings].map((error) =>
    at(error.pos[0], sentence(error.message), Math.max(1, error.pos[1] - error.pos[0])),
  );
  if (second) problems.push(at(second.range[0], 'a second document starts here; one file holds one config'));
  problems.push(...forbiddenNodes(document as Document, at));
  if (name.endsWith('.json') && problems.length === 0) problems.push(...jsonProblems(text, at));
  if (problems.length > 0) return { problems };
  return { source: { file: name, value: document.toJS({ maxAliasCount: 0 }), text, document: document as Document, lines } };
}

function sentence(message: string): string {
  const [first = message] = message.split(/ at line \d+/);
  if (/tab/i.test(first)) return `${first} (YAML is indented with spaces)`;
  return first.replace(/\s+/g, ' ');
}

function tooDeep(tokens: CST.Token[]): number | null {
  const open: { token: unknown; depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = open.pop(); next; next = open.pop()) {
    const { token, depth } = next;
    if (typeof token !== 'object' || token === null) continue;
    if (depth > MAX_DEPTH) return 'offset' in token && typeof token.offset === 'number' ? token.offset : 0;
    if ('type' in token && token.type === 'document' && 'value' in token) open.push({ token: token.value, depth: depth + 1 });
    if ('items' in token && Array.isArray(token.items)) {
      for (const item of token.items) {
        if (item.key) open.push({ token: item.key, depth: depth + 1 });
        if (item.value) open.push({ token: item.value, depth: depth + 1 });
      }
    }
  }
  return null;
}

/** Aliases can make a small file large and repeat what a reader takes for one; tags and odd keys have no use here. */
function forbiddenNodes(
  document: Document,
  at: (offset: number, message: string, width?: number, hint?: string | null) => Problem,
): Problem[] {
  const problems: Problem[] = [];
  const walk = (node: unknown): void => {
    if (isPair(node)) {
      walkKey(node);
      walk(node.value);
    } else if (isNode(node)) {
      const start = node.range?.[0] ?? 0;
      if ('source' in node && !isScalar(node)) problems.push(at(start, 'an alias (`*name`) is not allowed', 1, 'Write the value out.'));
      else if ('anchor' in node && node.anchor)
        problems.push(at(start, `an anchor (\`&${node.anchor}\`) is not allowed`, 1, 'Write the value out where it is needed.'));
      if (node.tag && !node.tag.startsWith('tag:yaml.org,2002:')) problems.push(at(start, `the tag ${node.tag} is not allowed`));
      if ('items' in node && Array.isArray(node.items)) node.items.forEach(walk);
    }
  };
  const walkKey = (pair: Pair): void => {
    const key = pair.key as Node;
    const start = key?.range?.[0] ?? 0;
    if (!isScalar(key) || isMap(key)) problems.push(at(start, 'a key must be plain text'));
    else if (['__proto__', 'constructor', 'prototype'].includes(String(key.value)))
      problems.push(at(start, `\`${String(key.value)}\` cannot be used as a key`, String(key.value).length));
  };
  walk(document.contents);
  return problems;
}

function jsonProblems(text: string, at: (offset: number, message: string) => Problem): Problem[] {
  try {
    JSON.parse(text);
    return [];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const offset = Number(/position (\d+)/.exec(error.message)?.[1] ?? 0);
    return [at(offset, `is not valid JSON: ${error.message}`)];
  }
}

function position(lines: LineCounter, text: string, offset: number): { line: number; column: number; source: string } {
  const { line, col } = lines.linePos(offset);
  const start = lines.lineStarts[line - 1] ?? 0;
  const end = text.indexOf('\n', start);
  return { line: Math.max(1, line), column: Math.max(1, col), source: text.slice(start, end < 0 ? undefined : end).replace(/\r$/, '') };
}

/** Where a path of keys stands in a source: the key itself when `key` is asked for, else its value. Null when it is not in it. */
export function locate(
  source: Source,
  path: readonly PropertyKey[],
  want: 'key' | 'value',
): { line: number; column: number; width: number; source: string } | null {
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
  const place = position(source.lines, source.text, start);
  const length = isScalar(target) && end > start ? end - start : 1;
  return { ...place, width: Math.min(length, Math.max(1, place.source.length - place.column + 1)) };
}
