import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Config } from './config/schema.ts';
import { slugify } from './config/templates.ts';
import { claimedNames, claimOwner, reserveBase, reservedPorts, type WorktreeClaims } from './ledger/claims.ts';
import { FOR_ALL, makeFolder, readDocument, replaceDocument } from './ledger/document.ts';
import type { Journal } from './ledger/journal.ts';
import type { StateDir } from './ledger/state-dir.ts';
import { Failure } from './outcome.ts';

/** Ports that browsers refuse to connect to: https://fetch.spec.whatwg.org/#port-blocking, those above 1023. */
const REFUSED_BY_BROWSERS = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

interface PortWish {
  name: string;
  base: number;
  step: number;
}

/** A worktree's number in its repository and the ports that follow from it. */
export interface Slot {
  slot: number;
  ports: Record<string, number>;
}

/** What choosing a slot needs. */
export interface SlotInput {
  state: StateDir;
  commonDir: string;
  repository: string;
  branch: string | null;
  config: Config;
  /** See {@link listeningPorts}. */
  listening: Promise<Set<number> | null>;
}

/**
 * Reserves the smallest slot whose ports are all free: claimed by nobody, no main worktree's base, not refused by browsers,
 * at most 65535, and in use by no process. The claim comes before the probe, so no two of us probe one port at once, and it is
 * the claim that makes the port safe. A branch gets the slot that it had when that is free; a worktree keeps its slot.
 * @throws {Failure} when no slot is left
 */
export async function takeSlot(input: SlotInput, journal: Journal, claims: WorktreeClaims): Promise<Slot> {
  const { state, commonDir, repository, branch, config, listening } = input;
  const wishes = portWishes(config);
  for (const { base } of wishes) reserveBase(state, base, repository);
  const { record } = journal;
  if (
    record.slot !== null &&
    record.claims.includes(slotClaim(repository, record.slot)) &&
    claims.take(slotClaim(repository, record.slot))
  ) {
    return keepSlot(input, { slot: record.slot, ports: record.ports }, wishes, journal, claims);
  }
  giveBack(
    record.claims.filter((name) => /^(slot|port)-/.test(name)),
    journal,
    claims,
  );
  const reserved = reservedPorts(claimedNames(state));
  for (const slot of candidates(wishes, remembered(commonDir, branch))) {
    const ports = portsOf(wishes, slot);
    if (Object.values(ports).some((port) => !usable(port) || reserved.has(port)) || claimOwner(state, slotClaim(repository, slot)) !== null)
      continue;
    const names = [slotClaim(repository, slot), ...Object.values(ports).map((port) => `port-${port}`)];
    if (!(await takeAll(names, await listening, journal, claims))) continue;
    journal.append({ event: 'slot', slot, ports });
    remember(commonDir, branch, slot);
    return { slot, ports };
  }
  throw new Failure(
    'No slot is left: every port up to 65535 for one of the bases is taken. `git coppice status` shows who has them; `git coppice gc --all` gives back those of worktrees that are gone.',
  );
}

/** The slot that `takeSlot` would give now, without reserving anything. */
export function proposeSlot({ state, commonDir, repository, branch, config }: Omit<SlotInput, 'listening'>): Slot {
  const wishes = portWishes(config);
  const names = claimedNames(state);
  const reserved = reservedPorts(names);
  for (const slot of candidates(wishes, remembered(commonDir, branch))) {
    const ports = portsOf(wishes, slot);
    if (!names.has(slotClaim(repository, slot)) && Object.values(ports).every((port) => usable(port) && !reserved.has(port)))
      return { slot, ports };
  }
  throw new Failure('No slot is left.');
}

/** The ports of a slot that a worktree has, with what the config has gained since where it would be placed. */
export function portsAt({ slot, ports }: Slot, config: Config): Slot {
  return { slot, ports: { ...portsOf(portWishes(config), slot), ...ports } };
}

