import { Failure } from '../../outcome.ts';
import { type Address, parseAddress, serverName } from '../address.ts';

export const REDIS_PORT = 6379;
/** As `address.ts` asks for them: without what follows a `+`. */
export const REDIS = { title: 'Redis', schemes: ['redis', 'rediss', 'valkey', 'valkeys', 'unix'], port: REDIS_PORT, scheme: 'redis' };

/** Where a Redis server is and which of its logical databases is meant. */
export interface RedisAddress {
  user: string;
  password: string;
  host: string;
  port: number;
  /** The path of a Unix socket; null for a port. */
  socket: string | null;
  tls: boolean;
  /** A certificate that nobody vouches for will do: the URL says so. */
  anyCertificate: boolean;
  index: number;
  /** More than one when path and parameter differ: readers do not agree which counts. */
  indexes: number[];
  /** The server as the ledger and claims know it: `localhost:6379`, `unix:/run/redis.sock`. */
  server: string;
  /** The URL as it is written, with another index. */
  withIndex(index: number): string;
  /** The same for a server of the worktree's own: plain, at a port of this machine. */
  withPort(port: number): string;
}

/**
 * Reads a Redis URL. The index is the path, `redis://localhost:6379/2`, or the parameter `db`; without either it is 0. Of a
 * socket's URL, `unix:///run/redis.sock?db=2`, it is always the parameter.
 * @throws {Failure} when the path is no index
 */
export function redisAddress(address: Address, name: string): RedisAddress {
  const { scheme, user, password, host, port, query } = address;
  const isSocketUrl = /^unix$|\+(unix|socket)$/i.test(scheme);
  const socket = isSocketUrl ? `/${address.database}` : host.startsWith('/') ? host : null;
  const path = isSocketUrl ? '' : address.database;
  const parameter = /[?&]db=(\d+)(?=[&#]|$)/.exec(query)?.[1];
  if (parameter === undefined && !/^\d{0,9}$/.test(path))
    throw new Failure(
      `\`${name}\` names \`${path}\` where a Redis URL has the number of a database. Write it as \`redis://localhost:6379/0\`, or with \`?db=0\`.`,
    );
  const isPath = path !== '' && /^\d+$/.test(path);
  const indexes = [...new Set([parameter, isPath ? path : undefined].flatMap((text) => (text === undefined ? [] : [Number(text)])))];
  const index = indexes[0] ?? 0;
  return {
    user,
    password,
    host: host || 'localhost',
    port,
    socket,
    tls: /^(rediss|valkeys)(\+|$)|\+tls$/i.test(scheme),
    anyCertificate: /[?&]ssl_cert_reqs=(cert_)?none(?=[&#]|$)/i.test(query),
    index,
    indexes: indexes.length === 0 ? [0] : indexes,
    server: socket === null ? serverName({ host, port }) : `unix:${socket}`,
    withIndex(own) {
      const takesPath = isPath || (parameter === undefined && !isSocketUrl);
      const start = withoutQuery(takesPath ? address.withDatabase(String(own)) : address.text, query);
      return start + inQuery(query, own, isSocketUrl);
    },
    withPort: (own) => (socket === null ? movedTo(address, own) : `redis://${credentials(address)}127.0.0.1:${own}/${index}`),
  };
}

function withoutQuery(text: string, query: string): string {
  return text.slice(0, text.length - query.length);
}

function inQuery(query: string, index: number, adds: boolean): string {
  if (/[?&]db=\d+(?=[&#]|$)/.test(query)) return query.replace(/([?&]db=)\d+(?=[&#]|$)/, `$1${index}`);
  if (!adds) return query;
  const [, parameters = '', fragment = ''] = /^([^#]*)(.*)$/s.exec(query) ?? [];
  return `${parameters}${parameters === '' ? '?' : '&'}db=${index}${fragment}`;
}

function credentials({ text }: Address): string {
  return /^[^/]*\/\/([^/?#]*@)?/.exec(text)?.[1] ?? '';
}

/** The URL of a plain server on this machine: a certificate of the main worktree's server is none of the worktree's own. */
function movedTo({ text, scheme }: Address, port: number): string {
  const [, userinfo = '', host = '', rest = ''] = /^[^/]*\/\/([^/?#]*@)?(\[[^\]]*\]|[^/?#:[\]]*)(?::\d+)?(.*)$/s.exec(text) ?? [];
  const plain = scheme.toLowerCase().startsWith('valkey') ? 'valkey' : 'redis';
  return `${plain}://${userinfo}${host.toLowerCase() === 'localhost' ? host : '127.0.0.1'}:${port}${rest}`;
}

/** Redis URLs in a text, up to what ends one there. */
const URLS = /(?:rediss?|valkeys?|unix)(?:\+[a-z]+)?:\/\/[^\s"'<>,;|]+/giu;

/** A text with every URL of this database of this server put in another's place. */
export function moveIndex(text: string, server: string, from: number, to: number): string {
  return text.replace(URLS, (url) => {
    const found = readUrl(url);
    return found !== null && found.server === server && found.index === from ? found.withIndex(to) : url;
  });
}

/** The databases of this server that a text names in URLs. */
export function indexesIn(text: string, server: string): number[] {
  return (text.match(URLS) ?? []).flatMap((url) => {
    const found = readUrl(url);
    return found?.server === server ? found.indexes : [];
  });
}

function readUrl(url: string): RedisAddress | null {
  const address = parseAddress(url, REDIS_PORT);
  if (address === null) return null;
  try {
    return redisAddress(address, '');
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}
