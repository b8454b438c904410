import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { applyPlan } from './apply/apply.ts';
import type { World } from './apply/world.ts';
import { askAboutPaths, excludeTemporaries } from './files/exclude.ts';
import { fileTasks } from './files/sources.ts';
import { ensureWorktreeId } from './git/identity.ts';
import { keepVariables } from './git/kept.ts';
import type { Place, Worktree } from './git/worktrees.ts';
import { claimsOf } from './ledger/claims.ts';
import { makeFolder } from './ledger/document.ts';
import { type Journal, openJournal, readJournal } from './ledger/journal.ts';
import { adoptOwnership, type Ownership } from './ledger/owner.ts';
import type { WorktreeRecord } from './ledger/record.ts';
import { knowRepository, stateFolder, worktreeFolder } from './ledger/repositories.ts';
import { openStateDir, type StateDir } from './ledger/state-dir.ts';
import { errorCode, errorMessage, Failure } from './outcome.ts';
import { BACKGROUND, ownOrJoin } from './own.ts';
import { gather } from './plan/gather.ts';
import { type Plan, planSetUp, resolvedNow } from './plan/plan.ts';
import type { Reporter } from './report/reporter.ts';
import { type listeningPorts, takeSlot, takeSlug } from './slot.ts';
import { endLeftover } from './steps/process-group.ts';
import { duration } from './steps/run-command.ts';
import type { Closure } from './trust/closure.ts';
import { releaseVanished } from './vanished.ts';

export interface SetUpOptions {
  step?: string | undefined;
  force?: boolean | undefined;
  /** Return once files and ports are there, and go on detached. */
  background: boolean;
  signal: AbortSignal;
  report: Reporter;
  /** Asked for before anything else is done: the kernel takes its time. */
  listening: ReturnType<typeof listeningPorts>;
}

/** What a set-up came to. `joined`: another process was at it, and this is what it came to. */
export interface SetUpResult {
  state: 'ready' | 'failed' | 'background' | 'interrupted';
  joined: boolean;
  /** The steps that failed, by name. */
  failed: string[];
  url: string | null;
}

/** The worktree with its record in the ledger. */
export interface Registered {
  state: StateDir;
  repositoryId: string;
  worktreeId: string;
  folder: string;
}

/** A linked worktree, which has an admin directory. */
export type LinkedWorktree = Worktree & { adminDir: string };

/** Gives the worktree its id and its folder in the ledger. */
export function register(place: Place, adminDir: string): Registered {
  const state = openStateDir();
  const repositoryId = knowRepository(state, place.repository.commonDir);
  const worktreeId = ensureWorktreeId(adminDir);
  const folder = worktreeFolder(state, repositoryId, worktreeId);
  makeFolder(folder);
  return { state, repositoryId, worktreeId, folder };
}

/** Sets a worktree up: the same result however often; joins and waits when a set-up is running. */
export async function setUp(closure: Closure, place: Place, worktree: LinkedWorktree, options: SetUpOptions): Promise<SetUpResult> {
  try {
    const registered = register(place, worktree.adminDir);
    const owned = await ownOrJoin(registered.folder, options);
    if ('joined' in owned) {
      const record = readJournal(registered.folder);
      return { state: owned.joined, joined: true, failed: failedSteps(record), url: record?.url ?? null };
    }
    return await carryOut({ ...registered, closure, place, worktree, options }, owned.held, 'all');
  } catch (error) {
    // Somebody may remove or move it at any moment.
    if (errorCode(error) !== 'ENOENT' || (fs.existsSync(worktree.adminDir) && fs.existsSync(worktree.path))) throw error;
    throw new Failure('The worktree was removed or moved meanwhile.');
  }
}

/** What a detached process does: goes on with the right that its parent handed over. */
export async function goOn(
  closure: Closure,
  place: Place,
  worktree: LinkedWorktree,
  part: 'all' | 'background',
  nonce: string,
  options: SetUpOptions,
): Promise<SetUpResult> {
  const registered = register(place, worktree.adminDir);
  let ownership = adoptOwnership(registered.folder, nonce);
  // The parent writes the hand-over right after it has started this process.
  for (let tries = 0; ownership === null && tries < 200; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    ownership = adoptOwnership(registered.folder, nonce);
  }
  if (!ownership) throw new Failure('The set-up was not handed over to this process.');
  return carryOut({ ...registered, closure, place, worktree, options }, ownership, part);
}

