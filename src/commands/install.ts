import fs from 'node:fs';
import path from 'node:path';
import { configsIn } from '../config/find.ts';
import { removeExcludes } from '../files/exclude.ts';
import { git } from '../git/git.ts';
import { forgetWorktreeIds } from '../git/identity.ts';
import { addAlias, removeAlias } from '../git/install/alias.ts';
import { addConfigHook, removeConfigHook } from '../git/install/config-hook.ts';
import { installLauncher, isInstalled, removeLauncher } from '../git/install/launcher.ts';
import type { HookPlace } from '../git/install/manager.ts';
import { describeHooks, distribution, MANAGERS, managerOf } from '../git/install/managers.ts';
import { findPlace, type Place } from '../git/worktrees.ts';
import { readJournal } from '../ledger/journal.ts';
import { readRepositoryId, recordedWorktrees, worktreeFolder } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { type Closure, readClosure } from '../trust/closure.ts';
import { approvalsOf, approve } from '../trust/judge.ts';
import { readSettings, type Settings } from '../trust/settings.ts';
import { forgetRepository, held } from '../vanished.ts';
import { giveHooksToTrusted } from './hooks.ts';

/** `coppice install`: the hook, the launcher and the alias. Changes nothing when nothing changed, and nothing outside git. */
export async function install(options: { uninstall?: boolean; agents?: string | true }, cwd = process.cwd()): Promise<number> {
  const report = await openReporter();
  let place: Place;
  try {
    place = await findPlace(cwd);
  } catch (error) {
    if (!(error instanceof Failure) || options.uninstall) throw error;
    report.text(`coppice: ${error.message} Nothing was installed.`);
    return 0;
  }
  const { repository, worktree } = place;
  if (worktree !== null) {
    const elsewhere = repository.main ?? repository.commonDir;
    report.text(
      isInstalled(repository.commonDir)
        ? `coppice: this is a linked worktree; it uses what is installed in ${elsewhere}. Nothing was changed.`
        : `coppice: this is a linked worktree, and nothing is installed in ${elsewhere} yet: run \`npm install\` or \`npx coppice install\` there. Nothing was changed.`,
    );
    return 0;
  }
  if (options.agents !== undefined && options.uninstall) return undoAgents(place, named(options.agents), report);
  const hookPlace = await describeHooks(place);
  if (options.uninstall) return undo(place, hookPlace, report);
  const code = await put(place, hookPlace, report);
  const settings = await readSettings(place);
  await approveFirst(place, settings, report);
  await giveHooksToTrusted(place, settings);
  if (options.agents === undefined || code !== 0) return code;
  const { addAgentFiles } = await import('../agents/install.ts');
  return (await addAgentFiles(cloneOf(place), named(options.agents), report)) ? 0 : 1;
}

/**
 * The first time on this machine: what is checked out is approved, because the person has just run code of it. Later it takes
 * `git coppice trust`.
 */
async function approveFirst(place: Place, settings: Settings, report: Reporter): Promise<void> {
  const { commonDir, main } = place.repository;
  if (approvalsOf(commonDir)?.first()) return;
  const closure = await (main === null ? ofHead(commonDir) : readClosure(main, main).catch(onlyBugs));
  approve(closure, place, settings, 'install');
  if (closure !== null) report.done('approved', `what is checked out here now: ${closure.digest}`);
}

/** A bare repository before its first worktree. */
async function ofHead(commonDir: string): Promise<Closure | null> {
  const { closureOfCommit } = await import('../trust/commit.ts');
  const head = await git(commonDir, ['rev-parse', '--quiet', '--verify', 'HEAD^{commit}']);
  return head.code === 0 ? closureOfCommit(commonDir, head.stdout.trim()) : null;
}

/** A config that is wrong now is approved when it is right. */
function onlyBugs(error: unknown): null {
  if (error instanceof Failure) return null;
  throw error;
}

/** Of `--agents` the programs that are named; null when none is. */
function named(agents: string | true): string[] | null {
  return agents === true ? null : agents.split(',').map((name) => name.trim());
}

/** The files of other programs are in the main worktree. */
function cloneOf({ repository }: Place): { main: string; commonDir: string } {
  const { main, commonDir } = repository;
  if (main === null) throw new Failure('There is no main worktree here to write the files of other programs into.', 2);
  return { main, commonDir };
}

