import path from 'node:path';
import { claimsOf } from './ledger/claims.ts';
import { statIfThere } from './ledger/document.ts';
import { openJournal, readJournal } from './ledger/journal.ts';
import type { WorktreeRecord } from './ledger/record.ts';
import { knownRepositories, readRepositoryId, recordedWorktrees, worktreeFolder } from './ledger/repositories.ts';
import type { StateDir } from './ledger/state-dir.ts';
import { Failure } from './outcome.ts';
import { own } from './own.ts';
import type { Reporter } from './report/reporter.ts';
import { shellQuote } from './report/shell-quote.ts';
import { forgetResources, isCalled } from './take-down.ts';
import { forgetRepository, releaseVanished } from './vanished.ts';

/**
 * Gives up what is out of reach for good: a repository that is gone, or one thing of a worktree, by what `gc` calls it.
 * @returns the exit code
 */
export async function forget(state: StateDir, folder: string, dryRun: boolean, report: Reporter): Promise<number> {
  const known = knownRepositories(state).find(
    ({ id, commonDir }) => [folder, path.join(folder, '.git')].includes(commonDir) || id === folder,
  );
  if (!known && (await forgetThing(state, folder, dryRun, report))) return 0;
  if (!known)
    throw new Failure(
      `Nothing here is called \`${folder}\`, and no repository is known there. \`npx coppice gc --all\` says what there is to forget.`,
      2,
    );
  if (statIfThere(known.commonDir) !== null && readRepositoryId(known.commonDir) === known.id)
    throw new Failure(`${known.commonDir} is there. \`coppice gc --forget\` is for repositories that are gone for good.`, 2);
  if (dryRun) report.same(known.commonDir, 'would be forgotten, and all that its worktrees hold given back');
  else {
    if (!(await forgetRepository({ state, commonDir: known.commonDir, repository: known.id }, { ...report, done: () => {} }))) return 1;
    report.done(known.commonDir, 'forgotten');
  }
  return 0;
}

/**
 * Gives up what a worktree, there or gone, has under a name, and cannot be reached any more. At two servers two worktrees may have
 * a database of one name: then the worktree's id says which, `NAME of ID`.
 * @returns whether anything is called so
 * @throws {Failure} when several worktrees have such a thing
 */
async function forgetThing(state: StateDir, words: string, dryRun: boolean, report: Reporter): Promise<boolean> {
  const found = knownRepositories(state).flatMap(({ id: repository, commonDir }) =>
    recordedWorktrees(state, repository).flatMap((id) => {
      const record = readJournal(worktreeFolder(state, repository, id));
      const name = words.endsWith(` of ${id}`) ? words.slice(0, -` of ${id}`.length) : words;
      return record !== null && holds(record, name) ? [{ where: { state, commonDir, repository }, record, name }] : [];
    }),
  );
  if (found.length > 1) {
    const which = found.map(({ record, name }) => `${record.path} (\`git coppice gc --forget ${shellQuote(`${name} of ${record.id}`)}\`)`);
    throw new Failure(`${found.length} worktrees have what is called \`${words}\`. Say which: ${which.join(', ')}.`, 2);
  }
  for (const { where, record, name } of found) {
    if (dryRun) report.same(name, `would be forgotten: it is of ${record.path}`);
    else await forgetIn(where, record.id, name, report);
  }
  return found.length > 0;
}

function holds({ left, resources }: WorktreeRecord, name: string): boolean {
  return [...left, ...Object.values(resources)].some((resource) => isCalled(resource, name));
}

async function forgetIn(where: { state: StateDir; commonDir: string; repository: string }, id: string, name: string, report: Reporter) {
  const { state, commonDir, repository } = where;
  const folder = worktreeFolder(state, repository, id);
  const attempt = own(folder, 'gc');
  if ('by' in attempt)
    throw new Failure(`Process ${attempt.by.pid} runs \`${attempt.by.verb}\` in the worktree of ${name}. Try again when that is over.`);
  const journal = openJournal(folder, id, repository);
  try {
    const claims = claimsOf(state, folder, id, { path: journal.record.path, repository });
    const { signal } = new AbortController();
    await forgetResources({ journal, worktreePath: null, folder, claims, report, signal }, name);
  } finally {
    journal.close();
    attempt.held.release();
  }
  // Of a worktree that is gone this may have been the last.
  if (statIfThere(commonDir) !== null && readRepositoryId(commonDir) === repository) releaseVanished(where);
}
