import path from 'node:path';
import { git } from '../git/git.ts';
import type { Place, Worktree } from '../git/worktrees.ts';
import { listFolder, readIfThere } from '../ledger/document.ts';
import type { FirstApproval } from './approvals.ts';
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

/** `git fetch <from> <what>:<branch>` makes a branch without anybody's looking at it. */
async function byReflog(origin: Origin): Promise<string | null> {
  const { branch } = origin.worktree;
  return branch === null ? null : wasFetched(origin.place.repository.commonDir, branch);
}

/** Whether a branch began as something that was fetched, in words. */
async function wasFetched(commonDir: string, branch: string): Promise<string | null> {
  const began = await firstMessage(commonDir, branch);
  if (began.startsWith('fetch')) return `its branch was made by \`git ${began.replace(/: storing \w+$/, '')}\``;
  return began === 'branch: Created from FETCH_HEAD' ? 'its branch was made from FETCH_HEAD' : null;
}

/** What was said when a branch came to be; empty when that is not known. */
async function firstMessage(commonDir: string, branch: string): Promise<string> {
  const log = readIfThere(path.join(commonDir, 'logs', 'refs', 'heads', branch));
  if (log !== null) return messageOf(log.slice(0, log.indexOf('\n')));
  // Kept in another way than files.
  const shown = await git(commonDir, ['log', '--walk-reflogs', '--format=%gs', `refs/heads/${branch}`, '--']);
  return shown.stdout.trimEnd().split('\n').at(-1) ?? '';
}

function messageOf(line: string): string {
  return line.slice(line.indexOf('\t') + 1);
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
    const isOwn = branch === ref ? isKnown(ref, origin) : (await wasFetched(commonDir, branch)) === null;
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

/** A remote-tracking branch of a known remote; where its pull requests are fetched to is none. */
function isKnown(ref: string, { settings, first }: Origin): boolean {
  return knownRemotes(settings, first).some((name) => {
    const fetched = (settings.fetches[name] ?? []).map((refspec) => refspec.replace(/^\+/, '').split(':'));
    const takenBy = (isBranch: boolean) =>
      fetched.some(([from = '', to]) => to !== undefined && from.startsWith('refs/heads/') === isBranch && fits(ref, to));
    return takenBy(true) && !takenBy(false);
  });
}

/** Whether a ref is one that the right side of a refspec names; it has one `*` at most. */
function fits(ref: string, pattern: string): boolean {
  const [start = '', end] = pattern.split('*');
  return end === undefined ? ref === pattern : ref.startsWith(start) && ref.endsWith(end) && ref.length >= start.length + end.length;
}

/** A commit that only remotes have which were not there at the first approval, or only as a request to a known one, and not made here. */
async function byRemotes(origin: Origin): Promise<string | null> {
  const { place, worktree, settings, first } = origin;
  const { commonDir } = place.repository;
  const known = knownRemotes(settings, first);
  const onlyBranches = known.every((name) => (settings.fetches[name] ?? []).every((refspec) => /^\+?refs\/heads\//.test(refspec)));
  if (onlyBranches && Object.keys(settings.remotes).length === known.length) return null;
  const commit = await commitOf(worktree);
  const holders = await refsWith(commonDir, commit, ['refs/remotes']);
  const [foreign] = holders.filter((ref) => !isKnown(ref, origin));
  if (foreign === undefined || holders.some((ref) => isKnown(ref, origin)) || wasMadeHere(commonDir, worktree, commit)) return null;
  const name = Object.keys(settings.remotes).find((remote) => foreign.startsWith(`refs/remotes/${remote}/`));
  if (name === undefined || known.includes(name))
    return `its commit is only on ${foreign.replace('refs/remotes/', '')}, which is no branch of a known remote`;
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

/** Somebody here committed it, and pushed it to a remote of his own. */
function wasMadeHere(commonDir: string, { branch }: Origin['worktree'], commit: string): boolean {
  const worktrees = listFolder(path.join(commonDir, 'worktrees')).map((name) => path.join('worktrees', name, 'logs', 'HEAD'));
  const logs = ['logs/HEAD', ...worktrees, ...(branch === null ? [] : [path.join('logs', 'refs', 'heads', branch)])];
  const made = /^(commit|cherry-pick|revert|am|rebase|merge [^\n]*: Merge made)/;
  return logs.some((name) =>
    (readIfThere(path.join(commonDir, name)) ?? '')
      .split('\n')
      .some((line) => line.split(' ', 2)[1] === commit && made.test(messageOf(line))),
  );
}

/** A URL as FETCH_HEAD has it (git fetch's `store_updated_refs`): without user, `/` and `.git` at its end. */
function asFetched(url: string): string {
  return withoutUser(url)
    .replace(/\/+$/, '')
    .replace(/\.git$/, '');
}

/** A URL without its user and password. */
function withoutUser(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}
