import { Failure } from '../../outcome.ts';

/** One entry of a service's `ports:`. */
export interface PortEntry {
  service: string;
  /** As it is written: a number, `"127.0.0.1:3000-3005:3000-3005/udp"`, or a map. */
  written: unknown;
  /** `compose.yaml:12`. */
  place: string;
}

/** An entry as the main worktree has it: a block of `count` host ports, of which most have one. */
export interface Published {
  entry: PortEntry;
  /** The first host port; null when the engine chooses one, or this worktree's variables already make it another. */
  from: number | null;
  count: number;
  /** The first host port that it has here, where it is left as it is. */
  own: number | null;
  /** The host ports that it has in the main worktree. */
  main: number[];
  /** The first container port. */
  target: number;
  /** With other host ports in their place, as Compose reads it. */
  withHost(first: number): unknown;
}

interface Parsed {
  before: string;
  host: string;
  first: number | null;
  count: number;
  target: number;
  after: string;
}

const SHORT = /^((?:\[[^\]]*\]:|\d+(?:\.\d+){3}:)?)(?:(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)((?:\/[a-z]+)?)$/i;

/**
 * Which host ports an entry publishes, in the main worktree.
 * @param main the main worktree's variables
 * @param own this worktree's: a port that they make another is the app's own business
 * @throws {Failure} when it cannot be understood
 */
export function readPort(entry: PortEntry, main: Record<string, string>, own: Record<string, string>): Published {
  const there = parse(entry, main);
  const here = parse(entry, own);
  const left = here.first === null || there.first !== here.first || there.count !== here.count;
  return {
    entry,
    from: left ? null : here.first,
    count: here.count,
    own: here.first,
    main: there.first === null ? [] : portsIn(there.first, there.count),
    target: here.target,
    withHost(first) {
      const host = here.count === 1 ? String(first) : `${first}-${first + here.count - 1}`;
      if (!isMap(entry.written)) return `${here.before}${host}:${here.after}`;
      return { ...entry.written, published: typeof entry.written.published === 'number' ? first : host };
    },
  };
}

function parse(entry: PortEntry, env: Record<string, string>): Parsed {
  const { written, service, place } = entry;
  const wrong = () => new Failure(`${place}: a port of the service \`${service}\` is not understood: ${JSON.stringify(written)}.`);
  const long = isMap(written);
  const text = long
    ? `${filled(written.published, env) || ''}:${filled(written.target, env)}`.replace(/^:/, '')
    : interpolate(String(written), env);
  const [whole, before = '', host = '', target = '', protocol = ''] = SHORT.exec(text.trim()) ?? [];
  if (whole === undefined) throw wrong();
  const [first = 0, last = first] = host.split('-').map(Number);
  if (last < first || last > 65_535) throw wrong();
  const ephemeral = host === '' || first === 0;
  return {
    before,
    host,
    first: ephemeral ? null : first,
    count: last - first + 1,
    target: Number.parseInt(target, 10),
    after: `${target}${protocol}`,
  };
}

function filled(value: unknown, env: Record<string, string>): string {
  return value === undefined || value === null ? '' : interpolate(String(value), env);
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Fills in variables as Compose does: `$A`, `${A}`, `${A:-default}`, `${A-default}`, `${A:?error}`, `${A:+other}`, `$$`; defaults may
 * hold variables.
 * https://docs.docker.com/reference/compose-file/interpolation/
 */
export function interpolate(text: string, env: Record<string, string>): string {
  let result = '';
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    const [plain, name] = /^\$([A-Za-z_][A-Za-z0-9_]*)/.exec(rest) ?? [];
    if (rest.startsWith('$$')) {
      result += '$';
      at += 2;
    } else if (plain !== undefined && name !== undefined) {
      result += variable(name, env) ?? '';
      at += plain.length;
    } else if (rest.startsWith('${')) {
      const length = closing(rest);
      result += braced(rest.slice(2, length), env);
      at += length + 1;
    } else {
      result += text[at];
      at += 1;
    }
  }
  return result;
}

function closing(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text.startsWith('${', at)) depth += 1;
    else if (text[at] === '}') {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return text.length;
}

function braced(inner: string, env: Record<string, string>): string {
  const [, name = '', operator = '', word = ''] = /^([A-Za-z_][A-Za-z0-9_]*)(:?[-?+])?(.*)$/s.exec(inner) ?? [];
  const value = variable(name, env);
  const there = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
  if (operator.endsWith('-')) return there ? (value ?? '') : interpolate(word, env);
  if (operator.endsWith('+')) return there ? interpolate(word, env) : '';
  return value ?? '';
}

function variable(name: string, env: Record<string, string>): string | undefined {
  return Object.hasOwn(env, name) ? env[name] : undefined;
}

/** What two worktrees' blocks of ports are kept under: `5432`, `3000-3005`. One host port of the main worktree has one here. */
export function blockName({ from, count }: Published): string {
  return count === 1 ? String(from) : `${from}-${(from ?? 0) + count - 1}`;
}

/** Whether the variables of this worktree give an entry the very port that was taken for it here. */
export function isTaken({ main, own }: Published, taken: Record<string, number>): boolean {
  const name = main.length === 1 ? String(main[0]) : `${main[0]}-${main.at(-1)}`;
  return own !== null && taken[name] === own;
}

/** What is needed to find free ports. */
export interface PortFinder {
  /** Whether anything forbids a port, without asking who listens. */
  usable(port: number): boolean;
  /** Takes and probes all of these, or none. */
  take(ports: number[]): Promise<boolean>;
}

/** Below this a port needs rights, e.g. of an engine without root: a worktree gets a higher one. */
const FIRST_PLAIN_PORT = 1024;

/**
 * Finds a block of ports for one of the main worktree's: `from + slot × 10`, as a `port` has it, else the first free one after
 * that, else the first free one before.
 * @throws {Failure} when none is left
 */
export async function findBlock(published: Published, slot: number, finder: PortFinder): Promise<number> {
  const { from, count, entry } = published;
  if (from === null) throw new Error('a port that needs no place');
  const step = Math.ceil(count / 10) * 10;
  const base = from < FIRST_PLAIN_PORT ? from + 8000 : from;
  const places = Math.max(0, Math.floor((65_535 - (count - 1) - base) / step));
  for (let tried = 0; tried < places; tried += 1) {
    const first = base + (((Math.max(1, slot) - 1 + tried) % places) + 1) * step;
    const block = portsIn(first, count);
    if (block.every((port) => finder.usable(port)) && (await finder.take(block))) return first;
  }
  throw new Failure(
    `${entry.place}: no port is left above ${from} for the service \`${entry.service}\`. Publish a lower one there; \`git coppice status\` shows who has them.`,
  );
}

/** The ports of a block. */
export function portsIn(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