/** A set-up by the process that owns the worktree's record. */
interface Session extends Registered {
  closure: Closure;
  place: Place;
  worktree: LinkedWorktree;
  journal: Journal;
  options: SetUpOptions;
  start: number;
}

async function carryOut(
  session: Omit<Session, 'journal' | 'start'>,
  ownership: Ownership,
  part: 'all' | 'background',
): Promise<SetUpResult> {
  const { folder, worktreeId, repositoryId, worktree } = session;
  const journal = openJournal(folder, worktreeId, repositoryId);
  const start = Date.now();
  let handedOver = false;
  try {
    const end = await (part === 'all' ? wholeSetUp : backgroundSteps)({ ...session, journal, start });
    if (end.goOn !== null) {
      journal.sync();
      detach(worktree.path, end.goOn, ownership);
      handedOver = true;
    }
    return { state: end.state, joined: false, failed: end.failed, url: journal.record.url };
  } catch (error) {
    if (error instanceof Failure && part === 'all') recordEnd(journal, 'failed', start);
    throw error;
  } finally {
    journal.close();
    if (!handedOver) releaseOrWarn(ownership, session.options.report);
  }
}

/** A record that cannot be given back, on a full disk, is free when this process has ended. */
function releaseOrWarn(ownership: Ownership, report: Reporter): void {
  try {
    ownership.release();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    report.warn(`the state folder cannot be written: ${errorMessage(error)}`);
  }
}

/** What a session came to, and what a detached process is to go on with. */
interface SessionEnd {
  state: SetUpResult['state'];
  goOn: 'all' | 'background' | null;
  failed: string[];
}

async function wholeSetUp(session: Session): Promise<SessionEnd> {
  const { journal, options, state, repositoryId, place, worktree, start } = session;
  const { report, signal } = options;
  releaseVanished({ state, commonDir: place.repository.commonDir, repository: repositoryId });
  for (const { process } of Object.values(journal.record.steps)) if (process !== null) await endLeftover(process);
  excludeTemporaries(place.repository.commonDir);
  const { plan, world } = await prepare(session, 'all');
  const { project, keepMs, teardown } = plan;
  const { url } = plan.known(world.resolved);
  journal.append({ event: 'plan', project, url, keepMs, teardown, steps: plan.steps.map(({ name }) => name) });
  const keepForTeardown = () => {
    if (teardown.length > 0) keepVariables(worktree.adminDir, plan.known(world.resolved).variables);
  };
  keepForTeardown();
  report.expect(namesOf(plan));
  report.title(`coppice  ${worktree.branch ?? plan.slug}  slot ${plan.slot.slot}`);
  const { step, force = false } = options;
  const ok = await applyPlan(plan, world, { part: options.background ? 'files' : 'all', force, ...(step === undefined ? {} : { step }) });
  keepForTeardown();
  if (ok && options.background && !signal.aborted) {
    const there = journal.record.url === null ? 'files are there' : `files and ports are there  ${journal.record.url}`;
    report.text(`${there}; the rest goes on in the background: \`${upFromAnywhere(worktree)}\` waits for it`);
    return { state: 'background', goOn: 'all', failed: [] };
  }
  const missing = plan.steps.filter(
    ({ name, spec }) => !spec.background && !['ok', 'skipped'].includes(journal.record.steps[name]?.state ?? ''),
  );
  const end = ok && missing.length === 0 ? 'ready' : 'failed';
  recordEnd(journal, end, start);
  if (ok && missing.length > 0) {
    report.text(`done; not run yet: ${missing.map(({ name }) => name).join(', ')}. \`git coppice up\` runs them.`);
    return { state: 'ready', goOn: null, failed: [] };
  }
  if (ok) report.text(`ready in ${duration(Date.now() - start)}${journal.record.url === null ? '' : `  ${journal.record.url}`}`);
  const left = plan.steps.some(({ spec, done }) => spec.background && (!done || force));
  // A step that failed in the background at another time is not why this failed.
  const failed = missing.flatMap(({ name }) => (journal.record.steps[name]?.state === 'failed' ? [name] : []));
  return {
    state: signal.aborted ? 'interrupted' : end,
    goOn: ok && left && step === undefined && !signal.aborted ? 'background' : null,
    failed,
  };
}

