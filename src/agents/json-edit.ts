import { findNodeAtLocation, type JSONPath, type Node, type ParseError, parse, parseTree } from 'jsonc-parser';
import { Failure } from '../outcome.ts';

/** JSON with comments and trailing commas, as VS Code and its descendants read it. @throws {Failure} when it is not that */
export function parseJson(text: string): Record<string, unknown> {
  const errors: ParseError[] = [];
  const value: unknown = parse(text, errors, { allowTrailingComma: true });
  if (errors.length > 0 || typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Failure('is not a JSON object that can be read');
  return value as Record<string, unknown>;
}

/** Every text in a JSON value, however deep. */
export function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}

/**
 * Sets a property, and makes the objects above it that are not there. Every other byte stays: the packages that edit JSON give
 * the lines around the edit a look of their own.
 */
export function setJson(text: string, path: JSONPath, value: unknown): string {
  const known = nodeAt(text, path);
  if (known) return replace(text, known.offset, known.offset + known.length, written(value, text, indentOf(text, known.offset)));
  const [name] = path.slice(-1);
  const parent = path.slice(0, -1);
  const object = nodeAt(text, parent);
  if (!object) return setJson(text, parent, { [String(name)]: value });
  if (object.type !== 'object') throw new Failure(`has a \`${parent.join('.')}\` that is no object`);
  return insertChild(text, object, 'last', (indent) => `${JSON.stringify(name)}: ${written(value, text, indent)}`);
}

/** Puts a value into a list, which is made when it is not there. */
export function insertJson(text: string, list: JSONPath, where: 'first' | 'last', value: unknown): string {
  const node = nodeAt(text, list);
  if (!node) return setJson(text, list, [value]);
  if (node.type !== 'array') throw new Failure(`has a \`${list.join('.')}\` that is no list`);
  return insertChild(text, node, where, (indent) => written(value, text, indent));
}

/** Takes a value out, and the objects and lists around it that hold nothing else. */
export function removeJson(text: string, path: JSONPath): string {
  const parent = path.slice(0, -1);
  const around = nodeAt(text, parent);
  const children = around?.children ?? [];
  const value = nodeAt(text, path);
  if (!around || !value) return text;
  if (children.length === 1 && parent.length > 0) return removeJson(text, parent);
  const at = children.findIndex((child) => child.offset <= value.offset && end(value) <= end(child));
  const [previous, child, next] = [children[at - 1], children[at], children[at + 1]];
  if (!child) return text;
  const comma = /^[ \t]*,/.exec(text.slice(end(child)))?.[0] ?? '';
  const line = /\r?\n[ \t]*$/.exec(text.slice(0, child.offset))?.[0] ?? '';
  const ownLines = line !== '' && /^[ \t]*(\r?\n|$)/.test(text.slice(end(child) + comma.length));
  const rest = ownLines
    ? replace(text, child.offset - line.length, end(child) + comma.length, '')
    : replace(text, child.offset, next ? next.offset : end(child) + comma.length, '');
  // The last one has a comma behind it only where the file is written so.
  return previous && !next && comma === '' && text[end(previous)] === ',' ? replace(rest, end(previous), end(previous) + 1, '') : rest;
}

function insertChild(text: string, parent: Node, where: 'first' | 'last', entry: (indent: string) => string): string {
  const children = parent.children ?? [];
  const [first] = children;
  const last = children[children.length - 1];
  const eol = eolOf(text);
  const outer = indentOf(text, parent.offset);
  if (!first || !last) {
    const inner = outer + unitOf(text);
    const comments = text.slice(parent.offset + 1, end(parent) - 1).trimEnd();
    return replace(text, parent.offset + 1, end(parent) - 1, `${comments}${eol}${inner}${entry(inner)}${eol}${outer}`);
  }
  const ownLines = text.slice(parent.offset, first.offset).includes('\n');
  const inner = ownLines ? indentOf(text, first.offset) : outer;
  const gap = ownLines ? `${eol}${inner}` : ' ';
  if (where === 'first') return replace(text, first.offset, first.offset, `${entry(inner)},${gap}`);
  // What follows the last one on its line stays with it: a comma, a comment.
  const [line = '', comma] = /^[ \t]*(,?)[ \t]*(?:\/\/[^\r\n]*)?(?=\r?\n)/.exec(text.slice(end(last))) ?? [];
  const behind = ownLines ? end(last) + line.length : end(last);
  const added = replace(text, behind, behind, `${comma ? '' : behind === end(last) ? ',' : ''}${gap}${entry(inner)}${comma ? ',' : ''}`);
  return comma || behind === end(last) ? added : replace(added, end(last), end(last), ',');
}

function nodeAt(text: string, path: JSONPath): Node | undefined {
  const root = parseTree(text, [], { allowTrailingComma: true });
  return root && findNodeAtLocation(root, path);
}

function end(node: Node): number {
  return node.offset + node.length;
}

function replace(text: string, from: number, to: number, by: string): string {
  return text.slice(0, from) + by + text.slice(to);
}

function written(value: unknown, text: string, indent: string): string {
  return JSON.stringify(value, null, unitOf(text)).replaceAll('\n', `${eolOf(text)}${indent}`);
}

/** What the line at an offset begins with. */
function indentOf(text: string, offset: number): string {
  return /^[ \t]*/.exec(text.slice(text.lastIndexOf('\n', offset - 1) + 1))?.[0] ?? '';
}

/** What one more level is indented by. */
function unitOf(text: string): string {
  return /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ';
}

function eolOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}
