/**
 * What nobody is to see in anything that is printed, logged or kept: the secret values that this process has met, and what
 * stands where a URL has its password. They become known where they are read, and are left out where a text leaves the process.
 */
import { formsOf } from './secret-forms.ts';
import { saysOpen, saysSecret } from './secret-names.ts';

const secrets = new Set<string>();
/** What users, databases and hosts are called. */
const open = new Set<string>();
/** Variables that are known: a set-up meets the same ones several times. */
const met = new Set<string>();

/** Shorter ones, and these, would blank out half of a text. In a URL their place tells. */
const SHORTEST = 6;
const PLAIN =
  /^(?:\d+|true|false|null|none|undefined|default|localhost|admin(?:istrator)?|passw(?:or)?d|secret|token|change_?me|example|test(?:ing)?|dev(?:elopment)?|production|postgres(?:ql)?|mysql|mariadb|redis|docker|(.)\1*)$/i;
/** A part of a URL of this length is chosen at random. */
const LONG = 16;
/** So much of one is one: servers and tables cut what they quote. */
const PIECE = 12;

// A secret by its place. Templates and shell variables are names, not values; digits are a port. Nobody has to encode a single quote
// in a URL (RFC 3986, 2.2): one ends a value only where nothing of the value comes after it.
const VALUE = String.raw`(?!\{\{|\$)`;
const PASSWORD = new RegExp(
  String.raw`(://[^\s:/?#@"<>]{0,256}:)${VALUE}(?!\d{1,5}(?:[/?#]|[,)](?![^\s"<>/?#]{0,1024}@)))([^\s"<>/?#]{1,1024}(?=@)|[^\s"<>]{1,1024}?(?=@))`,
  'g',
);
const TOKEN = /(https?:\/\/)([\w.~%+-]{16,1024})(?=@)/g;
const PARAMETER = new RegExp(String.raw`([?&;]([\w.[\]-]+)=)${VALUE}((?:'*[^\s&;#"'<>])+)`, 'g');
const KEYWORD = new RegExp(
  String.raw`((?<![\w.?&;-])(?:password|passwd|pwd)=)${VALUE}('(?:[^'\\\n]|\\.|''){1,1024}'|(?:'*[^\s&;,"'<>])+)`,
  'gi',
);

/** A parameter of a URL, or of a list of them. */
const GIVEN = /(?:^|[?&;\s])([\w.[\]-]+)=/g;
/** No secret in a URL is longer. Expressions that look further for an end take the square of a text's length. */
const MOST_PLACE = 1024;
/** So many `@` of a URL may be the end of its password, from either end. */
const MOST_ENDS = 4;

/** Makes known what is secret among variables, by their names and in URLs. @returns the variables */
export function learn<Values extends Record<string, string | null | undefined>>(variables: Values): Values {
  for (const [name, value] of Object.entries(variables)) {
    if (!value || met.has(`${name}=${value}`)) continue;
    met.add(`${name}=${value}`);
    learnPlaces(value);
    if (saysOpen(name)) open.add(value);
    else if (saysSecret(name)) learnSecret(value);
  }
  return variables;
}