async function undoAgents(place: Place, names: string[] | null, report: Reporter): Promise<number> {
  const { removeAgentFiles } = await import('../agents/install.ts');
  const undone = removeAgentFiles(cloneOf(place), names);
  for (const file of undone) report.done('agents', `taken out of ${file}`);
  if (undone.length === 0) report.text('nothing of ours is in the files of other programs');
  return 0;
}

async function put({ repository }: Place, hookPlace: HookPlace, report: Reporter): Promise<number> {
  const { commonDir } = repository;
  const launcher = installLauncher(commonDir, distribution(), process.execPath);
  const alias = await addAlias(commonDir);
  const manager = managerOf(hookPlace);
  const { wrote, commit, todo } = manager.install(hookPlace);
  const configHook = await addConfigHook(commonDir);
  for (const text of todo) report.warn(text);
  if (launcher === null && !alias && !configHook && wrote.length === 0) return 0;
  for (const file of wrote) report.done('hook', file);
  if (launcher !== null) report.done('launcher', launcher);
  if (configHook) report.done('git config', 'hook.coppice, which git 2.54 and later run');
  if (alias) report.done('alias', 'git coppice');
  if (configsIn(hookPlace.main).length === 0)
    report.text('There is no worktree.config.yaml yet. The smallest has two lines: `resources:` and `  PORT: 3000`.');
  const uncommitted = await notCommitted(hookPlace.main, commit);
  if (uncommitted.length > 0) report.text(`commit ${uncommitted.join(', ')}, so that every clone has it`);
  return 0;
}

async function notCommitted(main: string, files: string[]): Promise<string[]> {
  const stdout = await Promise.all(files.map(async (file) => (await git(main, ['status', '--porcelain', '--', file])).stdout));
  return files.filter((_, index) => stdout[index] !== '');
}

/** Whether a worktree has nothing any more but its place: `down` in it was the last. Of a record that cannot be read nobody knows. */
function isDown(repository: string, worktree: string): boolean {
  try {
    const record = readJournal(worktreeFolder(openStateDir(), repository, worktree));
    return record?.state === 'down' && held(record).length === 0;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return false;
  }
}

async function undo({ repository }: Place, hookPlace: HookPlace, report: Reporter): Promise<number> {
  const { commonDir } = repository;
  const id = readRepositoryId(commonDir);
  const setUp = id === null ? [] : recordedWorktrees(openStateDir(), id).filter((worktree) => !isDown(id, worktree));
  // Loaded before the runner, which this may be, is gone.
  const { removeAgentFiles } = await import('../agents/install.ts');
  const undone = MANAGERS.flatMap((manager) => manager.uninstall(hookPlace));
  for (const file of undone) report.done('hook', `taken out of ${file}`);
  if (await removeConfigHook(commonDir)) report.done('git config', 'hook.coppice removed');
  if (await removeAlias(commonDir)) report.done('alias', 'removed');
  if (removeLauncher(commonDir)) report.done('launcher', 'removed');
  const agents = repository.main === null ? [] : removeAgentFiles({ main: repository.main, commonDir }, null);
  for (const file of agents) report.done('agents', `taken out of ${file}`);
  const forgotten =
    setUp.length === 0 &&
    (id === null ||
      // Looked at again: a set-up may have begun since.
      (await forgetRepository({ state: openStateDir(), commonDir, repository: id }, report, (_, worktree) => !isDown(id, worktree))));
  if (!forgotten) {
    const several = setUp.length > 1;
    report.warn(
      `${Math.max(setUp.length, 1)} worktree${several ? 's are' : ' is'} still set up. ${several ? 'Their' : 'Its'} ports and databases stay until \`npx coppice down\` in each, or \`npx coppice gc\` after they are removed; then \`npx coppice install --uninstall\` takes out the rest.`,
    );
    return 0;
  }
  if (forgetWorktreeIds(commonDir))
    report.text('our lines in .git/info/exclude stay: they keep what the worktrees were given out of `git status`');
  else removeExcludes(commonDir);
  fs.rmSync(path.join(commonDir, 'coppice'), { recursive: true, force: true });
  if (undone.length + agents.length === 0) report.text('nothing was installed here');
  return 0;
}