/** The command that goes on with a worktree's set-up, from elsewhere too where its branch names it. */
export function upFromAnywhere({ branch }: Pick<Worktree, 'branch'>): string {
  return branch === null ? 'git coppice up' : `git coppice up ${branch}`;
}

/** What a plan's lines begin with. */
export function namesOf({ resources, copied, rendered, steps }: Plan): string[] {
  return [...[...resources, ...steps].map(({ name }) => name), ...[...copied, ...rendered].map((file) => file.path)];
}

async function backgroundSteps(session: Session): Promise<SessionEnd> {
  const { plan, world } = await prepare(session, 'background');
  await applyPlan(plan, world, { part: 'background', force: true });
  return { state: 'ready', goOn: null, failed: [] };
}

/** Gives the worktree its name and slot, reads everything, and plans. */
async function prepare(
  { closure, place, worktree, state, repositoryId, worktreeId, folder, journal, options, start }: Session,
  part: 'all' | 'background',
): Promise<{ plan: Plan; world: World }> {
  const { commonDir, main } = place.repository;
  const { branch, path: root } = worktree;
  const { config } = closure;
  const files = await fileTasks(closure, place.repository);
  const paths = askAboutPaths(root, files, folder);
  paths.catch(() => {}); // a failure before it is asked for is that failure, not this one
  const claims = claimsOf(state, folder, worktreeId, { path: root, repository: repositoryId });
  const slug = takeSlug(repositoryId, branch, root, journal, claims);
  if (part === 'all') journal.append({ event: 'begin', at: new Date(start).toISOString(), path: root, branch, slug });
  const slot = await takeSlot(
    { state, commonDir, repository: repositoryId, branch, config, listening: options.listening },
    journal,
    claims,
  );
  const plan = planSetUp(await gather(closure, place, root, files, { slug, slot, branch }, journal.record, worktree.adminDir));
  const facts = factsOf(plan, place, worktree);
  const logs = logsFolder(commonDir, worktreeId);
  return {
    plan,
    world: {
      worktreePath: root,
      adminDir: worktree.adminDir,
      mainPath: main,
      commonDir,
      journal,
      report: options.report,
      signal: options.signal,
      facts,
      logs,
      approved: closure,
      paths,
      shared: new Set(config.shared),
      claims,
      stateFolder: stateFolder(folder),
      resolved: resolvedNow(plan),
      fresh: new Set(),
    },
  };
}

function failedSteps(record: WorktreeRecord | null): string[] {
  return Object.entries(record?.steps ?? {}).flatMap(([name, { state }]) => (state === 'failed' ? [name] : []));
}

function recordEnd(journal: Journal, state: 'ready' | 'failed', start: number): void {
  journal.append({ event: 'end', at: new Date().toISOString(), state, ms: Date.now() - start });
  journal.sync();
}

/** What commands are told of the worktree. */
export function factsOf(plan: Pick<Plan, 'project' | 'slug' | 'slot'>, place: Place, worktree: Pick<Worktree, 'branch' | 'path'>) {
  return {
    project: plan.project,
    slug: plan.slug,
    slot: plan.slot.slot,
    branch: worktree.branch,
    path: worktree.path,
    main: place.repository.main,
  };
}

/** The folder of a worktree's logs. */
export function logsFolder(commonDir: string, worktreeId: string): string {
  return path.join(commonDir, 'coppice', 'logs', worktreeId);
}

/** Starts a process that outlives this one and its terminal, holds none of its streams, and gets the right to go on. */
function detach(worktree: string, part: 'all' | 'background', ownership: Ownership): void {
  const script = process.argv[1];
  if (script === undefined) throw new Error('this process has no script');
  const child = spawn(process.execPath, [script, 'go-on', part, ownership.nonce], { cwd: worktree, detached: true, stdio: 'ignore' });
  if (child.pid === undefined) throw new Failure('The background process could not be started.');
  ownership.handOver(child.pid, part === 'background' ? BACKGROUND : 'up');
  child.unref();
}
