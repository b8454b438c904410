import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

/** Where a node begins and ends in the text. */
interface Span {
  start: number;
  end: number;
}

/** A member of an object in a JSON text: the key, its value, and the value before it in the object. */
interface Member {
  value: Span;
  key: Span;
  /** The end of the member before; null for the first. */
  before: number | null;
  /** The beginning of the member after; null for the last. */
  after: number | null;
}

/** An object in a JSON text, reached through keys; undefined when there is none. JSON is YAML, whose reader tells places. */
function objectAt(text: string, keys: string[]): YAMLMap | undefined {
  const document = parseDocument(text);
  const node = document.errors.length > 0 ? undefined : keys.length === 0 ? document.contents : document.getIn(keys, true);
  return isMap(node) ? node : undefined;
}

/** The text value of a member, as it is meant; undefined when it is no text or not there. */
export function textMember(text: string, keys: string[], key: string): string | undefined {
  const value = objectAt(text, keys)?.get(key);
  return typeof value === 'string' ? value : undefined;
}

/** Adds a member with a text at the end of an object, in the object's own layout. Null when there is no such object. */
export function addMember(text: string, keys: string[], key: string, value: string): string | null {
  const object = objectAt(text, keys);
  const start = object?.range?.[0];
  if (object === undefined || start === undefined) return null;
  const member = `${JSON.stringify(key)}: ${JSON.stringify(value)}`;
  const last = object.items.at(-1);
  if (last === undefined) return splice(text, start + 1, start + 1, member);
  const lead = text.slice(start + 1, spanOf(object.items[0]?.key).start);
  const end = spanOf(last.value).end;
  return splice(text, end, end, `,${lead}${member}`);
}

/** Takes a member out, with the comma and the space that came with it. */
export function removeMember(text: string, keys: string[], key: string): string {
  const found = memberAt(text, keys, key);
  if (!found) return text;
  if (found.before !== null) return splice(text, found.before, found.value.end, '');
  return splice(text, found.key.start, found.after ?? found.value.end, '');
}

/** Puts words before what a member's text says, which stays as it is written. */
export function prefixMember(text: string, keys: string[], key: string, prefix: string): string {
  const found = memberAt(text, keys, key);
  return found ? splice(text, found.value.start + 1, found.value.start + 1, escaped(prefix)) : text;
}

/** Takes the words away again. */
export function unprefixMember(text: string, keys: string[], key: string, prefix: string): string {
  const found = memberAt(text, keys, key);
  const start = (found?.value.start ?? 0) + 1;
  const length = escaped(prefix).length;
  return found && text.slice(start, start + length) === escaped(prefix) ? splice(text, start, start + length, '') : text;
}

function memberAt(text: string, keys: string[], key: string): Member | null {
  const items = objectAt(text, keys)?.items ?? [];
  const index = items.findIndex((pair) => isScalar(pair.key) && pair.key.value === key);
  const pair: Pair | undefined = items[index];
  if (pair === undefined) return null;
  const [before, after] = [items[index - 1], items[index + 1]];
  return {
    key: spanOf(pair.key),
    value: spanOf(pair.value),
    before: before ? spanOf(before.value).end : null,
    after: after ? spanOf(after.key).start : null,
  };
}

/** @throws when yaml gives a node no place: it does for every node of a text that it has read */
function spanOf(node: unknown): Span {
  const range = (node as { range?: [number, number, number] | null } | null)?.range;
  if (!range) throw new Error('a node of a text that was read has no place in it');
  return { start: range[0], end: range[1] };
}

function splice(text: string, start: number, end: number, between: string): string {
  return text.slice(0, start) + between + text.slice(end);
}

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
