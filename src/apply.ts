import fs from 'node:fs';
import path from 'node:path';
import { milliseconds } from './config/duration.ts';
import { excludePaths, type PathFacts, trackedPaths } from './files/exclude.ts';
import { removeLeftovers } from './files/inside.ts';
import { findShared } from './files/isolation.ts';
import { placeFile } from './files/place.ts';
import { readWorktreeId } from './git/identity.ts';
import { keep } from './git/kept.ts';
import { reserveBase, type WorktreeClaims } from './ledger/claims.ts';
import { readIfThere } from './ledger/document.ts';
import type { Journal } from './ledger/journal.ts';
import { isSameThing, type StepRecord } from './ledger/record.ts';
import { openStateDir } from './ledger/state-dir.ts';
import { Failure } from './outcome.ts';
import { type Plan, type PlannedFile, type PlannedResource, type PlannedStep, resourceType } from './plan.ts';
import type { Reporter } from './report/reporter.ts';
import type { CarryRule, ResolvedResource, ResourceEffects } from './resources/resource.ts';
import { giveBack } from './slot.ts';
import { type CommandFacts, commandEnvironment } from './steps/environment.ts';
import { runGraph, type Task } from './steps/graph.ts';
import { tail } from './steps/log-tail.ts';
import { runCommand } from './steps/run-command.ts';

/** What a plan is carried out in. */
export interface World {
  worktreePath: string;
  adminDir: string;
  mainPath: string | null;
  commonDir: string;
  journal: Journal;
  report: Reporter;
  signal: AbortSignal;
  facts: CommandFacts;
  /** Folder of the worktree's logs. */
  logs: string;
  /** What git knows of the paths of the plan's files. */
  paths: Promise<PathFacts>;
  /** Variables that the worktrees are meant to share. */
  shared: ReadonlySet<string>;
  claims: WorktreeClaims;
  /** The folder of the ledger that holds what this worktree's resources keep on this machine. */
  stateFolder: string;
  /** What is known of the resources by now. */
  resolved: Map<string, ResolvedResource>;
  /** The resources that this run has made and that steps fill. */
  fresh: Set<string>;
}

/** Which part of a plan to carry out. */
export interface ApplyOptions {
  /** `files`: all but steps, for a set-up that goes on in the background. `background`: only the background steps. */
  part: 'all' | 'files' | 'background';
  /** Only this step, whether or not it succeeded before. */
  step?: string;
  /** Run steps again that succeeded before. */
  force?: boolean;
}

/**
 * Carries out a plan: copied files, resources, rendered files, steps, each as soon as what it needs is done. Everything is
 * written to the journal before it takes effect.
 * @returns whether all of it succeeded
 */
export async function applyPlan(plan: Plan, world: World, options: ApplyOptions): Promise<boolean> {
  const { report } = world;
  const background = (step: PlannedStep) => step.spec.background === true;
  const steps = plan.steps.filter((step) =>
    options.step === undefined ? background(step) === (options.part === 'background') : step.name === options.step,
  );
  const started = plan.resources.filter(({ spec }) => resourceType(spec.type).start !== undefined);
  const tasks = [
    ...(options.part === 'background' ? [] : await preparations(plan, world)),
    ...(options.part === 'all' ? started.map((resource) => startTask(resource, plan, world)) : []),
    ...(options.part === 'files' ? [] : steps.map((step) => stepTask(step, plan, world, options, started))),
  ];
  const ends = await runGraph(tasks.map((task) => guarded(task, world)));
  report.close();
  for (const { name } of steps) {
    const end = ends.get(`step ${name}`);
    if (end === 'waiting') {
      // What it did stays done.
      if (world.journal.record.steps[name]?.state === 'ok') continue;
      recordStep(world, name, { state: 'waiting', key: '', ms: null, process: null });
      report.same(name, 'not run: something that it needs failed');
    }
  }
  return [...ends.values()].every((end) => end === 'done');
}

/** What a user knows these tasks as. */
const LABELS: Record<string, string> = { copied: 'files', rendered: 'files' };

/** An expected failure of a task is said and fails the task; anything else is a bug and is thrown. */
function guarded(task: Task, world: World): Task {
  const { report } = world;
  return {
    ...task,
    async run() {
      try {
        stillOurs(world);
        return await task.run();
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        report.fail(LABELS[task.id] ?? task.id.replace(/^(resource|start|step) /, ''), error.message);
        if (error.output !== '') report.text(error.output);
        return false;
      }
    },
  };
}

/** A worktree removed meanwhile may have another at its path already, in which nothing of this one's has a place. */
function stillOurs({ worktreePath, adminDir, journal }: World): void {
  const named = /^gitdir: ([^\n]+)/.exec(readIfThere(path.join(worktreePath, '.git')) ?? '')?.[1];
  const there = named !== undefined && path.resolve(worktreePath, named);
  if (!there || !fs.existsSync(there) || fs.realpathSync(there) !== adminDir || readWorktreeId(adminDir) !== journal.record.id) {
    throw new Failure('the worktree was removed or moved meanwhile');
  }
}

