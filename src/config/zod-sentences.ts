import type * as z from 'zod/mini';
import { redact } from '../report/secrets.ts';
import { RESOURCE_TYPES } from '../resources/table.ts';
import { DURATION } from './about.ts';
import { didYouMean, nearest } from './nearest.ts';
import { KEYS, MODE, NAME, ONE_WORD_ACTIONS } from './schema.ts';

interface Sentence {
  at: PropertyKey[];
  message: string;
  hint: string | null;
  want: 'key' | 'value';
}

/** A key of steps that a later version will have: said as such, so that nobody takes it for a typing error. */
const NOT_YET = {
  key: 'reuse',
  message: 'cloning dependency folders (`reuse`) is not in this version yet',
  hint: 'Leave it out: the command of the step runs instead.',
};

/** What a text of a certain form must be, so that a bare number where one is due is answered with the form. */
function formOf(at: PropertyKey[]): string | null {
  if (at.length === 1 && at[0] === 'keep') return DURATION;
  if (at.length !== 3) return null;
  if (at[0] === 'files' && at[2] === 'mode') return MODE;
  return (at[0] === 'steps' || at[0] === 'teardown') && at[2] === 'timeout' ? DURATION : null;
}

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
        want: 'key',
        ...(key === NOT_YET.key && at[0] === 'steps'
          ? { message: NOT_YET.message, hint: NOT_YET.hint }
          : { message: `unknown key \`${key}\`${subject ? ` in ${subject}` : ''}`, hint: didYouMean(key, knownKeys(at, value)) }),
      }));
    case 'invalid_type':
      if (at.length === 2 && (at[0] === 'resources' || at[0] === 'files')) return [unionSentence(at, value, got)];
      if (get(value, at) === undefined)
        return [{ at, message: `${describe(at.slice(0, -1)) || 'the config'} needs \`${String(at.at(-1))}\``, hint: null, want: 'value' }];
      return [
        {
          at,
          message: mustBe(subject, formOf(at) ?? expectedName(issue.expected, at), got),
          hint: rewritten(issue.expected, get(value, at), at),
          want: 'value',
        },
      ];
    case 'invalid_union':
      return [unionSentence(at, value, got)];
    case 'invalid_value':
      return [
        {
          at,
          message: mustBe(subject, list(issue.values.map(String)), got),
          hint:
            nearest(String(get(value, at)), issue.values.map(String)) === null
              ? null
              : didYouMean(String(get(value, at)), issue.values.map(String)),
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
      return [{ at, message: mustBe(subject, issue.message, got), hint: null, want: 'value' }];
    case 'custom':
      return [{ at, message: mustBe(subject, issue.message, got), hint: null, want: 'value' }];
    default:
      return [{ at, message: `${subject}: ${issue.message}`, hint: null, want: 'value' }];
  }
}

/** Where a key is missing that stands beside it, misspelt: one mistake is told once. @returns the missing keys' paths, as JSON */
export function misspeltKeys(issue: z.core.$ZodIssue, value: unknown): string[] {
  if (issue.code !== 'unrecognized_keys') return [];
  return issue.keys.flatMap((key) => {
    const meant = nearest(key, knownKeys(issue.path, value));
    return meant === null ? [] : [JSON.stringify([...issue.path, meant])];
  });
}

function mustBe(subject: string, what: string, got: string | null): string {
  return got === null ? `${subject} must be ${what}, and has no value` : `${subject} must be ${what}, not ${got}`;
}

/** The value as it should have been written, where that is plain. */
function rewritten(expected: string, value: unknown, at: PropertyKey[]): string | null {
  if (value === null) return at.length === 1 ? `Leave \`${String(at[0])}\` out, or give it a value.` : null;
  if (expected === 'array' && typeof value === 'string') return `Write \`[${value}]\`.`;
  if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')) {
    const form = formOf(at);
    return form === null ? `Put it in quotes: "${value}".` : `Write \`${form === DURATION ? `${value}s` : `"${value}"`}\`.`;
  }
  if ((expected === 'number' || expected === 'int') && typeof value === 'string' && /^\d+$/.test(value))
    return `Write it without quotes: ${value}.`;
  if (expected === 'boolean' && typeof value === 'string' && /^(yes|on|no|off)$/i.test(value))
    return `Write \`${/^(yes|on)$/i.test(value)}\`.`;
  return null;
}

/** An entry of `resources` or `files` whose type or action is not one. */
function unionSentence(at: PropertyKey[], value: unknown, got: string | null): Sentence {
  const [tag, names, kind, whole] =
    at[0] === 'resources'
      ? ['type', Object.keys(RESOURCE_TYPES), 'a resource type', 'a port, a type, or a map with a type']
      : ['action', ACTIONS, 'an action', 'an action, or a map with one'];
  const where = at.slice(0, 2);
  const entry = get(value, where);
  const isMap = typeof entry === 'object' && entry !== null && !Array.isArray(entry);
  const chosen = isMap ? get(entry, [tag]) : entry;
  if (isMap && chosen === undefined)
    return { at: where, message: `${describe(where)} needs \`${tag}\``, hint: `One of: ${names.join(', ')}.`, want: 'key' };
  if (entry === 'template')
    return { at, message: '`template` needs to know of what', hint: 'Write `{ template: FILE }` or `{ text: STRING }`.', want: 'value' };
  if (typeof chosen === 'string') return { at, message: `\`${chosen}\` is not ${kind}`, hint: didYouMean(chosen, names), want: 'value' };
  if (isMap) return { at, message: mustBe(describe([...where, tag]), list(names), shown(chosen)), hint: null, want: 'value' };
  return { at, message: mustBe(describe(at), whole, got), hint: `Known: ${names.join(', ')}.`, want: 'value' };
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
  const [section, , part] = at;
  if (section === undefined) return KEYS.config;
  if (part === 'when') return KEYS.when;
  if (section === 'steps') return KEYS.step;
  if (section === 'teardown') return KEYS.teardown;
  const entry = get(value, at.slice(0, 2));
  const [shapes, tag] = section === 'resources' ? [KEYS.resources, 'type'] : [KEYS.files, 'action'];
  return shapes.get(String(get(entry, [tag]))) ?? [];
}

/** A path of keys: `steps.install.env`, `files[".env"].mode`, `envFiles[0]`. */
function describe(at: readonly PropertyKey[]): string {
  const path = at.map((key) =>
    typeof key === 'number' ? `[${key}]` : NAME.test(String(key)) ? `.${String(key)}` : `[${JSON.stringify(key)}]`,
  );
  return at.length === 0 ? '' : `\`${path.join('').replace(/^\./, '')}\``;
}

function get(value: unknown, at: readonly PropertyKey[]): unknown {
  return at.reduce<unknown>(
    (node, key) =>
      typeof node === 'object' && node !== null && Object.hasOwn(node, key) ? (node as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

/** A value as a sentence names it; null when there is none. */
function shown(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  const text = JSON.stringify(typeof value === 'string' ? redact(value) : value);
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
