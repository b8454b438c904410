import fs from 'node:fs';
import { mergedBranches } from '../git/merged.ts';
import { findPlace, openRepository } from '../git/worktrees.ts';
import { type KnownRepository, knownRepositories, readRepositoryId } from '../ledger/repositories.ts';
import { openStateDir, type StateDir } from '../ledger/state-dir.ts';
import { errorMessage, Failure } from '../outcome.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { resourceType } from '../resources/table.ts';
import { describe } from '../take-down.ts';
import { destroyVanished, findVanished, forgetRepository, type Vanished } from '../vanished.ts';

export interface GcOptions {
  dryRun?: boolean;
  all?: boolean;
  merged?: boolean;
  expired?: boolean;
  forget?: string;
}

/** `coppice gc`: now, what belongs to worktrees that are gone. Any doubt destroys nothing. */
export async function gc(options: GcOptions): Promise<number> {
  const report = await openReporter();
  const state = openStateDir();
  if (options.forget !== undefined) return forget(state, options.forget, options.dryRun === true, report);
  const repositories = options.all ? knownRepositories(state) : await thisRepository();
  let ok = true;
  let found = 0;
  for (const repository of repositories) {
    const result = await collect(state, repository, options, report);
    ok &&= result.ok;
    found += result.found;
  }
  if (found === 0 && ok) report.text('nothing to give back');
  if (options.merged) await offerMerged(report);
  return ok ? 0 : 1;
}

async function thisRepository(): Promise<KnownRepository[]> {
  const { repository } = await findPlace(process.cwd());
  const id = readRepositoryId(repository.commonDir);
  return id === null ? [] : [{ id, commonDir: repository.commonDir }];
}

async function collect(
  state: StateDir,
  { id, commonDir }: KnownRepository,
  options: GcOptions,
  report: Reporter,
): Promise<{ ok: boolean; found: number }> {
  const where = { state, commonDir, repository: id };
  let vanished: Vanished[];
  try {
    if (!fs.existsSync(commonDir)) {
      report.warn(
        `${commonDir} is not there: its worktrees may be on a disk that is not mounted, so nothing of it is touched. If it is gone for good: \`coppice gc --forget ${commonDir}\``,
      );
      return { ok: true, found: 1 };
    }
    if (readRepositoryId(commonDir) !== id) {
      report.warn(
        `another repository is at ${commonDir} now, so nothing of the one that was there is touched. If that is gone for good: \`coppice gc --forget ${commonDir}\``,
      );
      return { ok: true, found: 1 };
    }
    const { linked } = await openRepository(commonDir);
    for (const { path, branch, prunable, locked } of linked) {
      if (prunable && !locked)
        report.warn(
          `${branch ?? path}: its folder ${path} is not there. Moved? \`git worktree repair <new path>\`. Gone? \`git worktree prune\`, then gc again.`,
        );
    }
    vanished = findVanished(where);
  } catch (error) {
    report.fail(commonDir, `git cannot say which worktrees it has, so nothing of it is touched (${errorMessage(error)})`);
    return { ok: false, found: 0 };
  }
  let ok = true;
  for (const { id: worktree, record, keptUntil } of vanished) {
    const outside = [...record.left, ...Object.values(record.resources)].filter(
      ({ type, state }) => state !== 'destroyed' && resourceType(type).outside !== 'nothing',
    );
    const ports = Object.values(record.ports).filter((port) => record.claims.includes(`port-${port}`));
    const what = [...ports, ...outside.map(describe)].join(', ');
    if (options.dryRun) report.same(record.slug, `would give back ${what || 'its slot'}`);
    else {
      const keepsData = options.expired === true && keptUntil !== null && keptUntil > Date.now();
      const end = await destroyVanished(where, worktree, { report: quiet(report), keepsData });
      if (end === 'done') report.done(record.slug, `gave back ${what || 'its slot'}`);
      if (end === 'kept' && !keepsData) {
        report.text(`${record.slug}: kept, and tried again by the next \`git coppice gc\``);
        ok = false;
      }
    }
  }
  return { ok, found: vanished.length };
}

/** What is given back is said in one line a worktree; what is not, by itself. */
function quiet(report: Reporter): Reporter {
  return { ...report, done: () => {} };
}

async function offerMerged(report: Reporter): Promise<void> {
  const { repository } = await findPlace(process.cwd());
  const base = repository.main ?? repository.commonDir;
  const names = await mergedBranches(base);
  for (const { branch, path } of repository.linked) {
    if (branch !== null && names.has(branch)) report.text(`${branch} is merged: \`git coppice remove ${path}\``);
  }
}

async function forget(state: StateDir, folder: string, dryRun: boolean, report: Reporter): Promise<number> {
  const known = knownRepositories(state).find(({ id, commonDir }) => commonDir === folder || id === folder);
  if (!known) throw new Failure(`No repository at ${folder} is known. \`coppice gc --all\` lists those that are not there.`, 2);
  if (fs.existsSync(known.commonDir) && readRepositoryId(known.commonDir) === known.id)
    throw new Failure(`${known.commonDir} is there. \`coppice gc --forget\` is for repositories that are gone for good.`, 2);
  if (dryRun) report.same(known.commonDir, 'would be forgotten, and all that its worktrees hold given back');
  else {
    if (!(await forgetRepository({ state, commonDir: known.commonDir, repository: known.id }, quiet(report)))) return 1;
    report.done(known.commonDir, 'forgotten');
  }
  return 0;
}
