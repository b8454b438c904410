import { isOnThisMachine } from '../resources/address.ts';
import { moveIndex } from '../resources/redis/url.ts';
import type { CarryRule } from '../resources/resource.ts';

// The names by which a program on this machine is reached, and the colon before the port, also percent-encoded: the `2F` of
// `%2Flocalhost` is no part of the name.
const LOCAL = String.raw`(?:(?<![A-Za-z0-9.-])|(?<=%(?:2[0-9A-F]|3[A-F]|40)))(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\]|host\.docker\.internal)(?::|%3A)`;

/**
 * A value with everything in it that points at the main worktree's things pointed at this worktree's: `localhost:3000`
 * anywhere in it becomes `localhost:3010`. A bare `3000` is only a number and stays.
 */
export function carryOver(value: string, rules: readonly CarryRule[]): string {
  const ports = new Map(rules.flatMap((rule) => (rule.kind === 'port' ? [[String(rule.from), String(rule.to)]] : [])));
  let carried =
    ports.size === 0
      ? value
      : value.replace(localPort([...ports.keys()]), (match, port: string) => match.slice(0, match.length - port.length) + ports.get(port));
  for (const rule of rules) {
    if (rule.kind === 'text') carried = replaceWhole(carried, rule.from, rule.to);
    if (rule.kind === 'database')
      carried = carried.replace(databaseUrl(rule), (match) => match.slice(0, -encoded(rule.from).length) + encoded(rule.to));
    if (rule.kind === 'redis') carried = moveIndex(carried, rule.server, rule.from, rule.to);
  }
  return carried;
}

/** The parts of a value that still point at the main worktree's things. */
export function pointsAtMain(value: string, rules: readonly CarryRule[]): string[] {
  const ports = rules.flatMap((rule) => (rule.kind === 'port' ? [String(rule.from)] : []));
  const found = ports.length === 0 ? [] : [...value.matchAll(localPort(ports))].map(([match]) => match);
  for (const rule of rules) {
    if (rule.kind === 'text' && replaceWhole(value, rule.from, '') !== value) found.push(rule.from);
    if (rule.kind === 'database' && databaseUrl(rule).test(value)) found.push(`${rule.server.host}:${rule.server.port}/${rule.from}`);
    if (rule.kind === 'redis' && moveIndex(value, rule.server, rule.from, rule.to) !== value) found.push(`${rule.server}/${rule.from}`);
  }
  return found;
}

function localPort(ports: string[]): RegExp {
  return new RegExp(`${LOCAL}(${ports.join('|')})(?!\\d)`, 'giu');
}

/** A URL up to the end of a database's name, at a server that has other names on this machine. */
function databaseUrl({ server, from }: Extract<CarryRule, { kind: 'database' }>): RegExp {
  const host = isOnThisMachine(server.host)
    ? String.raw`(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\]|)`
    : escaped(server.host);
  const port = server.port === server.usual ? `(?::${server.port})?` : `:${server.port}`;
  return new RegExp(String.raw`[a-z][a-z0-9+.-]*://(?:[^\s/?#"'@]*@)?${host}${port}/${escaped(encoded(from))}(?![^?#\s"'])`, 'giu');
}

function encoded(name: string): string {
  return encodeURIComponent(name);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Replaces a path where it stands as a whole, not where it is the beginning of a longer name. */
function replaceWhole(value: string, from: string, to: string): string {
  const pattern = escaped(from);
  return value.replace(new RegExp(`(?<![\\w.-])${pattern}(?![\\w.-])`, 'gu'), () => to);
}