/** Makes a value known as a secret. Of a URL, the parts that nobody guesses. @param name what in it is none: what the thing is called */
export function learnSecret(value: string, name = ''): void {
  learnPlaces(value);
  const parts = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value.split(/[/?&#=]/) : [value];
  for (const part of name === '' ? parts : parts.flatMap((part) => part.split(name)))
    if (part === value || part.length >= LONG) learnPiece(part);
  // A key of several lines is printed with something before each of them.
  for (const line of value.includes('\n') ? value.split('\n') : []) if (!line.startsWith('-----')) learnPiece(line);
}

function learnPiece(text: string): void {
  secrets.add(text.trim());
}

function learnPlaces(value: string): void {
  for (const rest of urlsIn(value).map((url) => url.slice(0, MOST_PLACE))) {
    const [user = ''] = /^[^:@/?#]*/.exec(rest) ?? [];
    const ends = [...rest.matchAll(/@/g)].map(({ index }) => index);
    // Which `@` is the last of it cannot be told where nobody has encoded it.
    if (rest[user.length] === ':' && !/^:\d{1,5}[/?#,]/.test(rest.slice(user.length)))
      for (const end of new Set([...ends.slice(0, MOST_ENDS), ...ends.slice(-MOST_ENDS)])) learnWritten(rest.slice(user.length + 1, end));
    const [, host = '', database = ''] = /^([^:/?#]*)(?::\d+)?(?:\/([^?#]*))?/.exec(rest.slice((ends.at(-1) ?? -1) + 1)) ?? [];
    for (const name of [user, host, database]) open.add(decoded(name));
  }
  for (const [, , token = ''] of value.includes('@') ? value.matchAll(TOKEN) : []) learnPiece(token);
  if (!value.includes('=')) return;
  for (const [, , name = '', text = ''] of value.matchAll(PARAMETER)) if (saysSecret(name)) learnWritten(text);
  for (const [, , text = ''] of value.matchAll(KEYWORD)) learnQuoted(text);
  for (const { 0: all, 1: name = '', index } of value.matchAll(GIVEN))
    if (saysSecret(name)) learnGiven(value.slice(index + all.length, index + all.length + MOST_PLACE));
}

/** As a string of keywords has it: of one in quotes, what is in them, with and without its backslashes, as libpq reads it. */
function learnQuoted(text: string): void {
  const inner = /^'(.+)'$/.exec(text)?.[1] ?? text;
  learnPiece(inner);
  learnPiece(inner.replace(/\\(.)/g, '$1'));
}

/** A parameter's value where nobody has encoded it, and nothing but what follows says where it ends. */
function learnGiven(text: string): void {
  for (const end of [/[&;]/, /[&;\s]/, /[&;#]/]) {
    const part = text.split(end, 1)[0] ?? '';
    learnWritten(/^(['"]).*\1$/.test(part) ? part.slice(1, -1) : part);
  }
}

/** What stands behind the `://` of URLs. One that is a variable's whole value may hold anything: nobody has to encode it. */
function urlsIn(value: string): string[] {
  if (!value.includes('://')) return [];
  const whole = /^\s*[a-z][a-z0-9+.:-]*:\/\/(.*)$/is.exec(value)?.slice(1) ?? [];
  return [...whole, ...[...value.matchAll(/:\/\/([^\s"<>]*)/g)].map(([, rest = '']) => rest)];
}

/** As it stands in a URL. */
function learnWritten(text: string): void {
  learnPiece(text);
  learnPiece(decoded(text));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

/** A text without secrets: those that are known, in each form that programs write them, and those that their place tells. */
export function redact(text: string): string {
  return withoutPlaces(
    withoutKnown(text, known('text'), () => '***'),
    () => '***',
  );
}

/** The same of UTF-8 with a character for each byte, and each byte keeps its place. */
export function redactBytes(bytes: string): string {
  return withoutPlaces(withoutKnown(bytes, known('bytes'), stars), stars);
}

/** What a line of a config gives a value to, in YAML or in a command. */
const NAMED = /(?<![\w./-])([\w.-]+)["']?\s*(?:=|:(\s*))/g;
/** No value: a template, a shell variable, what is stars by now. Of a URL, its parts are looked at. */
const NO_VALUE = /["']?(?:\{\{|\$|[a-z][a-z0-9+.-]*:\/\/)|\*+(?:["'&;#\s]|$)/iy;
/** A value in quotes, with what stands for a quote in them; up to a comment; or one word. */
const QUOTED = /"(?:[^"\\]|\\.?)*|'(?:[^']|''|'\\'')*/y;
const PLAIN_VALUE = { spaced: /(?:\S|\s(?!#))+/y, word: /\S+/y };
/** A flow collection of YAML: in it, commas and brackets end a value. */
const FLOW = /(?<![^\s[{,])[[{](?!\{)/;
const PLAIN_IN_FLOW = { spaced: /(?:[^\s,[\]{}]|\s(?!#))+/y, word: /[^\s,[\]{}]+/y };

/** A line of a config, every character in its place. */
export function redactLine(line: string): string {
  const text = withoutPlaces(line, stars);
  const flow = text.search(FLOW);
  let result = '';
  for (const { 0: all, 1: name = '', 2: space = '', index } of text.matchAll(NAMED)) {
    const from = index + all.length;
    if (from < result.length || !saysSecret(name) || at(NO_VALUE, text, from) !== '') continue;
    const plain = flow >= 0 && flow <= from ? PLAIN_IN_FLOW : PLAIN_VALUE;
    const quoted = at(QUOTED, text, from);
    const value = quoted === '' ? at(space === '' ? plain.word : plain.spaced, text, from).trimEnd() : quoted.slice(1);
    const start = quoted === '' ? from : from + 1;
    if (value.length >= SHORTEST) result += text.slice(result.length, start) + stars(value);
  }
  return result + text.slice(result.length);
}

/** What a sticky pattern finds at a place of a text. */
function at(pattern: RegExp, text: string, place: number): string {
  pattern.lastIndex = place;
  return pattern.exec(text)?.[0] ?? '';
}

function stars(secret: string): string {
  return '*'.repeat(secret.length);
}

/** All forms of what is known, by the piece that they begin or end with. */
interface Forms {
  /** Whether any piece begins so, by its first two characters. */
  begins: Uint8Array;
  pieces: Map<number, string[]>;
  starts: Map<string, string[]>;
  ends: Map<string, string[]>;
}

/** By text and by bytes, of so many values. */
const compiled: { text: Forms | null; bytes: Forms | null; of: number } = { text: null, bytes: null, of: -1 };

function known(as: 'text' | 'bytes'): Forms {
  if (compiled.of < 0) learn(process.env);
  if (compiled.of !== secrets.size + open.size) Object.assign(compiled, { text: null, bytes: null, of: secrets.size + open.size });
  compiled[as] ??= compile(as === 'text' ? String : (form) => Buffer.from(form).toString('latin1'));
  return compiled[as];
}

function compile(written: (form: string) => string): Forms {
  const values = [...secrets].filter((value) => value.length >= SHORTEST && !PLAIN.test(value) && !open.has(value));
  const forms = values.flatMap((value) => formsOf(value).map(written));
  const starts = groups(forms, (form) => form.slice(0, PIECE));
  const ends = groups(forms, (form) => form.slice(-PIECE));
  const pieces = groups([...new Set([...starts.keys(), ...ends.keys()])], (piece) => beginning(piece, 0));
  const begins = new Uint8Array(0x10000);
  for (const key of pieces.keys()) begins[key] = 1;
  return { begins, pieces, starts, ends };
}

function beginning(text: string, at: number): number {
  return ((text.charCodeAt(at) << 8) ^ text.charCodeAt(at + 1)) & 0xffff;
}

function groups<Key>(texts: string[], by: (text: string) => Key): Map<Key, string[]> {
  const found = new Map<Key, string[]>();
  for (const text of texts) {
    const others = found.get(by(text));
    if (others) others.push(text);
    else found.set(by(text), [text]);
  }
  return found;
}

function withoutKnown(text: string, forms: Forms, put: (secret: string) => string): string {
  let result = '';
  let from = 0;
  for (const [start, end] of found(text, forms)) {
    result += text.slice(from, start) + put(text.slice(start, end));
    from = end;
  }
  return from === 0 ? text : result + text.slice(from);
}

/** Where secrets and pieces of them stand in a text; those that overlap are one. */
function found(text: string, { begins, pieces, starts, ends }: Forms): [start: number, end: number][] {
  const places: [start: number, end: number][] = [];
  for (let at = 0; at < text.length - 1; at += 1) {
    const key = beginning(text, at);
    if (begins[key] === 0) continue;
    for (const piece of pieces.get(key) ?? []) {
      if (!text.startsWith(piece, at)) continue;
      const last = at + piece.length - 1;
      const after = Math.max(piece.length, ...(starts.get(piece) ?? []).map((form) => alike(form, 0, text, at, 1)));
      const before = Math.max(piece.length, ...(ends.get(piece) ?? []).map((form) => alike(form, form.length - 1, text, last, -1)));
      let [start, end] = [last + 1 - before, at + after];
      for (let other = places.at(-1); other && start < other[1]; other = places.at(-1)) {
        [start, end] = [Math.min(start, other[0]), Math.max(end, other[1])];
        places.pop();
      }
      places.push([start, end]);
    }
  }
  return places;
}

/** How many characters two texts have in common from here on. */
function alike(one: string, at: number, other: string, there: number, step: 1 | -1): number {
  let count = 0;
  while (one[at + count * step] !== undefined && one[at + count * step] === other[there + count * step]) count += 1;
  return count;
}

function withoutPlaces(text: string, put: (secret: string) => string): string {
  const inPlace = (_: string, before: string, secret: string) => before + put(secret);
  const rest = text.includes('://') ? text.replace(PASSWORD, inPlace).replace(TOKEN, inPlace) : text;
  if (!rest.includes('=')) return rest;
  return rest
    .replace(KEYWORD, inPlace)
    .replace(PARAMETER, (all, before: string, name: string, secret: string) => (saysSecret(name) ? inPlace(all, before, secret) : all));
}
