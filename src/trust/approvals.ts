import fs from 'node:fs';
import path from 'node:path';
import { listFolder, makeFolder, readDocument, replaceDocument } from '../ledger/document.ts';
import type { StateDir } from '../ledger/state-dir.ts';
import { errorCode } from '../outcome.ts';
import type { Content } from './closure.ts';

const FORMAT = 'coppice-approval';
const FIRST_FORMAT = 'coppice-first-approval';

/** What somebody approved on this machine, for one repository. */
export interface Approval {
  digest: string;
  /** ISO 8601. */
  at: string;
  /** Who or what approved it: `install`, `init`, `up`, `trust`, or a ref that has the same. */
  by: string;
  content: Content;
  /** The names in git of the files that it names, by path: what git has of them is compared later. */
  objects: Record<string, string>;
}

/** What was there when something of the repository was approved for the first time. */
export interface FirstApproval {
  /** The URLs of the remotes, by name. */
  remotes: Record<string, string>;
}

/** The approvals of a repository on this machine: files that only this user can write, outside everything that a branch carries. */
export interface Approvals {
  /** Why none of them counts; null when they do. */
  refused: string | null;
  has(digest: string): boolean;
  /** The newest one; null when there is none. */
  last(): Approval | null;
  first(): FirstApproval | null;
  add(approval: Approval): void;
  /** Writes down what is known of the remotes: at the first approval, or when a person says so. */
  know(first: FirstApproval): void;
}

export function openApprovals(state: StateDir, repository: string): Approvals {
  const folder = path.join(state.repos, repository, 'approvals');
  const nameOf = (digest: string) => digest.slice('sha256:'.length);
  const refused = whyNot(state, folder);
  const read = (name: string): Approval | null => {
    const file = path.join(folder, name);
    if (refused !== null || ownerOf(file, 0o077) !== 'us') return null;
    return readDocument(file, FORMAT) as Approval | null;
  };
  return {
    refused,
    has: (digest) => /^sha256:[0-9a-f]{64}$/.test(digest) && read(nameOf(digest))?.digest === digest,
    last() {
      const all = listFolder(folder).flatMap((name) => (/^[0-9a-f]{64}$/.test(name) ? (read(name) ?? []) : []));
      return all.sort((one, other) => (one.at < other.at ? 1 : -1))[0] ?? null;
    },
    first() {
      const file = path.join(folder, 'first');
      if (refused !== null || ownerOf(file, 0o077) !== 'us') return null;
      return readDocument(file, FIRST_FORMAT) as FirstApproval | null;
    },
    add(approval) {
      makeFolder(folder);
      replaceDocument(path.join(folder, nameOf(approval.digest)), FORMAT, { ...approval });
    },
    know(first) {
      makeFolder(folder);
      replaceDocument(path.join(folder, 'first'), FIRST_FORMAT, { ...first });
    },
  };
}

/** Whoever else can write there could approve in this user's name. */
function whyNot(state: StateDir, folder: string): string | null {
  for (const name of [state.root, state.repos, path.dirname(folder), folder]) {
    // One look at each: another process may make what is not there at any moment.
    const owner = name === folder ? ownerOf(name, 0o077) : ownerOf(name, 0o022, fs.statSync);
    if (owner === 'nothing there') return null;
    if (owner === 'others')
      return `what was approved does not count, because ${name} is not this user's alone: it should belong to you, with the mode 700`;
  }
  return null;
}

/** Whether a file or folder, and no link to one, is this user's, and the others (permission bits) have no right to it. */
function ownerOf(name: string, others: number, look: (name: string) => fs.Stats = fs.lstatSync): 'us' | 'others' | 'nothing there' {
  try {
    const stat = look(name);
    return !stat.isSymbolicLink() && stat.uid === process.geteuid?.() && (stat.mode & others) === 0 ? 'us' : 'others';
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 'nothing there';
    throw error;
  }
}
