import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { applyPlan, type World } from './apply.ts';
import { loadConfig } from './config/load.ts';
import { formatProblem } from './config/problems.ts';
import type { Config } from './config/schema.ts';
import { gather } from './gather.ts';
import { ensureWorktreeId } from './git/identity.ts';
import type { Place, Worktree } from './git/worktrees.ts';
import { claimsOf } from './ledger/claims.ts';
import { openJournal, readJournal } from './ledger/journal.ts';
import { adoptOwnership, type Ownership, tryOwn } from './ledger/owner.ts';
import { knowRepository, worktreeFolder } from './ledger/repositories.ts';
import { openStateDir, type StateDir } from './ledger/state-dir.ts';
import { Failure } from './outcome.ts';
import { type Plan, planSetUp } from './plan.ts';
import type { Reporter } from './report/reporter.ts';
import { takeSlot, takeSlug } from './slot.ts';
import { endLeftover } from './steps/process-group.ts';
import { duration } from './steps/run-command.ts';
import { releaseVanished } from './vanished.ts';

export interface SetUpOptions {
  step?: string | undefined;
  force?: boolean | undefined;
  /** Return once files and ports are there, and go on detached. */
  background: boolean;
  signal: AbortSignal;
  report: Reporter;
}

/** What a set-up came to. `joined`: another process was at it, and this is what it came to. */
export type SetUpResult = { state: 'ready' | 'failed' | 'background' | 'interrupted'; joined: boolean };

/** What the owner of a record is at when only background steps are left. */
const BACKGROUND = 'background steps';

/** The worktree with its record in the ledger. */
export interface Registered {
  state: StateDir;
  repositoryId: string;
  worktreeId: string;
  folder: string;
}

/** Gives the worktree its id and its folder in the ledger. */
export function register(place: Place, adminDir: string): Registered {
  const state = openStateDir();
  const repositoryId = knowRepository(state, place.repository.commonDir);
  const worktreeId = ensureWorktreeId(adminDir);
  const folder = worktreeFolder(state, repositoryId, worktreeId);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  return { state, repositoryId, worktreeId, folder };
}

/** The config of a worktree. @throws {Failure} with every problem of it, exit code 2; null when the branch has none */
export async function requireConfig(root: string, main: string | null): Promise<Config | null> {
  const loaded = await loadConfig(root, main);
  if (loaded.state === 'absent') return null;
  if (loaded.state === 'ok') return loaded.config;
  throw new Failure(loaded.problems.map(formatProblem).join('\n\n'), 2);
}

/** Sets a worktree up: the same result however often; joins and waits when a set-up is running. */
export async function setUp(
  config: Config,
  place: Place,
  worktree: Worktree & { adminDir: string },
  options: SetUpOptions,
): Promise<SetUpResult> {
  const registered = register(place, worktree.adminDir);
  const owned = await ownOrJoin(registered, 'up', options);
  if ('joined' in owned) return { state: owned.joined, joined: true };
  return carryOut(config, place, worktree, registered, owned.held, options, 'all');
}

/** What a detached process does: goes on with the right that its parent handed over. */
export async function goOn(
  config: Config,
  place: Place,
  worktree: Worktree & { adminDir: string },
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
  return carryOut(config, place, worktree, registered, ownership, options, part);
}

async function ownOrJoin(
  { folder }: Registered,
  verb: string,
  { signal, report }: SetUpOptions,
): Promise<{ held: Ownership } | { joined: 'ready' | 'failed' | 'interrupted' }> {
  let waitedFor: string | null = null;
  for (;;) {
    const attempt = tryOwn(folder, verb);
    if ('held' in attempt) {
      const record = waitedFor === 'up' ? readJournal(folder) : null;
      if (record === null || record.state === 'running' || record.state === 'down') return attempt;
      attempt.held.release();
      return { joined: record.state };
    }
    const { by } = attempt;
    if (by.verb === BACKGROUND && readJournal(folder)?.state === 'ready') return { joined: 'ready' };
    if (waitedFor === null) report.text(`waiting for the \`${by.verb}\` that process ${by.pid} runs in this worktree`);
    waitedFor = by.verb;
    if (await waitOrAbort(50, signal)) return { joined: 'interrupted' };
  }
}

