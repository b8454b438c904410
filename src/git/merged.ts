import path from 'node:path';
import { readIfThere } from '../ledger/document.ts';
import { git } from './git.ts';
import type { Repository } from './worktrees.ts';

/** The branches that are merged into the main worktree's HEAD. One that has no commit of its own yet is not called merged. */
export async function mergedBranches({ main, commonDir }: Repository): Promise<Set<string>> {
  const cwd = main ?? commonDir;
  const [head, merged] = await Promise.all([
    git(cwd, ['rev-parse', '--verify', '--quiet', 'HEAD']),
    git(cwd, ['for-each-ref', '--format=%(objectname) %(refname)', '--merged=HEAD', 'refs/heads/']),
  ]);
  const refs = merged.stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(head.stdout.trim()))
    .map((line) => line.slice(line.indexOf(' ') + 1));
  return new Set(refs.filter((ref) => !isNew(commonDir, ref)).map((ref) => ref.slice('refs/heads/'.length)));
}

/** Whether a branch, by its reflog, is what it was made as: with no commit of its own, unless git made it to follow a branch of a remote. */
function isNew(commonDir: string, ref: string): boolean {
  const [first = '', second] = (readIfThere(path.join(commonDir, 'logs', ref)) ?? '').trimEnd().split('\n');
  return second === undefined && /\tbranch: Created from (?!refs\/remotes\/)/.test(first);
}
