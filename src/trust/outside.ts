import path from 'node:path';
import { git } from '../git/git.ts';
import type { Place, Worktree } from '../git/worktrees.ts';
import { listFolder, readIfThere } from '../ledger/document.ts';
import type { FirstApproval } from './approvals.ts';
import { areAllBranches, asFetched, type Kind, keepsAmongOwn, kindOf, placesOf, type Remotes, withoutUser } from './places.ts';
import { messagesOf, wasFetched, wasMadeHere } from './reflogs.ts';
import type { Settings } from './settings.ts';

/** A worktree, with what is known of where its branches come from. */
export interface Origin {
  place: Place;
  worktree: Pick<Worktree, 'path' | 'branch'>;
  settings: Pick<Settings, 'remotes' | 'fetches' | 'branches'>;
  first: FirstApproval;
}

/** What proves it, as a sentence. */
export interface Evidence {
  reason: string;
  /** Whether git will have forgotten it soon. */
  passes: boolean;
}

/**
 * What proves that a new worktree holds somebody else's work: only what git has written down counts, so that a person's own
 * work never waits. Null when nothing does.
 */
export async function evidenceOfOutside(origin: Origin): Promise<Evidence | null> {
  const lasting = byBranchConfig(origin) ?? (await byReflog(origin)) ?? (await byRemotes(origin));
  if (lasting !== null) return { reason: lasting, passes: false };
  const passing = await byFetchHead(origin);
  return passing === null ? null : { reason: passing, passes: true };
}

/** The remotes that this machine knows: those of the first approval with the same URLs, and `origin` where there was none then. */
export function knownRemotes({ remotes }: Pick<Settings, 'remotes'>, first: FirstApproval): string[] {
  const hadNone = Object.keys(first.remotes).length === 0;
  return Object.keys(remotes).filter((name) => first.remotes[name] === remotes[name] || (hadNone && name === 'origin'));
}

/** As `gh pr checkout` and the like write it. */
function byBranchConfig({ worktree: { branch }, settings: { branches, remotes } }: Origin): string | null {
  const { remote, merge } = branches[branch ?? ''] ?? {};
  if (merge !== undefined && !merge.startsWith('refs/heads/')) return `its branch follows ${merge}, a pull or merge request`;
  if (remote !== undefined && remote !== '.' && !Object.hasOwn(remotes, remote))
    return `its branch follows ${withoutUser(remote)}, which is no remote of this repository`;
  return null;
}

async function byReflog({ place, worktree: { branch } }: Origin): Promise<string | null> {
  return branch === null ? null : wasFetched(place.repository.commonDir, branch);
}

/** What was fetched without a place of its own, or lies below that: neither a known remote's branch, nor on a branch that was here before. */
async function byFetchHead(origin: Origin): Promise<string | null> {
  const { place, worktree, settings, first } = origin;
  const { commonDir } = place.repository;
  const heads = [commonDir, ...listFolder(path.join(commonDir, 'worktrees')).map((name) => path.join(commonDir, 'worktrees', name))];
  const known = new Set(knownRemotes(settings, first).map((name) => asFetched(settings.remotes[name] ?? '')));
  const foreign = heads.flatMap((folder) =>
    (readIfThere(path.join(folder, 'FETCH_HEAD')) ?? '').split('\n').filter((line) => {
      const [, from = ''] = /\t(?:branch|tag) '.*' of (.+)$/.exec(line) ?? [];
      return line !== '' && !known.has(asFetched(from));
    }),
  );
  if (foreign.length === 0) return null;
  const commit = await commitOf(worktree);
  for (const ref of await refsWith(commonDir, commit, ['refs/heads', 'refs/remotes'])) {
    const branch = ref.replace(/^refs\/heads\//, '');
    const isOwn = branch === ref ? (await kindIn(origin, ref)) === 'branch' : (await wasFetched(commonDir, branch)) === null;
    if (isOwn && branch !== worktree.branch) return null;
  }
  let line: string | undefined;
  for (const fetched of foreign)
    if (line === undefined && (await isIn(commonDir, commit, fetched.slice(0, fetched.indexOf('\t'))))) line = fetched;
  if (line === undefined) return null;
  return `its commit was fetched from ${withoutUser(/ of (.+)$/.exec(line)?.[1] ?? 'elsewhere')}, and is on no branch of a known remote or of your own`;
}

/** Whether a commit is, or is behind, what was fetched: a commit, or a tag that names one. */
async function isIn(commonDir: string, commit: string, fetched: string): Promise<boolean> {
  return (await git(commonDir, ['merge-base', '--is-ancestor', commit, `${fetched}^{commit}`])).code === 0;
}

/** A commit that only remotes have which were not there at the first approval, or only as a request to a known one, and not made here. */
async function byRemotes(origin: Origin): Promise<string | null> {
  const { commonDir } = origin.place.repository;
  const remotes = remotesOf(origin);
  if (areAllBranches(commonDir, remotes)) return null;
  const commit = await commitOf(origin.worktree);
  const first = new Map<Kind, string>();
  for (const ref of await refsWith(commonDir, commit, placesOf(remotes))) {
    const kind = await kindIn(origin, ref);
    if (kind === 'branch') return null;
    if (!first.has(kind)) first.set(kind, ref);
  }
  const [later, request] = [first.get('later'), first.get('request')];
  const foreign = later ?? request;
  if (foreign === undefined || (await wasMadeHere(commonDir, commit))) return null;
  if (later === undefined && keepsAmongOwn(remotes) && (await isOnBranch(origin, commit))) return null;
  return whyOnlyOn(foreign, origin);
}

function remotesOf({ settings, first }: Origin): Remotes {
  return { known: knownRemotes(settings, first), urls: settings.remotes, fetches: settings.fetches };
}

async function kindIn(origin: Origin, ref: string): Promise<Kind> {
  return kindOf(ref, remotesOf(origin), await messagesOf(origin.place.repository.commonDir, ref));
}

/** Whether a commit is on a branch, and not only on one that was just made for the worktree. */
async function isOnBranch({ place, worktree }: Origin, commit: string): Promise<boolean> {
  const { commonDir } = place.repository;
  for (const ref of await refsWith(commonDir, commit, ['refs/heads']))
    if (ref !== `refs/heads/${worktree.branch}` || (await messagesOf(commonDir, ref))?.length !== 1) return true;
  return false;
}

function whyOnlyOn(ref: string, { settings, first }: Origin): string {
  const name = Object.keys(settings.remotes).find((remote) => ref.startsWith(`refs/remotes/${remote}/`));
  if (name === undefined || knownRemotes(settings, first).includes(name))
    return `its commit is only on ${ref.replace('refs/remotes/', '')}, which is no branch of a known remote`;
  const why =
    first.remotes[name] === undefined
      ? 'was added after something was approved first'
      : 'has another URL than when something was approved first';
  return `its commit is only on the remote ${name}, which ${why} (your team's own? \`git coppice trust --remote ${name}\`)`;
}

async function commitOf(worktree: Origin['worktree']): Promise<string> {
  return (await git(worktree.path, ['rev-parse', '--verify', '--end-of-options', 'HEAD^{commit}'])).stdout.trim();
}

async function refsWith(commonDir: string, commit: string, namespaces: string[]): Promise<string[]> {
  const shown = await git(commonDir, ['for-each-ref', `--contains=${commit}`, '--format=%(refname)', ...namespaces]);
  return shown.stdout.split('\n').filter((ref) => ref !== '');
}
