import fs from 'node:fs';
import path from 'node:path';
import type { Document, LineCounter, Node } from 'yaml';
import { readPlainIfThere } from '../../ledger/document.ts';
import { errorMessage, Failure } from '../../outcome.ts';
import { NAMES, OVERRIDES } from './names.ts';
import { interpolate, type PortEntry } from './ports.ts';

type Data = Record<string, unknown>;

/** One file of a Compose project, read. */
export interface ComposeFile {
  /** Absolute. */
  path: string;
  /** As messages call it. */
  name: string;
  text: string;
  data: Data;
  /** The line of the first of these that is written, the deepest part of the path first. */
  place(at: readonly (string | number)[]): string;
  /** A tag of Compose's own at a node: `!reset` and `!override` undo what earlier files say. */
  tag(at: readonly string[]): string | undefined;
}

/** What a worktree needs to know of a Compose project. */
export interface ComposeProject {
  files: ComposeFile[];
  services: { name: string; ports: PortEntry[]; containerName: boolean }[];
  /** Volumes and networks that belong to the project alone: they can bear a mark. */
  volumes: string[];
  networks: string[];
  /** Of the volumes, those that Compose calls `<project>_<volume>`. */
  plainVolumes: string[];
  /** What cannot be told apart for worktrees, each with its place. */
  warnings: string[];
}

/** The files of a project, relative to the worktree. @param named by the config or by COMPOSE_FILE @throws {Failure} when there is none */
export function findComposeFiles(worktree: string, named: readonly string[] | null): string[] {
  if (named !== null) {
    const missing = named.find((name) => !fs.existsSync(path.resolve(worktree, name)));
    if (missing !== undefined)
      throw new Failure(`There is no ${missing} in this worktree. Name the compose files that it has with \`files:\`.`);
    return [...named];
  }
  const there = (names: string[]) => names.find((name) => fs.existsSync(path.join(worktree, name)));
  const file = there(NAMES);
  if (file === undefined)
    throw new Failure(`There is no compose file in this worktree: ${NAMES.join(', ')}. Name one elsewhere with \`files:\` in the config.`);
  const override = there(OVERRIDES);
  return override === undefined ? [file] : [file, override];
}

/** Reads one file. @throws {Failure} when it is no compose file */
export async function readComposeFile(file: string, name: string): Promise<ComposeFile> {
  const { parseDocument, LineCounter } = await import('yaml');
  const text = readPlainIfThere(file);
  if (text === null) throw new Failure(`There is no ${name}, which a compose file of this worktree names.`);
  const lines = new LineCounter();
  // Errors only: Compose's own tags would be warned of on the terminal.
  const document = parseDocument(text, { lineCounter: lines, merge: true, logLevel: 'error' });
  const [error] = document.errors;
  if (error?.code === 'MULTIPLE_DOCS')
    throw new Failure(
      `${name}:${lines.linePos(error.pos[0]).line}: a second YAML document. Put it into a file of its own, and name both with \`files:\`.`,
    );
  if (error)
    throw new Failure(
      `${name}:${lines.linePos(error.pos[0]).line}: not valid YAML: ${error.message.split('\n')[0]?.replace(/ at line.*$/, '')}.`,
    );
  const data = plain(document, name);
  return {
    path: file,
    name,
    text,
    data,
    place: (at) => `${name}:${lineOf(document, lines, at)}`,
    tag: (at) => (document.getIn(at, true) as Node | undefined)?.tag,
  };
}

function plain(document: Document, name: string): Data {
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: 1000 });
  } catch (error) {
    // Of an alias that names nothing, too many of them, or `<<` with what is no map.
    if (!(error instanceof ReferenceError) && !/^Merge sources/.test(errorMessage(error))) throw error;
    throw new Failure(`${name}: ${errorMessage(error)}.`);
  }
  if (holdsItself(data)) throw new Failure(`${name}: an alias stands inside of what it names.`);
  if (!isMap(data)) throw new Failure(`${name} is not a compose file: a map with \`services:\` is expected.`);
  if (data.services !== undefined && data.services !== null && !isMap(data.services))
    throw new Failure(`${name} is not a compose file: \`services:\` is a map.`);
  return data;
}