/** The worktree has its slot; a port that the config has gained since is placed at it, or at the next place that is free. */
async function keepSlot(
  { state, listening }: SlotInput,
  had: Slot,
  wishes: PortWish[],
  journal: Journal,
  claims: WorktreeClaims,
): Promise<Slot> {
  const ports: Record<string, number> = {};
  for (const wish of wishes) {
    const before = had.ports[wish.name];
    const fits = before !== undefined && before > wish.base && (before - wish.base) % wish.step === 0;
    if (fits && journal.record.claims.includes(`port-${before}`) && claims.take(`port-${before}`)) {
      ports[wish.name] = before;
      continue;
    }
    const reserved = reservedPorts(claimedNames(state));
    let place = had.slot;
    for (; ; place += 1) {
      const port = wish.base + place * wish.step;
      if (port > 65_535) throw new Failure(`No port is left for ${wish.name} above ${wish.base}.`);
      // A run that was killed may have claimed it for us, and not got as far as saying what for.
      const free = !reserved.has(port) || claims.holds(`port-${port}`);
      if (usable(port) && free && (await takeAll([`port-${port}`], await listening, journal, claims))) break;
    }
    ports[wish.name] = wish.base + place * wish.step;
  }
  const kept = new Set(Object.values(ports));
  const dropped = Object.values(had.ports).filter((port) => !kept.has(port) && journal.record.claims.includes(`port-${port}`));
  giveBack(
    dropped.map((port) => `port-${port}`),
    journal,
    claims,
  );
  if (JSON.stringify(ports) !== JSON.stringify(had.ports)) journal.append({ event: 'slot', slot: had.slot, ports });
  return { slot: had.slot, ports };
}

/** Takes all of these claims, or none: those of ports only when no process uses the port. */
async function takeAll(names: string[], listening: Set<number> | null, journal: Journal, claims: WorktreeClaims): Promise<boolean> {
  journal.append({ event: 'claim', names });
  // Claimed first, probed then: of two of us that want a port, only the one that has it asks whether it is in use.
  const ports = names.flatMap((name) => (name.startsWith('port-') ? [Number(name.slice(5))] : []));
  if (names.every((name) => claims.take(name)) && (await allFree(ports, listening))) return true;
  giveBack(names, journal, claims);
  return false;
}

/** Releases claims, then records it: a crash in between is released once more, which does nothing. */
export function giveBack(names: string[], journal: Journal, claims: WorktreeClaims): void {
  if (names.length === 0) return;
  for (const name of names) claims.release(name);
  journal.append({ event: 'release', names });
}

/**
 * Whether no process listens on any of these ports, on any address of this machine, 127.0.0.1, ::1, 0.0.0.0 and :: among them.
 * Linux keeps a list of all listeners; elsewhere every address is tried.
 */
export async function allFree(ports: number[], listening: Set<number> | null): Promise<boolean> {
  if (listening !== null) return ports.every((port) => !listening.has(port));
  const { default: getPort } = await import('get-port');
  const free = await Promise.all(ports.map(async (port) => (await getPort({ port })) === port));
  return free.every(Boolean);
}

/**
 * The ports that the kernel lists as listened on; null where it keeps no such list. It takes the kernel milliseconds to write
 * the list down, so a set-up asks for it early and does other work meanwhile.
 */
export async function listeningPorts(): Promise<Set<number> | null> {
  if (process.platform !== 'linux') return null;
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readTable));
  if (tables[0] === null) return null;
  const ports = new Set<number>();
  for (const line of tables.join('\n').split('\n')) {
    // proc(5): a number, the local address and port in hexadecimal, the remote ones, and the state; 0A is LISTEN.
    const [, port] = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A /.exec(line) ?? [];
    if (port !== undefined) ports.add(Number.parseInt(port, 16));
  }
  return ports;
}

/** Less than a page of 4 KiB by more than a line of these tables, which have at most 180 bytes. */
const SHORT_READ = 3584;