function waitOrAbort(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const abort = () => {
      clearTimeout(timer);
      resolve(true);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve(false);
    }, ms);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

async function carryOut(
  config: Config,
  place: Place,
  worktree: Worktree & { adminDir: string },
  registered: Registered,
  ownership: Ownership,
  options: SetUpOptions,
  part: 'all' | 'background',
): Promise<SetUpResult> {
  const { report, signal } = options;
  const { state, repositoryId, worktreeId, folder } = registered;
  const start = Date.now();
  const journal = openJournal(folder, worktreeId, repositoryId);
  let handedOver = false;
  const handOver = (what: 'all' | 'background') => {
    journal.sync();
    detach(worktree.path, what, ownership);
    handedOver = true;
  };
  try {
    const claims = claimsOf(state, folder, worktreeId, { path: worktree.path, repository: repositoryId });
    const { commonDir } = place.repository;
    if (part === 'all') releaseVanished({ state, commonDir, repository: repositoryId });
    for (const { process } of Object.values(journal.record.steps)) if (process !== null) await endLeftover(process);
    const slug = takeSlug(repositoryId, worktree.branch, worktree.path, journal, claims);
    if (part === 'all')
      journal.append({ event: 'begin', at: new Date().toISOString(), path: worktree.path, branch: worktree.branch, slug });
    const slot = await takeSlot(
      { state, commonDir, repository: repositoryId, worktree: worktreeId, branch: worktree.branch, config },
      journal,
      claims,
    );
    const plan = planSetUp(await gather(config, place, worktree.path, { slug, slot, branch: worktree.branch }, journal.record));
    if (part === 'all') {
      journal.append({
        event: 'plan',
        project: plan.project,
        url: plan.url,
        keepMs: plan.keepMs,
        teardown: plan.teardown,
        steps: plan.steps.map(({ name }) => name),
      });
      report.title(`coppice  ${worktree.branch ?? slug}  slot ${slot.slot}`);
    }
    const world: World = {
      worktreePath: worktree.path,
      mainPath: place.repository.main,
      commonDir,
      journal,
      report,
      signal,
      facts: factsOf(plan, place, worktree),
      logs: logsFolder(commonDir, worktreeId),
      shared: new Set(config.shared),
    };
    const hasBackgroundSteps = plan.steps.some((step) => step.spec.background && !step.done);
    if (part === 'background') {
      await applyPlan(plan, world, { part: 'background' });
      return { state: 'ready', joined: false };
    }
    const ok = await applyPlan(plan, world, {
      part: options.background ? 'files' : 'all',
      ...(options.step === undefined ? {} : { step: options.step }),
      force: options.force ?? false,
    });
    if (ok && options.background && !signal.aborted) {
      handOver('all');
      report.text(
        `${plan.url === null ? 'files are there' : `files and ports are there  ${plan.url}`}; the rest goes on in the background: \`git coppice up\` waits for it`,
      );
      return { state: 'background', joined: false };
    }
    const end = ok ? 'ready' : 'failed';
    journal.append({ event: 'end', at: new Date().toISOString(), state: end, ms: Date.now() - start });
    journal.sync();
    if (ok) report.text(`ready in ${duration(Date.now() - start)}${plan.url === null ? '' : `  ${plan.url}`}`);
    if (ok && hasBackgroundSteps && options.step === undefined) handOver('background');
    return { state: signal.aborted ? 'interrupted' : end, joined: false };
  } catch (error) {
    if (error instanceof Failure && part === 'all')
      journal.append({ event: 'end', at: new Date().toISOString(), state: 'failed', ms: Date.now() - start });
    throw error;
  } finally {
    journal.close();
    if (!handedOver) ownership.release();
  }
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
