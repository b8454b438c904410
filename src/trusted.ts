import type { Place } from './git/worktrees.ts';
import { Failure } from './outcome.ts';
import { type Closure, readClosure } from './trust/closure.ts';
import { type Judged, judge, type Untrusted, writeHeld } from './trust/judge.ts';
import { readSettings } from './trust/settings.ts';

/** What a person reads of a branch that is not trusted: what, why, and what to do. */
export function untrustedSentences(
  { content, outside }: Untrusted,
  { closure, worktree }: Pick<Judged, 'closure' | 'worktree'>,
): [what: string, why: string, how: string] {
  const why = [content, outside].filter((reason) => reason !== null).join('; ');
  // The main worktree is never set up.
  const verb = worktree.adminDir === null ? 'trust' : 'up';
  return [
    'coppice: nothing of this branch was run, copied or created, because it is not trusted:',
    `  ${why}`,
    `\`git coppice ${verb}\` there, on a terminal, shows what would run and asks; for a script: \`git coppice trust --digest ${closure.digest}\``,
  ];
}

/** Judges a worktree, and keeps what proves that it comes from outside: git forgets some of it. */
export async function judgeAndKeep(judged: Judged): Promise<Untrusted | null> {
  const untrusted = await judge(judged);
  const { adminDir } = judged.worktree;
  if (untrusted?.outside && adminDir !== null) writeHeld(adminDir, { reason: untrusted.outside, accepted: false });
  return untrusted;
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
  if (untrusted !== null) throw new Failure(untrustedSentences(untrusted, { closure, worktree }).join('\n'), 3);
  return closure;
}
