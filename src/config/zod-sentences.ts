import type { z } from 'zod';
import { RESOURCE_TYPES } from '../resources/table.ts';
import { didYouMean } from './nearest.ts';
import { ONE_WORD_ACTIONS } from './schema.ts';

interface Sentence {
  at: PropertyKey[];
  message: string;
  hint: string | null;
  want: 'key' | 'value';
}

/** Keys that a later version will have: said as such, so that nobody takes them for a typing error. */
const NOT_YET: Record<string, string> = {
  reuse: 'cloning dependency folders (`reuse`) is not in this version; leave it out, the command runs',
};

const ACTIONS = [...ONE_WORD_ACTIONS, 'template'];

/** What a user is told of one finding of the schema. */
export function sentenceFor(issue: z.core.$ZodIssue, value: unknown): Sentence[] {
  const at = issue.path;
  const subject = describe(at);
  const got = shown(get(value, at));
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        at: [...at, key],
        message: NOT_YET[key] ?? `unknown key \`${key}\`${subject ? ` in ${subject}` : ''}`,
        hint: key in NOT_YET ? null : didYouMean(key, knownKeys(at, value)),
        want: 'key',
      }));
    case 'invalid_type':
      return [
        {
          at,
          message:
            get(value, at) === undefined
              ? `${describe(at.slice(0, -1)) || 'the config'} needs \`${String(at.at(-1))}\``
              : `${subject} must be ${expectedName(issue.expected, at)}, not ${got}`,
          hint: null,
          want: 'value',
        },
      ];
    case 'invalid_union':
      return [unionSentence(at, value, subject, got)];
    case 'invalid_value':
      return [
        {
          at,
          message: `${subject} must be ${list(issue.values.map(String))}, not ${got}`,
          hint: didYouMean(String(get(value, at)), issue.values.map(String)),
          want: 'value',
        },
      ];
    case 'invalid_key':
      return [
        {
          at,
          message: `\`${String(at.at(-1))}\` cannot be a name: ${issue.issues[0]?.message ?? 'it is not one'}`,
          hint: null,
          want: 'key',
        },
      ];
    case 'too_small':
      return [
        {
          at,
          message:
            issue.origin === 'string' || issue.origin === 'array'
              ? `${subject} is empty`
              : `${subject} must be at least ${String(issue.minimum)}, not ${got}`,
          hint: null,
          want: 'value',
        },
      ];
    case 'too_big':
      return [{ at, message: `${subject} must be at most ${String(issue.maximum)}, not ${got}`, hint: null, want: 'value' }];
    case 'invalid_format':
      return [{ at, message: `${subject} must be ${issue.message}, not ${got}`, hint: null, want: 'value' }];
    default:
      return [{ at, message: `${subject}: ${issue.message}`, hint: null, want: 'value' }];
  }
}

function unionSentence(at: PropertyKey[], value: unknown, subject: string, got: string): Sentence {
  const section = at[0];
  const tag = section === 'resources' ? 'type' : 'action';
  const names = section === 'resources' ? Object.keys(RESOURCE_TYPES) : ACTIONS;
  const entry = get(value, at.at(-1) === tag ? at.slice(0, -1) : at);
  const chosen = typeof entry === 'object' && entry !== null && tag in entry ? (entry as Record<string, unknown>)[tag] : undefined;
  if (chosen !== undefined)
    return {
      at,
      message: `\`${String(chosen)}\` is not ${tag === 'type' ? 'a resource type' : 'an action'}`,
      hint: didYouMean(String(chosen), names),
      want: 'value',
    };
  if (typeof entry === 'string')
    return {
      at,
      message: `\`${entry}\` is not ${tag === 'type' ? 'a resource type' : 'an action'}`,
      hint: didYouMean(entry, names),
      want: 'value',
    };
  if (typeof entry === 'object' && entry !== null)
    return {
      at: at.at(-1) === tag ? at.slice(0, -1) : at,
      message: `${describe(at.at(-1) === tag ? at.slice(0, -1) : at)} needs \`${tag}\``,
      hint: `One of: ${names.join(', ')}.`,
      want: 'key',
    };
  return {
    at,
    message: `${subject} must be ${section === 'resources' ? 'a port, a type, or a map with a type' : 'an action, or a map with one'}, not ${got}`,
    hint: `Known: ${names.join(', ')}.`,
    want: 'value',
  };
}

function expectedName(expected: string, at: PropertyKey[]): string {
  if (expected === 'record' || expected === 'object')
    return at[0] === 'steps' || at[0] === 'teardown' ? (at.length === 2 ? 'a command' : 'a map') : 'a map';
  const names: Record<string, string> = {
    string: 'text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    null: 'null',
  };
  return names[expected] ?? expected;
}

/** The keys that could stand beside an unknown one. */
function knownKeys(at: PropertyKey[], value: unknown): string[] {
  const keys: Record<string, string[]> = {
    '': ['project', 'url', 'resources', 'env', 'files', 'steps', 'teardown', 'envFiles', 'shared', 'keep', 'background'],
    steps: ['run', 'needs', 'timeout', 'retries', 'when', 'env', 'variables', 'cwd', 'background', 'inputs'],
    teardown: ['run', 'env', 'timeout', 'cwd'],
    when: ['exists'],
  };
  const entry = get(value, at);
  if (at[0] === 'resources') return Object.keys(RESOURCE_TYPES[(entry as { type: keyof typeof RESOURCE_TYPES }).type].schema.shape);
  if (at[0] === 'files') return FILE_KEYS[String((entry as { action?: unknown }).action)] ?? [];
  return keys[at.at(-1) === 'when' ? 'when' : String(at[0] ?? '')] ?? [];
}

const FILE_KEYS: Record<string, string[]> = {
  merge: ['action', 'from', 'set', 'mode'],
  env: ['action', 'format', 'set', 'mode'],
  copy: ['action', 'from', 'mode'],
  link: ['action', 'from'],
  sqlite: ['action', 'from'],
  template: ['action', 'template', 'text', 'mode'],
};

function describe(at: readonly PropertyKey[]): string {
  return at.length === 0 ? '' : `\`${at.map(String).join('.')}\``;
}

function get(value: unknown, at: readonly PropertyKey[]): unknown {
  return at.reduce<unknown>(
    (node, key) => (typeof node === 'object' && node !== null ? (node as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );
}

function shown(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}…"` : text;
}

function list(names: string[]): string {
  return names.length === 1
    ? `\`${names[0]}\``
    : `${names
        .slice(0, -1)
        .map((name) => `\`${name}\``)
        .join(', ')} or \`${names.at(-1)}\``;
}
