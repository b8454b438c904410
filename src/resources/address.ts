import { createHash } from 'node:crypto';
import path from 'node:path';
import { isTemplate, loadHandlebars, render } from '../config/templates.ts';
import { readEnvFile } from '../files/env-file.ts';
import { Failure } from '../outcome.ts';
import { learn } from '../report/secrets.ts';
import type { ResourceContext } from './resource.ts';

/** Where a server is and who one is there, as a URL says it: `scheme://user:password@host:port/path?query`. */
export interface Address {
  /** The whole as it is written. */
  text: string;
  /** As it is written, with `jdbc:` and all: `postgresql+asyncpg`. */
  scheme: string;
  user: string;
  password: string;
  /** Without brackets; empty when none is named. A folder, when it is a Unix socket. */
  host: string;
  port: number;
  /** The path after the `/`, decoded: a database's name. libpq takes the parameter `dbname` before it. */
  database: string;
  /** From the `?`, as it is written. */
  query: string;
  /** Where it is read from, for who is refused there: `` `from:` of DATABASE_URL ``. */
  named?: string;
  /** The URL as it is written, with another path. All else stays byte for byte. */
  withDatabase(name: string): string;
}

const URL_PARTS = /^((?:jdbc:)?[a-z][a-z0-9+.-]*):\/\/(?:([^/?#]*)@)?(\[[^\]]*\]|[^/?#:@,[\]]*)(?::(\d{1,5}))?(?:\/([^?#]*))?([?#].*)?$/is;

const DBNAME = /([?&]dbname=)[^&#]*/;

/**
 * Takes a connection URL apart. An unencoded `@`, `/` or `?` in a password is not understood, as it is not by the apps' readers.
 * @param port the engine's usual port
 * @returns null when the text is no URL with one host
 */
export function parseAddress(text: string, port: number): Address | null {
  const [whole, scheme, userinfo = '', host = '', written, name = '', query = ''] = URL_PARTS.exec(text) ?? [];
  if (whole === undefined || scheme === undefined) return null;
  const [user = '', password = ''] = splitOnce(userinfo, ':').map(decode);
  const parameters = new URLSearchParams(query.replace(/^[?#]/, ''));
  // libpq and others take a socket's folder as the parameter `host`, or percent-encoded as the host.
  const named = decode(host.replace(/^\[|\]$/g, '')) || (parameters.get('host') ?? '');
  const before = text.slice(0, text.length - query.length - (hasPath(text, query) ? name.length + 1 : 0));
  return {
    text,
    scheme,
    user: user || (parameters.get('user') ?? ''),
    password: password || (parameters.get('password') ?? ''),
    host: named,
    port: written === undefined ? Number(parameters.get('port') ?? port) : Number(written),
    database: parameters.get('dbname') ?? decode(name),
    query,
    withDatabase: (database) =>
      `${before}/${encodedAs(name, database)}${query.replace(DBNAME, (_, start) => start + encodeURIComponent(database))}`,
  };
}

/** A name in a URL; where it begins with the one that stood there, that part as it was written. */
function encodedAs(written: string, name: string): string {
  const before = decode(written);
  return before !== '' && name.startsWith(before) ? written + encodeURIComponent(name.slice(before.length)) : encodeURIComponent(name);
}

function hasPath(text: string, query: string): boolean {
  return text
    .slice(0, text.length - query.length)
    .replace(/^[^/]*\/\//, '')
    .includes('/');
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Whether a server of this host is on this machine: loopback, which a container's published port is too, or a socket. */
export function isOnThisMachine(host: string): boolean {
  return host === '' || host.startsWith('/') || /^(localhost|([a-z0-9-]+\.)*localhost|127(\.\d{1,3}){3}|::1|0\.0\.0\.0)$/i.test(host);
}

/**
 * A server as the ledger and claims know it, e.g. `localhost:5432`. The names of this machine are one; another loopback address,
 * 127.0.0.2, can have a server of its own.
 */
export function serverName({ host, port }: Pick<Address, 'host' | 'port'>): string {
  const other = host.startsWith('127.') && host !== '127.0.0.1';
  return `${isOnThisMachine(host) && !other ? 'localhost' : host.toLowerCase()}:${port}`;
}

/** The claim on a name at a server, e.g. `database-localhost%3A5432-shop__feature`: a file's name. */
export function claimOn(kind: string, server: string, name: string): string {
  const plain = `${kind}-${encodeURIComponent(server)}-${encodeURIComponent(name)}`;
  return plain.length <= 180 ? plain : `${plain.slice(0, 140)}-${hash(plain).slice(0, 32)}`;
}

/**
 * The name of a worktree's own thing: `<source>__<slug>`, cut with a hash to `limit` bytes.
 * @param salt when it is given, a hash of it is added: the plain name is taken
 */
export function ownName(source: string, slug: string, limit: number, salt: string | null): string {
  return fitName(`${source}__${slug.replaceAll('-', '_')}`, limit, salt);
}

/** A name within `limit` bytes: cut with a hash where it is longer. */
export function fitName(plain: string, limit: number, salt: string | null): string {
  const end = salt === null ? '' : `_${hash(`${plain}\0${salt}`).slice(0, 8)}`;
  if (Buffer.byteLength(plain + end) <= limit) return plain + end;
  const cut = end || `_${hash(plain).slice(0, 8)}`;
  let start = plain;
  while (Buffer.byteLength(start + cut) > limit) start = start.slice(0, -1);
  return start.replace(/[\uD800-\uDBFF]$/, '') + cut;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The variables that an app reads parts of a connection from. */
export type Parts = { [Part in 'host' | 'port' | 'user' | 'password' | 'database']?: string | undefined };

/** How a resource's options name the server and what to clone. */
export interface SourceOptions {
  from?: string | undefined;
  vars?: Parts | undefined;
  default?: Parts | undefined;
}

/**
 * Where an address was read from, for the ledger: enough to read it again, password and all, when the config is gone. Holds no
 * secret itself.
 */
export interface Origin {
  main: string;
  envFiles: string[];
  name: string;
  options: SourceOptions;
  project: string;
  slug: string;
}

/** What to read an address of, in the words of a message. */
export interface Engine {
  /** e.g. `PostgreSQL`. */
  title: string;
  /** The engine's URL schemes, without what follows a `+`: `postgres`, `postgresql`. */
  schemes: readonly string[];
  port: number;
  /** How parts are written as a URL. */
  scheme: string;
}

/**
 * The source that a resource's options name: `from:`, the parts of `vars:`, or the URL in the variable of its own name.
 * @throws {Failure} when the main worktree's env files do not name one, or it is on another machine and not named by `from:`
 */
export function sourceAddress(options: SourceOptions, context: ResourceContext, engine: Engine): { address: Address; origin: Origin } {
  const { name, mainEnv, envFiles, project, slug, mainPath } = context;
  const { from, vars, default: defaults } = options;
  const address = readAddress(options, name, mainEnv, envFiles, engine, context.text);
  if (options.from === undefined && !isOnThisMachine(address.host))
    throw new Failure(
      `${name} of the main worktree names a server that is not on this machine (${serverName(address)}), which is never used on one word. Name it with \`from:\` if that is meant.`,
    );
  return { address, origin: { main: mainPath, envFiles, name, options: { from, vars, default: defaults }, project, slug } };
}

function readAddress(
  { from, vars, default: defaults = {} }: SourceOptions,
  name: string,
  mainEnv: Record<string, string>,
  envFiles: string[],
  engine: Engine,
  text: (template: string) => string,
): Address {
  if (from === undefined && vars !== undefined) return fromParts(vars, defaults, name, mainEnv, engine);
  const written = from === undefined ? own(mainEnv, name) : text(from);
  if (written === undefined || written === '')
    throw new Failure(
      `\`${name}\` has no value in the main worktree's env files (${envFiles.join(', ')}), so its ${engine.title} is not known. Set it there, or name it with \`from:\` in the config.`,
    );
  learn({ [name]: written });
  const address = parseAddress(written, engine.port);
  const scheme = address?.scheme
    .toLowerCase()
    .replace(/^jdbc:/, '')
    .replace(/\+.*$/, '');
  if (address === null || scheme === undefined || !engine.schemes.includes(scheme))
    throw new Failure(
      `\`${name}\` ${from === undefined ? 'of the main worktree' : '(`from:`)'} is not a ${engine.title} URL: \`${engine.scheme}://user:password@localhost:${engine.port}/name\` is expected.`,
    );
  return address;
}

function fromParts(vars: Parts, defaults: Parts, name: string, mainEnv: Record<string, string>, engine: Engine): Address {
  const part = (key: keyof Parts) => (vars[key] === undefined ? undefined : given(mainEnv, vars[key])) ?? defaults[key];
  const database = part('database');
  if (database === undefined || database === '')
    throw new Failure(
      `${name}: ${vars.database === undefined ? 'no `vars: { database: … }` says which variable names the database' : `\`${vars.database}\` has no value in the main worktree's env files`}, and there is no \`default: { database: … }\`.`,
    );
  learn({ user: part('user'), password: part('password'), database });
  const credentials = [part('user') ?? '', part('password') ?? ''].map(encodeURIComponent).join(':').replace(/:$/, '');
  const host = part('host') ?? 'localhost';
  const written = `${engine.scheme}://${credentials === '' ? '' : `${credentials}@`}${host.includes(':') ? `[${host}]` : encodeURIComponent(host)}:${part('port') || engine.port}/${encodeURIComponent(database)}`;
  const address = parseAddress(written, engine.port);
  if (address === null) throw new Failure(`${name}: the parts in the main worktree's env files do not make up an address.`);
  return address;
}

/** Laravel's own `.env` writes `REDIS_PASSWORD=null` for none. */
function given(values: Record<string, string>, name: string): string | undefined {
  const value = own(values, name);
  return value === 'null' || value === '(null)' ? undefined : value;
}

function own(values: Record<string, string>, name: string): string | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

/**
 * The address that an origin of the ledger names now. The password comes from the main worktree's env files again.
 * @throws {Failure} when it cannot be had any more
 */
export async function addressOf(origin: Origin, engine: Engine): Promise<Address> {
  const { main, envFiles, name, options, project, slug } = origin;
  const env = mainEnvOf(origin);
  const handlebars = options.from !== undefined && isTemplate(options.from) ? await loadHandlebars() : null;
  const values = { project, slug, slug_: slug.replaceAll('-', '_'), main: { path: main, env } };
  const text = (template: string) =>
    handlebars
      ? render(handlebars, template, values, (file, variable) => {
          const value = own(readEnvFile(path.join(main, file)), variable);
          if (value === undefined) throw new Failure(`\`${variable}\` is not set in ${file} of the main worktree`);
          return value;
        })
      : template;
  return readAddress(options, name, env, envFiles, engine, text);
}

/** The main worktree's env files, read again; empty where they are gone. */
export function mainEnvOf({ main, envFiles }: Origin): Record<string, string> {
  return Object.assign({}, ...envFiles.map((file) => readEnvFile(path.join(main, file))));
}

/** What an app that reads parts gets: those that differ from the main worktree's. */
export function partVariables(vars: Parts, parts: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(vars).flatMap(([part, variable]) => {
      const value = parts[part];
      return variable === undefined || value === undefined ? [] : [[variable, value]];
    }),
  );
}
