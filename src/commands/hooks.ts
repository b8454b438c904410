import path from 'node:path';
import { giveHuskyRunner, huskyFolderOf } from '../git/install/husky-runner.ts';
import type { Place, Worktree } from '../git/worktrees.ts';
import { Failure } from '../outcome.ts';
import type { Settings } from '../trust/settings.ts';
import { approvedClosure } from '../trusted.ts';
import { recordOf } from './target.ts';

/** Not before the branch is trusted: with husky's runner its own hooks run. */
export function giveHooks({ repository }: Place, worktree: string, { hooksPath }: Settings): void {
  const folder = huskyFolderOf(hooksPath);
  if (folder === null) return;
  const { main, linked, commonDir } = repository;
  // Of worktrees only those that were trusted: another's could be its branch's own.
  const trusted = linked.filter((other) => recordOf(commonDir, other) !== null).map((other) => other.path);
  const roots = [...(main === null ? [] : [main]), ...trusted, commonDir, path.dirname(commonDir)];
  giveHuskyRunner(roots, worktree, folder);
}

/** Git finds a relative hooksPath from the invoking worktree: one without husky's runner calls no hook, silently. */
export async function giveHooksToTrusted(place: Place, settings: Settings): Promise<void> {
  if (huskyFolderOf(settings.hooksPath) === null) return;
  for (const { path: root } of await trustedWorktrees(place)) giveHooks(place, root, settings);
}

/** The worktrees that were set up, or would be without a question. */
export async function trustedWorktrees(place: Place): Promise<Worktree[]> {
  const found: Worktree[] = [];
  for (const worktree of place.repository.linked) if (!worktree.prunable && (await isTrusted(place, worktree))) found.push(worktree);
  return found;
}

async function isTrusted({ repository }: Place, worktree: Worktree): Promise<boolean> {
  if (recordOf(repository.commonDir, worktree) !== null) return true;
  try {
    return (await approvedClosure({ repository, worktree }, worktree, true)) !== null;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}
