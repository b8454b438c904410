import fs from 'node:fs';
import { learnEnvFiles } from '../files/env-file.ts';
import { forget } from '../forget.ts';
import { mergedBranches } from '../git/merged.ts';
import { findPlace, openRepository } from '../git/worktrees.ts';
import { currentOwner } from '../ledger/owner.ts';
import { type KnownRepository, knownRepositories, readRepositoryId, worktreeFolder } from '../ledger/repositories.ts';
import { openStateDir, type StateDir } from '../ledger/state-dir.ts';
import { errorCode, errorMessage, explain } from '../outcome.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { shellQuote } from '../report/shell-quote.ts';
import { resourceType } from '../resources/table.ts';
import { describe } from '../take-down.ts';
import { removeTorn } from '../torn.ts';
import { destroyVanished, findVanished, type Vanished } from '../vanished.ts';

export interface GcOptions {
  dryRun?: boolean;
  all?: boolean;
  merged?: boolean;
  expired?: boolean;
  forget?: string;
}

/**
 * How often `gc` tries what another process is at, which may leave something: for five seconds. A run in the background takes less;
 * a set-up that has not heard yet that its worktree is gone, or who is stopped, is not waited for.
 */
const TRIES = 100;
type Where = Parameters<typeof destroyVanished>[0];

/** `coppice gc`: now, what belongs to worktrees that are gone. Any doubt destroys nothing. */
export async function gc(options: GcOptions): Promise<number> {
  const report = await openReporter();
  const state = openStateDir();
  if (options.forget !== undefined) return forget(state, options.forget, options.dryRun === true, report);
  const repositories = options.all ? knownRepositories(state) : await thisRepository();
  let ok = true;
  let found = 0;
  for (const repository of repositories) {
    if (options.all) report.title(repository.commonDir);
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
        `${commonDir} is not there: its worktrees may be on a disk that is not mounted, so nothing of it is touched. If it is gone for good: \`npx coppice gc --forget ${commonDir}\``,
      );
      return { ok: true, found: 1 };
    }
    if (readRepositoryId(commonDir) !== id) {
      report.warn(
        `another repository is at ${commonDir} now, so nothing of the one that was there is touched. If that is gone for good: \`npx coppice gc --forget ${commonDir}\``,
      );
      return { ok: true, found: 1 };
    }
    const { linked, main } = await openRepository(commonDir);
    if (main !== null) learnEnvFiles(main);
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
  for (const one of vanished) ok = (options.dryRun ? say(one, report) : await giveBack(where, one, options, report)) && ok;
  if (!options.dryRun) ok = cleared(where, report) && ok;
  return { ok, found: vanished.length };
}

/** What a worktree that is gone still holds, in words. */
function holdings({ record }: Vanished): { outside: string[]; all: string } {
  const outside = [...record.left, ...Object.values(record.resources)]
    .filter(({ type, state }) => state !== 'destroyed' && resourceType(type).outside !== 'nothing')
    .map(describe);
  const ports = Object.values(record.ports).filter((port) => record.claims.includes(`port-${port}`));
  return { outside, all: [...ports, ...outside].join(', ') || 'its slot' };
}

function say(vanished: Vanished, report: Reporter): true {
  report.text(`${vanished.record.slug}: would give back ${holdings(vanished).all}`);
  return true;
}

/** @returns false when something that should go is still there */
async function giveBack(where: Where, vanished: Vanished, options: GcOptions, report: Reporter): Promise<boolean> {
  const { id, record, keptUntil } = vanished;
  const keepsData = options.expired === true && keptUntil !== null && keptUntil > Date.now();
  const { all, outside } = holdings(vanished);
  const destroy = () => destroyVanished(where, id, { report: quiet(report), keepsData });
  let end: 'done' | 'kept' | 'busy';
  try {
    end = await destroy();
    for (let tries = 1; end === 'busy' && !options.expired; tries += 1) {
      // The other has given it back, or git has it again after all.
      if (!findVanished(where).some((one) => one.id === id)) return true;
      if (tries === TRIES) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
      end = await destroy();
    }
  } catch (error) {
    // Whatever it is, the other worktrees are given back all the same.
    report.fail(record.slug, explain(error));
    end = 'kept';
  }
  if (end === 'done') report.text(`✓ ${record.slug}: gave back ${all}`);
  if (end === 'busy' && !options.expired) {
    const by = currentOwner(worktreeFolder(where.state, where.repository, id));
    const whom = by === null ? 'another process' : `the \`${by.verb}\` that process ${by.pid} runs`;
    report.text(`${record.slug}: left to ${whom}; \`git coppice gc\` when that has ended`);
    return false;
  }
  if (end !== 'kept' || keepsData) return true;
  report.text(`${record.slug}: kept, and tried again by the next \`git coppice gc\``);
  for (const what of outside) report.text(`    if it is gone for good: git coppice gc --forget ${shellQuote(what)}`);
  return false;
}

/** @returns false when what is torn could not be removed, which was said */
function cleared(where: Where, report: Reporter): boolean {
  try {
    removeTorn(where);
    return true;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    report.fail(where.commonDir, explain(error));
    return false;
  }
}

/** What is given back is said in one line a worktree; what is not, by itself. */
function quiet(report: Reporter): Reporter {
  return { ...report, done: () => {} };
}

async function offerMerged(report: Reporter): Promise<void> {
  const { repository } = await findPlace(process.cwd());
  const names = await mergedBranches(repository);
  for (const { branch, path } of repository.linked) {
    if (branch !== null && names.has(branch)) report.text(`${branch} is merged: \`git coppice remove ${path}\``);
  }
}
