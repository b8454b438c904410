import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { documentText, linkNew, listFolder, parseHeader, readDocument, readIfThere, removeIfThere, writeTemporary } from './document.ts';
import { isRunning, markProcess, type ProcessMark } from './process.ts';

/**
 * Who may change a worktree's record and claims: one process at a time.
 *
 * `owner` names the holder with its generation. A process that finds the holder ended or released links `owner.<generation + 1>`;
 * link(2) lets one win. The winner reads `owner` again and follows the chain: only when all before its own file have ended does
 * it hold, and it then renames its file over `owner`. A process that was stopped in between finds a higher generation in
 * `owner` when it goes on, and has nothing. `owner` is only ever replaced, so there is no moment without it.
 */
interface OwnerRecord extends ProcessMark {
  generation: number;
  nonce: string;
  verb: string;
  released: boolean;
}

const FORMAT = 'coppice-owner';

/** The right to change one worktree's record, until released. */
export interface Ownership {
  release(): void;
  /** Gives the right to a child that was just started, without a moment in which nobody has it. */
  handOver(pid: number, verb: string): void;
  readonly nonce: string;
}

/** What `tryOwn` found: the right, or who has it. */
export type OwnAttempt = { held: Ownership } | { by: { pid: number; verb: string } };

/**
 * Takes a worktree's record unless a running process has it.
 * @param folder the worktree's folder in the ledger, which exists
 * @param verb what for, as `status` shows it
 */
export function tryOwn(folder: string, verb: string): OwnAttempt {
  for (;;) {
    const end = chainEnd(folder);
    if (end && holds(end)) return { by: { pid: end.pid, verb: end.verb } };
    const mark = markProcess();
    if (!mark) throw new Error('this process is not in the process table');
    const record: OwnerRecord = { ...mark, generation: (end?.generation ?? 0) + 1, nonce: randomUUID(), verb, released: false };
    if (claimGeneration(folder, record)) return { held: ownership(folder, record) };
  }
}

/** Takes up what a parent handed over to this process. Null when the parent has not, or somebody else holds it. */
export function adoptOwnership(folder: string, nonce: string): Ownership | null {
  const end = chainEnd(folder);
  return end && end.nonce === nonce && end.pid === process.pid ? ownership(folder, end) : null;
}

/** The running process that has the record now, if any. */
export function currentOwner(folder: string): { pid: number; verb: string } | null {
  const end = chainEnd(folder);
  return end && holds(end) ? { pid: end.pid, verb: end.verb } : null;
}

function claimGeneration(folder: string, record: OwnerRecord): boolean {
  const root = path.join(folder, 'owner');
  const name = record.generation === 1 ? root : `${root}.${record.generation}`;
  const temporary = writeTemporary(root, documentText(FORMAT, { ...record }));
  try {
    if (!linkNew(temporary, name)) return false;
  } finally {
    fs.rmSync(temporary, { force: true });
  }
  if (record.generation === 1) return true;
  if (chainEnd(folder)?.nonce !== record.nonce) {
    // The chain had gone past this generation before the link: the file is ours alone and means nothing.
    removeIfThere(name);
    return false;
  }
  fs.renameSync(name, root);
  // Also of who was killed after it had seen a chain that had gone on since: below ours, none means anything.
  for (const older of listFolder(folder)) {
    const generation = /^owner\.(\d+)$/.exec(older)?.[1];
    if (generation !== undefined && Number(generation) < record.generation) removeIfThere(path.join(folder, older));
  }
  return true;
}

/**
 * Who holds, or held last. The walk stops at the first that still holds: a process that judged by a file already overtaken, and
 * was killed before it could take its own away, may have left one above a living holder.
 */
function chainEnd(folder: string): OwnerRecord | null {
  const root = path.join(folder, 'owner');
  let end = toOwner(readDocument(root, FORMAT));
  if (!end) return null;
  for (;;) {
    if (holds(end)) return end;
    const name: string = `${root}.${end.generation + 1}`;
    const text = readIfThere(name);
    if (text === null) return end;
    end = toOwner(parseHeader(text, FORMAT, name)) ?? end;
  }
}

function holds(owner: OwnerRecord): boolean {
  return !owner.released && isRunning(owner);
}

function toOwner(value: Record<string, unknown> | null): OwnerRecord | null {
  if (value === null) return null;
  const { generation, nonce, pid, start, boot, host, verb, released } = value;
  return {
    generation: Number(generation),
    nonce: String(nonce),
    pid: Number(pid),
    start: String(start),
    boot: String(boot),
    host: String(host),
    verb: String(verb),
    released: released === true,
  };
}

function ownership(folder: string, record: OwnerRecord): Ownership {
  const root = path.join(folder, 'owner');
  const replace = (next: OwnerRecord) => {
    const temporary = writeTemporary(root, documentText(FORMAT, { ...next }));
    fs.renameSync(temporary, root);
  };
  return {
    nonce: record.nonce,
    release: () => replace({ ...record, released: true }),
    handOver: (pid, verb) => {
      const mark = markProcess(pid);
      if (mark) replace({ ...record, ...mark, verb });
    },
  };
}