/** Null when the kernel has no such table (IPv6 can be switched off), or does not show it. */
async function readTable(file: string): Promise<string | null> {
  let fd: number;
  try {
    fd = fs.openSync(file, 'r');
  } catch {
    return null;
  }
  try {
    // The first read is what takes long, and it begins before this function returns, however busy this thread then is.
    const buffer = Buffer.allocUnsafe(65_536);
    const parts: string[] = [];
    for (;;) {
      const length = await new Promise<number>((resolve, reject) =>
        fs.read(fd, buffer, 0, buffer.length, null, (error, read) => (error ? reject(error) : resolve(read))),
      );
      parts.push(buffer.toString('latin1', 0, length));
      // seq_file (linux/fs/seq_file.c) fills a page with whole lines unless the table ends; to read its end costs as much again.
      if (length < SHORT_READ) return parts.join('');
    }
  } catch {
    return null;
  } finally {
    fs.closeSync(fd);
  }
}

/** A name for the worktree, unique in the repository: from the branch, else the folder. Fixed at first set-up. */
export function takeSlug(repository: string, branch: string | null, folder: string, journal: Journal, claims: WorktreeClaims): string {
  // A crash can come between a release and its record: what the record says is asked of the claim itself.
  if (journal.record.slug !== '' && claims.take(`slug-${repository}-${journal.record.slug}`)) return journal.record.slug;
  const plain = slugify(branch ?? '') || slugify(path.basename(folder)) || 'worktree';
  const hash = createHash('sha256')
    .update(branch ?? folder)
    .digest('hex');
  for (let length = 0; length <= hash.length; length += 4) {
    const slug = length === 0 ? plain : `${plain}-${hash.slice(0, length)}`;
    const name = `slug-${repository}-${slug}`;
    journal.append({ event: 'claim', names: [name] });
    if (claims.take(name)) return slug;
    giveBack([name], journal, claims);
  }
  throw new Error(`no slug is free for ${plain}`);
}

/** The slug that `takeSlug` would try first. */
export function proposeSlug(branch: string | null, folder: string): string {
  return slugify(branch ?? '') || slugify(path.basename(folder)) || 'worktree';
}

function slotClaim(repository: string, slot: number): string {
  return `slot-${repository}-${slot}`;
}

function portWishes(config: Config): PortWish[] {
  return Object.entries(config.resources).flatMap(([name, spec]) =>
    spec.type === 'port' ? [{ name, base: spec.base, step: spec.step }] : [],
  );
}

function portsOf(wishes: PortWish[], slot: number): Record<string, number> {
  return Object.fromEntries(wishes.map(({ name, base, step }) => [name, base + slot * step]));
}

/** Whether browsers connect to a port, and it is one. */
export function usable(port: number): boolean {
  return port <= 65_535 && !REFUSED_BY_BROWSERS.has(port);
}

function* candidates(wishes: PortWish[], first: number | null): Generator<number> {
  if (first !== null) yield first;
  const last = Math.min(65_535, ...wishes.map(({ base, step }) => Math.floor((65_535 - base) / step)));
  for (let slot = 1; slot <= last; slot += 1) if (slot !== first) yield slot;
}

function branchFile(commonDir: string, branch: string): string {
  return path.join(commonDir, 'coppice', 'branches', createHash('sha256').update(branch).digest('hex').slice(0, 24));
}

/** The slot that a branch had, so that bookmarks and redirect addresses survive a worktree's removal. */
function remembered(commonDir: string, branch: string | null): number | null {
  const document = branch === null ? null : readDocument(branchFile(commonDir, branch), 'coppice-branch');
  return document === null ? null : Number(document.slot);
}

function remember(commonDir: string, branch: string | null, slot: number): void {
  if (branch === null || remembered(commonDir, branch) === slot) return;
  const file = branchFile(commonDir, branch);
  makeFolder(path.dirname(file), 0o777);
  replaceDocument(file, 'coppice-branch', { branch, slot }, FOR_ALL);
}