async function preparations(plan: Plan, world: World): Promise<Task[]> {
  const { worktreePath } = world;
  const outputs = [...plan.copied, ...plan.rendered].map((file) => file.path);
  const owned = [...world.resolved.values()].flatMap(({ made }) => made.path ?? []);
  removeLeftovers(worktreePath, [...outputs, ...owned]);
  const { isTracked, isTrackedFile, envFiles, ignored } = await world.paths;
  const ownedTracked = owned.length === 0 ? null : await trackedPaths(worktreePath, owned);
  const warnings: string[] = [];
  const place = async (files: PlannedFile[], carry: CarryRule[]) => {
    for (const file of files)
      warnings.push(...(await placeOne(file, plan, world, { isTracked: isTracked(file.path), isTrackedFile, carry })));
    return true;
  };
  return [
    { id: 'copied', needs: [], run: () => place(plan.copied, []) },
    ...plan.resources.map(
      (resource): Task => ({ id: `resource ${resource.name}`, needs: ['copied'], run: () => makeResource(resource, plan, world) }),
    ),
    {
      id: 'rendered',
      needs: ['copied', ...plan.resources.map(({ name }) => `resource ${name}`)],
      async run() {
        const { rendered, variables, carry, url } = plan.values(world.resolved);
        if (url !== world.journal.record.url) world.journal.append({ event: 'url', url });
        await place(rendered, carry);
        const files = [
          ...envFiles,
          ...rendered.filter(({ spec }) => spec.action !== 'template').map((file) => file.path),
          ...rootEnvFiles(worktreePath),
          ...plan.copied.map((file) => file.path).filter((name) => path.basename(name).startsWith('.env')),
        ];
        warnings.push(
          ...findShared({
            worktree: worktreePath,
            files,
            variables,
            carry,
            mainPath: world.mainPath,
            shared: world.shared,
          }),
        );
        const own = owned.filter((name) => !ownedTracked?.isTracked(name));
        const later = own.flatMap((name) => [`${name}-wal`, `${name}-shm`, `${name}-journal`]);
        const shown = await excludePaths(world.commonDir, worktreePath, [...outputs.filter((name) => !ignored.has(name)), ...own], later);
        for (const name of shown) warnings.push(`git shows ${name} as untracked: this branch's .gitignore says so`);
        world.journal.append({ event: 'warnings', warnings });
        for (const warning of warnings) world.report.warn(warning);
        return true;
      },
    },
  ];
}

async function placeOne(
  file: PlannedFile,
  plan: Plan,
  world: World,
  tracked: { isTracked: boolean; isTrackedFile(name: string): boolean; carry: CarryRule[] },
): Promise<string[]> {
  const { journal, report, worktreePath, mainPath, signal } = world;
  try {
    const placed = await placeFile({
      file,
      worktree: worktreePath,
      main: mainPath,
      carry: tracked.carry,
      mainEnv: plan.mainEnv,
      before: journal.record.files[file.path],
      tracked: tracked.isTracked,
      isTrackedFile: tracked.isTrackedFile,
      salt: journal.record.id,
      signal,
    });
    if (JSON.stringify(journal.record.files[file.path]) !== JSON.stringify(placed.record))
      journal.append({ event: 'file', path: file.path, file: placed.record });
    if (placed.record.state === 'written') report.done(file.path, placed.detail);
    else if (placed.record.state !== 'missing') report.same(file.path, placed.detail);
    return placed.warnings;
  } catch (error) {
    journal.append({
      event: 'file',
      path: file.path,
      file: { action: file.spec.action, state: 'failed', digests: journal.record.files[file.path]?.digests ?? {} },
    });
    throw error;
  }
}

async function makeResource({ name, spec, resolved, create }: PlannedResource, plan: Plan, world: World): Promise<boolean> {
  const { journal, report } = world;
  if (resolved instanceof Failure) throw resolved;
  const type = resourceType(spec.type);
  const effects = effectsOn(name, plan, world);
  const before = journal.record.resources[name];
  if (!create && (await type.intact(spec, resolved, effects))) {
    noteChanges(name, resolved, world);
    report.same(name, resolved.detail);
    return true;
  }
  const ours = before !== undefined && before.state !== 'destroyed' && isSameThing(before.made, resolved.made);
  if (!ours && type.present?.(resolved, effects)) {
    // It was there before us: used as it is, and never recorded as ours, so never destroyed.
    report.same(name, `${resolved.detail}, there already and left as it is`);
    return true;
  }
  journal.append({ event: 'resource', name, resource: { type: spec.type, state: 'creating', made: resolved.made } });
  if (spec.type !== 'port') journal.sync();
  const start = Date.now();
  const created = await type.create(spec, resolved, effects);
  const is = created.resolved ?? resolved;
  if (created.kept) keep(world.adminDir, name, created.kept);
  journal.append({ event: 'resource', name, resource: { type: spec.type, state: 'ready', made: { ...is.made, ...created.mark } } });
  world.resolved.set(name, is);
  if (type.filledBySteps) world.fresh.add(name);
  report.done(name, created.detail, spec.type === 'port' ? undefined : Date.now() - start);
  return true;
}

