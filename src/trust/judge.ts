import { createHash } from 'node:crypto';
import path from 'node:path';
import { isData } from '../config/data.ts';
import { git } from '../git/git.ts';
import type { Place, Worktree } from '../git/worktrees.ts';
import { createDocument, FOR_ALL, readDocument, replaceDocument } from '../ledger/document.ts';
import { knowRepository, readRepositoryId } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { type Approval, type Approvals, openApprovals } from './approvals.ts';
import type { Closure, Content } from './closure.ts';
import { evidenceOfOutside, knownRemotes } from './outside.ts';
import type { Settings } from './settings.ts';

/** Why nothing of a branch runs; each is a part of a sentence. */
export interface Untrusted {
  /** Nobody approved what it asks for, or what was approved does not count. */
  content: string | null;
  /** It holds somebody else's work. */
  outside: string | null;
}

/** A worktree that is judged before anything of its branch is carried out. */
export interface Judged {
  closure: Closure;
  place: Place;
  worktree: Pick<Worktree, 'path' | 'branch' | 'adminDir' | 'id'>;
  settings: Settings;
  /** Whether it was never set up: later, its branches are its user's own doing. */
  isNew: boolean;
}

/** Whether what a branch asks for may be carried out on this machine. @returns null when it may */
export async function judge({ closure, place, worktree, settings, isNew }: Judged): Promise<Untrusted | null> {
  const approvals = approvalsOf(place.repository.commonDir);
  const content = await judgeContent(closure, place, settings, approvals);
  const outside = isNew && !settings.outsideAllowed ? await judgeOrigin(place, worktree, settings, approvals) : null;
  return content === null && outside === null ? null : { content, outside };
}

/** The approvals of a repository; null when the ledger does not know it. */
export function approvalsOf(commonDir: string): Approvals | null {
  const id = readRepositoryId(commonDir);
  return id === null ? null : openApprovals(openStateDir(), id);
}

async function judgeContent(closure: Closure, place: Place, settings: Settings, approvals: Approvals | null): Promise<string | null> {
  if (settings.trust === 'all') return null;
  if (approvals?.refused) return approvals.refused;
  const first = approvals?.first() ?? null;
  // Before what was approved: without the remotes of then, nothing could be told to come from outside.
  if (approvals === null || first === null) return 'nothing of this repository was approved on this machine yet';
  if (approvals.has(closure.digest)) return null;
  const changed = changedParts(approvals.last()?.content ?? null, closure.content);
  const why = `what it asks for was not approved on this machine${changed}`;
  if (settings.trust === 'strict') return why;
  const { ref, unknown } = await defaultBranchWith(closure, place.repository.commonDir, knownRemotes(settings, first));
  if (ref === null)
    return unknown === null
      ? why
      : `${why}, and git cannot tell whether ${unknown}'s default branch asks for the same: \`git remote set-head ${unknown} --auto\``;
  approvals.add(approvalBy(ref, closure));
  return null;
}

/** What is another than in the last approval, for a sentence. */
function changedParts(last: Content | null, now: Content): string {
  if (last === null) return '';
  const parts = (content: Content) =>
    new Map<string, string>([
      ...sectionsOf(content.config).map(([name, value]): [string, string] => [name, JSON.stringify(value)]),
      ['.worktreeinclude', JSON.stringify(content.include)],
      ...Object.entries(content.files),
    ]);
  const [before, after] = [parts(last), parts(now)];
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));
  const shown = changed.slice(0, 4).join(', ');
  if (changed.length === 0) return '';
  return ` (other than approved last: ${shown}${changed.length > 4 ? ` and ${changed.length - 4} more` : ''})`;
}

/** `steps.install`, and what stands at the top by itself. */
function sectionsOf(config: unknown): [name: string, value: unknown][] {
  if (!isData(config)) return [];
  return Object.entries(config).flatMap(([section, value]): [string, unknown][] =>
    isData(value) ? Object.entries(value).map(([name, entry]) => [`${section}.${name}`, entry]) : [[section, value]],
  );
}

/** The remote's default branch that asks for just the same: what was merged was looked at. Or a remote of which git knows none. */
async function defaultBranchWith(
  closure: Closure,
  commonDir: string,
  remotes: string[],
): Promise<{ ref: string | null; unknown: string | null }> {
  const { closureOfCommit } = await import('./commit.ts');
  let unknown: string | null = null;
  for (const remote of remotes) {
    const head = await git(commonDir, ['symbolic-ref', '--quiet', `refs/remotes/${remote}/HEAD`]);
    const ref = head.stdout.trim();
    if (head.code !== 0 || (await git(commonDir, ['rev-parse', '--quiet', '--verify', `${ref}^{commit}`])).code !== 0) unknown ??= remote;
    else if ((await closureOfCommit(commonDir, ref))?.digest === closure.digest) return { ref: ref.replace('refs/remotes/', ''), unknown };
  }
  return { ref: null, unknown };
}

async function judgeOrigin(
  place: Place,
  worktree: Judged['worktree'],
  settings: Settings,
  approvals: Approvals | null,
): Promise<string | null> {
  const { adminDir } = worktree;
  if (adminDir === null) return null;
  const held = readHeld(adminDir);
  if (held?.accepted) return null;
  const first = approvals?.first() ?? null;
  const evidence = first === null ? null : await evidenceOfOutside({ place, worktree, settings, first });
  // Only the first: somebody may have said meanwhile that it may go on.
  if (evidence?.passes && held === null)
    createDocument(path.join(adminDir, HELD), HELD, { reason: evidence.reason, accepted: false }, FOR_ALL);
  return evidence?.reason ?? held?.reason ?? null;
}

/** Approves what a branch asks for. The first approval also writes down which remotes there are. */
export function approve(closure: Closure | null, place: Place, settings: Settings, by: string): void {
  const state = openStateDir();
  const approvals = openApprovals(state, knowRepository(state, place.repository.commonDir));
  if (approvals.refused !== null) throw new Failure(`${approvals.refused}. Nothing was approved.`);
  if (closure !== null) approvals.add(approvalBy(by, closure));
  // Last: whoever is killed before it has not had the first approval.
  if (approvals.first() === null) approvals.know({ remotes: settings.remotes });
}

function approvalBy(by: string, { digest, content, files }: Closure): Approval {
  const objects = Object.fromEntries([...files].map(([name, bytes]) => [name, objectOf(bytes)]));
  return { digest, at: new Date().toISOString(), by, content, objects };
}

/** As git names a file's content. */
function objectOf(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

const HELD = 'coppice-held';

/** What is kept in a worktree's admin directory of where it comes from: what git forgets, and what a person has said to it. */
interface Held {
  reason: string;
  /** A person has said that it may be set up all the same. */
  accepted: boolean;
}

function readHeld(adminDir: string): Held | null {
  return readDocument(path.join(adminDir, HELD), HELD) as Held | null;
}

export function writeHeld(adminDir: string, held: Held): void {
  replaceDocument(path.join(adminDir, HELD), HELD, { ...held }, FOR_ALL);
}
