import path from 'node:path';
import { readIfThere } from '../ledger/document.ts';
import { filesBelow, keepsRefsInFiles, remoteMessagesLike } from './reflogs.ts';

/** The remotes of a repository. */
export interface Remotes {
  /** The names of those that this machine knows. */
  known: string[];
  /** By name. */
  urls: Record<string, string>;
  /** The refspecs that they are fetched by. */
  fetches: Record<string, string[]>;
}

/**
 * What a ref holds: a branch of a known remote; something of a remote that came later; a pull or merge request, or what was
 * fetched to where no remote has its branches. Null for everything else, such as one's own.
 */
export type Kind = 'branch' | 'later' | 'request' | null;

/** Where forges have requests, and where those are that are fetched under the same name. */
const REQUESTS = ['refs/changes', 'refs/merge-requests', 'refs/pull', 'refs/pull-requests'];
const FETCHED = ['refs/remotes', ...REQUESTS];

/** @param messages the ref's reflog, the newest first; null when it has none */
export function kindOf(ref: string, remotes: Remotes, messages: string[] | null): Kind {
  const { known, urls, fetches } = remotes;
  const isPlaceOf = (name: string) => isBelow(ref, [placeOf(name)]) || sourcesOf(ref, fetches[name] ?? []).length > 0;
  if (known.some((name) => sourcesOf(ref, fetches[name] ?? []).some(isRequest))) return 'request';
  if (known.some(isPlaceOf)) return wasFetchedByHand(ref, messages ?? [], remotes) ? 'request' : 'branch';
  if (Object.keys(urls).some(isPlaceOf)) return 'later';
  if (isBelow(ref, REQUESTS)) return 'request';
  // Other programs have refs there that nobody fetched, as git-svn has.
  const wasFetched = messages === null || messages.some((message) => /^(fetch|pull)\b/.test(message));
  return isBelow(ref, ['refs/remotes']) && wasFetched ? 'request' : null;
}

function placeOf(remote: string): string {
  return `refs/remotes/${remote}`;
}

function isBelow(ref: string, places: string[]): boolean {
  return places.some((place) => ref.startsWith(`${place}/`));
}

/** Whether what a remote calls so is neither its HEAD, nor a branch, nor a tag. A commit's name does not tell. */
function isRequest(source: string): boolean {
  return /^refs\/(?!heads\/|tags\/)/.test(source) || isBelow(`refs/${source}`, REQUESTS);
}

/** What the reflog of a remote branch has in it when its fetch was another than the configured one. */
const BY_HAND = /: storing ref$|:(refs\/)?remotes\//m;

/** Whether the reflog of a ref in a known remote's place says that what it holds is of another remote, or is no branch. */
function wasFetchedByHand(ref: string, messages: string[], { known, urls }: Remotes): boolean {
  const own = new Set(['.', ...known, ...known.flatMap((name) => (urls[name] ?? '').split('\n').map(asFetched))]);
  for (const message of messages) {
    if (message === 'update by push') return false;
    const [, command = '', done = ''] = /^(.*): ([^:]*)$/.exec(message) ?? [];
    const words = command.split(' ');
    const sources = sourcesOf(ref, words);
    if (sources.length > 0 && !words.some((word) => own.has(asFetched(word)))) return true;
    if (done === 'storing head' || done === 'storing tag') return false;
    // So git says of the remote's HEAD and of a commit, too.
    if (done === 'storing ref' && !sources.some((source) => /^(@|HEAD|[0-9a-f]{40,})?$/.test(source))) return !ref.endsWith('/HEAD');
    const requests = sources.filter(isRequest);
    if (sources.length > 0 && (requests.length === 0 || requests.length === sources.length)) return requests.length > 0;
  }
  return false;
}

/** Where to look for what was fetched. */
export function placesOf({ fetches }: Remotes): string[] {
  const named = Object.values(fetches).flatMap((refspecs) => refspecs.flatMap((refspec) => sidesOf(refspec)?.to ?? []));
  return [...FETCHED, ...named.map((to) => to.replace(/\/[^/]*\*.*$/, ''))];
}

/**
 * Whether everything that was fetched is a branch of a known remote, as it is nearly always: what can be read from files
 * costs no process.
 */
export function areAllBranches(commonDir: string, remotes: Remotes): boolean {
  const { known, urls, fetches } = remotes;
  if (!keepsRefsInFiles(commonDir) || Object.keys(urls).length !== known.length) return false;
  if (known.some((name) => (fetches[name] ?? []).some((refspec) => isRequest(refspec.replace(/^\+/, ''))))) return false;
  const isBranch = (ref: string, messages: string[]) => kindOf(ref, remotes, messages) === 'branch';
  const usual = known.map(placeOf);
  return (
    fetchedRefs(commonDir).every((ref) => isBelow(ref, usual) || isBranch(ref, [])) &&
    remoteMessagesLike(commonDir, BY_HAND).every(([ref, messages]) => isBranch(ref, messages))
  );
}

function fetchedRefs(commonDir: string): string[] {
  // The files first: git may pack them meanwhile, and then removes them.
  const files = FETCHED.flatMap((place) => filesBelow(commonDir, place));
  const packed = (readIfThere(path.join(commonDir, 'packed-refs')) ?? '').split('\n').map((line) => line.slice(line.indexOf(' ') + 1));
  return [...packed.filter((ref) => isBelow(ref, FETCHED)), ...files];
}

/** Whether a remote's branches are kept among one's own, as in a bare clone. */
export function keepsAmongOwn({ known, fetches }: Remotes): boolean {
  return known.some((name) => !(fetches[name] ?? []).some((refspec) => /^\+?refs\/heads\/.*:refs\/(?!heads\/)/.test(refspec)));
}

/** What a remote calls that which these refspecs would put into a ref. */
function sourcesOf(ref: string, refspecs: string[]): string[] {
  return refspecs.flatMap((refspec) => {
    const { from, to } = sidesOf(refspec) ?? { from: '', to: '' };
    const [start = '', end] = to.split('*');
    if (end === undefined) return ref === to ? [from] : [];
    const fits = ref.startsWith(start) && ref.endsWith(end) && ref.length >= start.length + end.length;
    return fits ? [from.replace('*', () => ref.slice(start.length, ref.length - end.length))] : [];
  });
}

/** The sides of a refspec; null where its right side names no place of its own, but all refs, branches or tags. */
function sidesOf(refspec: string): { from: string; to: string } | null {
  const [, from = '', short = ''] = /^\+?([^:]*):(.+)$/.exec(refspec) ?? [];
  const to = /^(heads|remotes|tags)\//.test(short) ? `refs/${short}` : short;
  return to === '' || /^refs\/((heads|tags)\/)?\*$/.test(to) ? null : { from, to };
}

/** A URL as FETCH_HEAD has it (git fetch's `store_updated_refs`): without user, `/` and `.git` at its end. */
export function asFetched(url: string): string {
  return withoutUser(url)
    .replace(/\/+$/, '')
    .replace(/\.git$/, '');
}

/** A URL without its user and password. */
export function withoutUser(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1');
}
