import type { Place, Repository, Worktree } from './git/worktrees.ts';
import { Failure } from './outcome.ts';
import { type Closure, readClosure } from './trust/closure.ts';
import { type Judged, judge, type Untrusted } from './trust/judge.ts';
import { readSettings } from './trust/settings.ts';

/** What a person reads of a branch that is not trusted: what, why, and what to do. */
export function untrustedSentences(
  { content, outside }: Untrusted,
  { closure, worktree, isNew }: Pick<Judged, 'closure' | 'worktree' | 'isNew'>,
): [what: string, why: string, how: string] {
  const why = [content, outside].filter((reason) => reason !== null).join('; ');
  // The main worktree is never set up.
  const verb = worktree.adminDir === null ? 'trust' : 'up';
  return [
    isNew
      ? 'coppice: nothing of this branch was run, copied or created, because it is not trusted:'
      : 'coppice: nothing was done, because what this branch asks for now is not trusted:',
    `  ${why}`,
    `\`git coppice ${verb}\` there, on a terminal, shows what would run and asks; for a script: \`git coppice trust --digest ${closure.digest}\``,
  ];
}

/**
 * What the branch in a worktree asks for, when that was approved: for verbs that give its variables, or talk to its servers.
 * @throws {Failure} with exit code 3 when it was not; null when the branch has no config
 */
export async function approvedClosure(place: Place, worktree: Judged['worktree'], isNew = false): Promise<Closure | null> {
  const closure = await readClosure(worktree.path, place.repository.main);
  if (closure === null) return null;
  const settings = await readSettings(place);
  const untrusted = await judge({ closure, place, worktree, settings, isNew });
  if (untrusted !== null) throw new Failure(untrustedSentences(untrusted, { closure, worktree, isNew }).join('\n'), 3);
  return closure;
}

/** Why a worktree would not be set up, in a few words; null when nothing is against it. */
export async function whyUntrusted(repository: Repository, worktree: Worktree, isNew: boolean): Promise<string | null> {
  if (worktree.prunable) return null;
  try {
    await approvedClosure({ repository, worktree }, worktree, isNew);
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.exitCode === 3 ? 'not trusted: `git coppice trust` in it shows why, and what would run' : null;
  }
}
