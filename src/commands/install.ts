import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { configsIn } from '../config/find.ts';
import { removeExcludes } from '../files/exclude.ts';
import { git } from '../git/git.ts';
import { addAlias, removeAlias } from '../git/install/alias.ts';
import { hooksFolder } from '../git/install/hooks-folder.ts';
import { husky } from '../git/install/husky.ts';
import { installLauncher, removeLauncher } from '../git/install/launcher.ts';
import type { HookManager, HookPlace } from '../git/install/manager.ts';
import { findPlace, type Place } from '../git/worktrees.ts';
import { readRepositoryId, recordedWorktrees } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { forgetRepository } from '../vanished.ts';

/** In order; the last handles everything. */
const MANAGERS: HookManager[] = [husky, hooksFolder];

/** `coppice install`: the hook, the launcher and the alias. Changes nothing when nothing changed, and nothing outside git. */
export async function install(options: { uninstall?: boolean; agents?: string | true }): Promise<number> {
  const report = await openReporter();
  let place: Place;
  try {
    place = await findPlace(process.cwd());
  } catch (error) {
    if (!(error instanceof Failure) || options.uninstall) throw error;
    report.text(`coppice: ${error.message} Nothing was installed.`);
    return 0;
  }
  const { repository, worktree } = place;
  if (worktree !== null) {
    report.text(
      `coppice: this is a linked worktree; it uses what is installed in ${repository.main ?? repository.commonDir}. Nothing was changed.`,
    );
    return 0;
  }
  if (options.agents !== undefined && options.uninstall) return undoAgents(place, named(options.agents), report);
  const hookPlace = await describeHooks(place);
  const manager = MANAGERS.find((candidate) => candidate.handles(hookPlace)) ?? hooksFolder;
  if (options.uninstall) return undo(place, hookPlace, manager, report);
  const code = await put(place, hookPlace, manager, report);
  if (options.agents === undefined || code !== 0) return code;
  const { addAgentFiles } = await import('../agents/install.ts');
  return (await addAgentFiles(cloneOf(place), named(options.agents), report)) ? 0 : 1;
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

async function describeHooks({ repository }: Place): Promise<HookPlace> {
  const { commonDir, bare, linked } = repository;
  const main = repository.main ?? commonDir;
  const [hooksPath, folder] = await Promise.all([
    git(main, ['config', '--type=path', '--get', 'core.hooksPath']),
    git(main, ['rev-parse', '--path-format=absolute', '--git-path', 'hooks']),
  ]);
  const shipped = fs.readFileSync(path.join(distribution(), 'post-checkout'), 'utf8');
  return {
    hooksPath: hooksPath.code === 0 ? hooksPath.stdout.replace(/\n$/, '') : null,
    hooksFolder: folder.stdout.replace(/\n$/, ''),
    main,
    commonDir,
    bare,
    linked: linked.map(({ path }) => path),
    shipped,
  };
}

async function put({ repository }: Place, hookPlace: HookPlace, manager: HookManager, report: Reporter): Promise<number> {
  const launcher = installLauncher(repository.commonDir, distribution(), process.execPath);
  const alias = await addAlias(repository.commonDir);
  const { wrote, commit } = manager.install(hookPlace);
  if (launcher === null && !alias && wrote.length === 0) return 0;
  for (const file of wrote) report.done('hook', file);
  if (launcher !== null) report.done('launcher', launcher);
  if (alias) report.done('alias', 'git coppice');
  const uncommitted = [];
  for (const file of commit) if ((await git(hookPlace.main, ['status', '--porcelain', '--', file])).stdout !== '') uncommitted.push(file);
  if (configsIn(hookPlace.main).length === 0)
    report.text('There is no worktree.config.yaml yet. The smallest has two lines: `resources:` and `  PORT: 3000`.');
  if (uncommitted.length > 0) report.text(`commit ${uncommitted.join(', ')}, so that every clone has it`);
  return 0;
}

async function undo({ repository }: Place, hookPlace: HookPlace, manager: HookManager, report: Reporter): Promise<number> {
  const { commonDir } = repository;
  const id = readRepositoryId(commonDir);
  const setUp = id === null ? [] : recordedWorktrees(openStateDir(), id);
  const undone = manager.uninstall(hookPlace);
  for (const file of undone) report.done('hook', `taken out of ${file}`);
  if (await removeAlias(commonDir)) report.done('alias', 'removed');
  if (removeLauncher(commonDir)) report.done('launcher', 'removed');
  const { removeAgentFiles } = await import('../agents/install.ts');
  const agents = repository.main === null ? [] : removeAgentFiles({ main: repository.main, commonDir }, null);
  for (const file of agents) report.done('agents', `taken out of ${file}`);
  if (setUp.length > 0) {
    report.warn(
      `${setUp.length} worktree${setUp.length > 1 ? 's are' : ' is'} still set up. Their ports and databases stay until \`npx coppice down\` in each, or \`npx coppice gc\` after they are removed.`,
    );
    return 0;
  }
  removeExcludes(commonDir);
  if (id !== null) await forgetRepository({ state: openStateDir(), commonDir, repository: id }, report);
  fs.rmSync(path.join(commonDir, 'coppice'), { recursive: true, force: true });
  if (undone.length + agents.length === 0) report.text('nothing was installed here');
  return 0;
}

/** The folder of the built package. */
function distribution(): string {
  return path.dirname(fileURLToPath(import.meta.url));
}