function holdsItself(value: unknown, above: readonly unknown[] = []): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return above.includes(value) || Object.values(value).some((inner) => holdsItself(inner, [...above, value]));
}

function lineOf(document: Document, lines: LineCounter, at: readonly (string | number)[]): number {
  for (let length = at.length; length > 0; length -= 1) {
    const node = document.getIn(at.slice(0, length), true) as Node | undefined;
    const parent = document.getIn(at.slice(0, length - 1), true);
    // Of a map in a block the value begins a line later than its key.
    const key = isPairs(parent) ? parent.items.find((pair) => String(pair.key) === String(at[length - 1]))?.key : undefined;
    const range = key?.range ?? node?.range;
    if (range) return lines.linePos(range[0]).line;
  }
  return 1;
}

function isPairs(node: unknown): node is { items: { key?: Node }[] } {
  return typeof node === 'object' && node !== null && 'items' in node && Array.isArray(node.items);
}

export function isMap(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A map's entries that are maps themselves; a value that is left empty is an empty one. */
function entries(value: unknown): [string, Data][] {
  return isMap(value) ? Object.entries(value).map(([name, entry]) => [name, isMap(entry) ? entry : {}]) : [];
}

/**
 * Reads the files of a project, those that they include or extend too.
 * @param names relative to the worktree
 * @param env for variables in the paths of other files
 */
export async function readProject(worktree: string, names: readonly string[], env: Record<string, string> = {}): Promise<ComposeProject> {
  const files: ComposeFile[] = [];
  const begun = new Set<string>();
  const read = async (file: string): Promise<ComposeFile> => {
    const known = files.find((other) => other.path === file);
    if (known) return known;
    const relative = path.relative(worktree, file);
    const one = await readComposeFile(file, relative.startsWith('..') ? file : relative);
    if (begun.has(file)) throw new Failure(`${one.name} is included by what it includes.`);
    begun.add(file);
    for (const included of includes(one)) if (!isRemote(included)) await read(path.resolve(path.dirname(file), interpolate(included, env)));
    files.push(one);
    return one;
  };
  for (const name of names) await read(path.resolve(worktree, name));
  const services = new Map<string, ComposeProject['services'][number]>();
  for (const file of [...files]) {
    for (const [name, spec] of entries(file.data.services)) {
      const service = services.get(name) ?? { name, ports: [], containerName: false };
      services.set(name, service);
      const tag = file.tag(['services', name, 'ports']);
      if (tag === '!reset' || tag === '!override') service.ports = [];
      if (tag !== '!reset') service.ports.push(...(await portsOf(file, name, spec, env)));
      if (spec.container_name !== undefined || spec.extends !== undefined) service.containerName = true;
    }
  }
  for (const service of services.values()) service.ports = unique(service.ports);
  const own = (kind: 'volumes' | 'networks') => [...new Set(files.flatMap(({ data }) => entries(data[kind]).map(([name]) => name)))];
  const shared = (kind: 'volumes' | 'networks') =>
    new Set(files.flatMap(({ data }) => entries(data[kind]).flatMap(([name, spec]) => (isShared(spec) ? [name] : []))));
  const volumes = own('volumes').filter((name) => !shared('volumes').has(name));
  return {
    files: files.filter(({ path: file }) => names.some((name) => path.resolve(worktree, name) === file)),
    services: [...services.values()],
    volumes,
    networks: [...new Set(['default', ...own('networks')])].filter((name) => !shared('networks').has(name)),
    plainVolumes: volumes.filter((name) => files.every(({ data }) => new Map(entries(data.volumes)).get(name)?.name === undefined)),
    warnings: files.flatMap(warningsOf),
  };
}

function includes({ data }: ComposeFile): string[] {
  if (!Array.isArray(data.include)) return [];
  return data.include.flatMap((entry: unknown) => {
    const named = isMap(entry) ? entry.path : entry;
    return (Array.isArray(named) ? named : [named]).filter((name): name is string => typeof name === 'string');
  });
}

function isRemote(name: string): boolean {
  return /^([a-z][a-z0-9+.-]*:\/\/|oci:|git@|github\.com\/)/.test(name);
}

/** The ports of a service, and those of the one that it extends. */
async function portsOf(file: ComposeFile, service: string, spec: Data, env: Record<string, string>, depth = 0): Promise<PortEntry[]> {
  const written = Array.isArray(spec.ports) ? spec.ports : [];
  const ports = written.map((port: unknown, index) => ({
    service,
    written: port,
    place: file.place(['services', service, 'ports', index]),
  }));
  const base = isMap(spec.extends) ? spec.extends : { service: spec.extends };
  if (typeof base.service !== 'string' || depth > 20) return ports;
  const other = typeof base.file === 'string' ? await readExtended(file, interpolate(base.file, env)) : file;
  const [, extended] = entries(other.data.services).find(([name]) => name === base.service) ?? [];
  if (!extended) return ports;
  const more = await portsOf(other, base.service, extended, env, depth + 1);
  return [...more.map((port) => ({ ...port, service })), ...ports];
}

function readExtended(file: ComposeFile, name: string): Promise<ComposeFile> {
  return readComposeFile(path.resolve(path.dirname(file.path), name), name);
}

function unique(ports: PortEntry[]): PortEntry[] {
  return [...new Map(ports.map((port) => [JSON.stringify(port.written), port])).values()];
}

/** Whether a volume or network is one that other projects have too. */
function isShared({ external, name }: Data): boolean {
  return (external !== undefined && external !== false) || (typeof name === 'string' && !name.includes('COMPOSE_PROJECT_NAME'));
}

function warningsOf(file: ComposeFile): string[] {
  const { data, place } = file;
  const found: string[] = [];
  for (const remote of includes(file).filter(isRemote))
    found.push(`${place(['include'])}: ${remote} is not on this machine, so ports that it publishes are the same in every worktree`);
  for (const [name, { network_mode: mode, image, build }] of entries(data.services)) {
    if (mode === 'host')
      found.push(
        `${place(['services', name, 'network_mode'])}: the service \`${name}\` uses the machine's own network (\`network_mode: host\`): its ports are the same in every worktree`,
      );
    if (typeof mode === 'string' && mode.startsWith('container:'))
      found.push(
        `${place(['services', name, 'network_mode'])}: the service \`${name}\` uses the network of one certain container (\`${mode}\`)`,
      );
    if (typeof image === 'string' && build != null && !image.includes('COMPOSE_PROJECT_NAME'))
      found.push(
        `${place(['services', name, 'image'])}: the service \`${name}\` is built as \`${image}\`, which is the same image in every worktree: who builds last has it`,
      );
  }
  for (const kind of ['volumes', 'networks'] as const) {
    const what = kind === 'volumes' ? 'volume' : 'network';
    for (const [name, spec] of entries(data[kind])) {
      if (spec.external !== undefined && spec.external !== false)
        found.push(`${place([kind, name, 'external'])}: all worktrees share the ${what} \`${name}\` (\`external: true\`)`);
      else if (isShared(spec))
        found.push(`${place([kind, name, 'name'])}: all worktrees share the ${what} \`${name}\`: its \`name:\` is fixed`);
      const ipam = isMap(spec.ipam) && Array.isArray(spec.ipam.config) ? spec.ipam.config : [];
      if (ipam.some((entry: unknown) => isMap(entry) && entry.subnet !== undefined))
        found.push(
          `${place([kind, name, 'ipam', 'config'])}: the network \`${name}\` has a fixed subnet, so only one worktree can have it at a time`,
        );
    }
  }
  return found;
}