/** What is to run before the steps, and reads the env files as it starts. */
function startTask({ name, spec }: PlannedResource, plan: Plan, world: World): Task {
  return {
    id: `start ${name}`,
    needs: ['rendered'],
    async run() {
      const resolved = world.resolved.get(name);
      if (!resolved) throw new Error(`${name} is started before it is made`);
      const start = Date.now();
      const line = await resourceType(spec.type).start?.(spec, resolved, effectsOn(name, plan, world));
      if (line != null) world.report.done(name, line, Date.now() - start);
      return true;
    },
  };
}

/** The thing is the same, but the config says another way to find it, or what goes with it. */
function noteChanges(name: string, { made }: ResolvedResource, { journal }: World): void {
  const before = journal.record.resources[name];
  if (before && Object.entries(made).some(([key, value]) => before.made[key] !== value))
    journal.append({ event: 'resource', name, resource: { ...before, made: { ...before.made, ...made } } });
}

function effectsOn(name: string, plan: Plan, world: World): ResourceEffects {
  const { journal, report, signal, worktreePath, mainPath, claims, logs, stateFolder, facts } = world;
  return {
    worktreePath,
    mainPath: mainPath ?? worktreePath,
    worktreeId: journal.record.id,
    slot: facts.slot,
    signal,
    log: path.join(logs, `${name}.log`),
    stateFolder,
    environment: () => commandEnvironment(facts, plan.known(world.resolved).variables),
    variables: () => plan.known(world.resolved).variables,
    mainEnv: plan.mainEnv,
    intend(made) {
      const type = plan.resources.find((resource) => resource.name === name)?.spec.type ?? '';
      journal.append({ event: 'resource', name, resource: { type, state: 'creating', made }, instead: true });
      journal.sync();
    },
    claim(claim) {
      journal.append({ event: 'claim', names: [claim] });
      if (claims.take(claim)) return true;
      giveBack([claim], journal, claims);
      return false;
    },
    release: (claim) => giveBack([claim], journal, claims),
    keepForMain: (port) => reserveBase(openStateDir(), port, journal.record.repository),
    say: (text) => report.warn(text),
  };
}

function rootEnvFiles(worktree: string): string[] {
  return fs.readdirSync(worktree).filter((name) => name.startsWith('.env'));
}

const busy = new Set<string>();

function stepTask(step: PlannedStep, plan: Plan, world: World, options: ApplyOptions, started: PlannedResource[]): Task {
  const waits = started.filter(({ name }) => step.needs.includes('rendered') || step.needs.includes(`resource ${name}`));
  return {
    id: `step ${step.name}`,
    needs: [...step.needs, ...waits.map(({ name }) => `start ${name}`)],
    async run() {
      busy.add(step.name);
      world.report.busy([...busy]);
      try {
        return await runStep(step, plan, world, options.force === true || options.step === step.name);
      } finally {
        busy.delete(step.name);
        world.report.busy([...busy]);
      }
    },
  };
}

async function runStep({ name, spec, key, done, fills }: PlannedStep, plan: Plan, world: World, force: boolean): Promise<boolean> {
  const { report, signal, worktreePath, facts, logs } = world;
  if (done && !force && !fills.some((resource) => world.fresh.has(resource))) {
    report.same(name, `${spec.run}  (done before)`);
    return true;
  }
  const lacking = spec.when?.exists.find((needed) => !fs.existsSync(path.join(worktreePath, needed)));
  if (lacking !== undefined) {
    recordStep(world, name, { state: 'skipped', key, ms: null, process: null });
    report.same(name, `skipped: there is no ${lacking}`);
    return true;
  }
  const cwd = path.join(worktreePath, spec.cwd ?? '.');
  if (!fs.existsSync(cwd)) throw new Failure(`its folder ${spec.cwd} does not exist`);
  const log = path.join(logs, `${name}.log`);
  fs.rmSync(log, { force: true });
  const start = Date.now();
  for (let attempt = 0; ; attempt += 1) {
    recordStep(world, name, { state: 'running', key, ms: null, process: null });
    const env = commandEnvironment(facts, spec.variables ? plan.known(world.resolved).variables : {}, spec.env);
    const started = (mark: object | null) =>
      recordStep(world, name, { state: 'running', key, ms: null, process: mark && JSON.stringify(mark) });
    const result = await runCommand({ run: spec.run, cwd, env, timeoutMs: milliseconds(spec.timeout), log, signal, started });
    const ms = Date.now() - start;
    recordStep(world, name, { state: result.ok ? 'ok' : 'failed', key, ms, process: null });
    if (result.ok) {
      report.done(name, spec.run, ms);
      return true;
    }
    if (attempt < spec.retries && !signal.aborted) {
      report.warn(`${name}: ${result.why}, trying again (${attempt + 1} of ${spec.retries})`);
      continue;
    }
    report.fail(name, `${result.why}  (${spec.run})`);
    if (!signal.aborted) report.text(tail(log) || '    (it printed nothing)');
    return false;
  }
}

function recordStep({ journal }: World, name: string, step: StepRecord): void {
  journal.append({ event: 'step', name, step });
}
