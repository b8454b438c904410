import { isDeepStrictEqual } from 'node:util';
import { parse, TomlError } from 'smol-toml';
import { Failure } from '../outcome.ts';

/** A TOML file as a value. @throws {Failure} when it is not TOML */
export function parseToml(text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new Failure('is not TOML that can be read');
  }
}

/** The text at `table.key`; null when there is none. */
export function tomlString(text: string, table: string, key: string): string | null {
  const found = parseToml(text)[table];
  const value = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[key] : undefined;
  return typeof value === 'string' ? value : null;
}

/** The forms in which TOML writes a text on lines of its own, by how it opens; inside, the same characters mean the same. */
const LINES: Record<string, string> = { "'": "'''", "'''": "'''", '"': '"""', '"""': '"""' };

/**
 * Puts a line into the script at `table.key`: as its first line, or its last. Only what was put in differs after it, which is
 * proven by reading both.
 * @param line without `'''` and backslashes
 * @throws {Failure} when the file writes the script in a way that this does not find
 */
export function addScriptLine(text: string, table: string, key: string, line: string, where: 'first' | 'last'): string {
  const before = tomlString(text, table, key) ?? '';
  const expected = before === '' ? `${line}\n` : where === 'first' ? `${line}\n${before}` : `${before.replace(/\n$/, '')}\n${line}\n`;
  const result = withLine(text, table, key, line, where);
  const wanted = parseToml(text);
  wanted[table] = { ...(wanted[table] as object | undefined), [key]: expected };
  if (result !== null && readsAs(result, wanted)) return result;
  throw new Failure(`writes \`${table}.${key}\` in a way that is not changed here`);
}

function withLine(text: string, table: string, key: string, line: string, where: 'first' | 'last'): string | null {
  const entry = `${key} = '''\n${line}\n'''\n`;
  const header = new RegExp(`^\\[${table}\\][ \\t]*(#.*)?(\\n|$)`, 'm').exec(text);
  if (header === null)
    return `${text}${text === '' || text.endsWith('\n\n') ? '' : text.endsWith('\n') ? '\n' : '\n\n'}[${table}]\n${entry}`;
  const start = header.index + header[0].length;
  const opened = new RegExp(`^${key}[ \\t]*=[ \\t]*('''|"""|'|")(\\n?)`, 'm').exec(text.slice(start));
  if (opened === null) return `${text.slice(0, start)}${header[2] === '' ? '\n' : ''}${entry}${text.slice(start)}`;
  const [whole, quote = '', newline] = opened;
  const from = start + opened.index + whole.length;
  const end = endOf(text, from, quote);
  if (end === null) return null;
  const content = text.slice(from, end);
  const around = content === '' ? "'''" : (LINES[quote] ?? '');
  const opening = `${text.slice(0, from - quote.length - (newline?.length ?? 0))}${around}\n`;
  const rest = `${around}${text.slice(end + quote.length)}`;
  if (content === '') return `${opening}${line}\n${rest}`;
  return where === 'first' ? `${opening}${line}\n${content}${rest}` : `${opening}${content.replace(/\n$/, '')}\n${line}\n${rest}`;
}

/** Where a text that began at `from` is closed. */
function endOf(text: string, from: number, quote: string): number | null {
  for (let at = from; at < text.length; at += 1) {
    if (quote.startsWith('"') && text[at] === '\\') at += 1;
    else if (text.startsWith(quote, at)) return at;
  }
  return null;
}

function readsAs(text: string, wanted: Record<string, unknown>): boolean {
  try {
    return isDeepStrictEqual(plain(parseToml(text)), plain(wanted));
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** Without the prototypes that the parser gives or leaves out. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner)));
}

/** Takes a line of ours out again; all else stays. */
export function removeScriptLine(text: string, line: string): string {
  return text.replace(`${line}\n`, '');
}
