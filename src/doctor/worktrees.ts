import { envFilesIn } from '../apply/files.ts';
import { failedSteps } from '../commands/status.ts';
import { recordOf } from '../commands/target.ts';
import { up } from '../commands/up.ts';
import { configsIn } from '../config/find.ts';
import { askAboutPaths } from '../files/exclude.ts';
import { findShared, NOT_LOOKED_AT } from '../files/isolation.ts';
import { fileTasks } from '../files/sources.ts';
import type { Place, Worktree } from '../git/worktrees.ts';
import { currentOwner } from '../ledger/owner.ts';
import type { WorktreeRecord } from '../ledger/record.ts';
import { readRepositoryId, worktreeFolder } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { planOf } from '../plan/gather.ts';
import { resolvedNow } from '../plan/plan.ts';
import { approvedClosure, whyUntrusted } from '../trusted.ts';
import { type Finding, fine, note, problem } from './finding.ts';

/** How each linked worktree is, and whether anything in it still points at the main worktree. */
export async function examineWorktrees(place: Place): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const worktree of place.repository.linked) findings.push(...(await examineWorktree(place, worktree)));
  return findings;
}

async function examineWorktree(place: Place, worktree: Worktree): Promise<Finding[]> {
  const { path, branch } = worktree;
  const about = branch ?? path;
  if (worktree.prunable)
    return [problem(about, `its folder ${path} is not there`, 'git worktree repair <new path>, or git worktree prune when it is gone')];
  const record = recordOf(place.repository.commonDir, worktree);
  const mend = `git coppice up ${branch ?? path}`;
  const again = () => up(path, {});
  if (record === null && configsIn(path).length === 0) return [];
  const untrusted = await whyUntrusted(place.repository, worktree, record === null);
  if (untrusted !== null) return [problem(about, untrusted, `git coppice trust ${branch ?? path}`)];
  if (record === null) return [problem(about, 'it was not set up', mend, again)];
  if (record.state === 'down') return [note(about, 'it is down', mend)];
  const owner = ownerOf(place, worktree);
  if (owner !== null) return [note(about, `process ${owner.pid} is at it (${owner.verb})`)];
  if (record.state === 'running') return [problem(about, 'its set-up was cut off', mend, again)];
  if (record.state === 'failed') return [problem(about, 'its set-up failed', mend, again)];
  const failed = failedSteps(record).map((text) => problem(about, text, mend, again));
  if (failed.length > 0) return failed;
  const shared = await stillShared(place, worktree, record);
  // Of a config that is wrong, its first problem.
  if (shared instanceof Failure) return [problem(about, shared.message.split('\n')[0] ?? '', `npx coppice check ${path}, then ${mend}`)];
  if (shared.length > 0)
    return shared.map((text) =>
      problem(
        about,
        text,
        text.startsWith(NOT_LOOKED_AT)
          ? 'call it otherwise than an env file, or make it smaller'
          : `${mend}; if it stays, give the variable a value of its own, or list it under \`shared:\``,
      ),
    );
  return [fine(about, 'ready; nothing in its env files points at the main worktree')];
}

function ownerOf({ repository }: Place, { id }: Worktree): { pid: number; verb: string } | null {
  const known = readRepositoryId(repository.commonDir);
  return known === null || id === null ? null : currentOwner(worktreeFolder(openStateDir(), known, id));
}

/** The env files are read again, now. @returns why they cannot be judged, where it is so */
async function stillShared(place: Place, worktree: Worktree, record: WorktreeRecord): Promise<string[] | Failure> {
  const { repository } = place;
  const id = readRepositoryId(repository.commonDir) ?? '';
  try {
    const closure = await approvedClosure(place, worktree);
    if (closure === null || record.slot === null) return [];
    const plan = await planOf(closure, place, worktree, { slug: record.slug, slot: { slot: record.slot, ports: record.ports } }, record);
    const { variables, carry, rendered } = plan.values(resolvedNow(plan));
    const { envFiles } = await askAboutPaths(
      worktree.path,
      await fileTasks(closure, repository),
      worktreeFolder(openStateDir(), id, record.id),
    );
    const files = envFilesIn(worktree.path, envFiles, [...plan.copied, ...rendered]);
    return findShared({
      worktree: worktree.path,
      files,
      variables,
      carry,
      mainPath: repository.main,
      shared: new Set(closure.config.shared),
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error;
  }
}
