import fs from 'node:fs';
import path from 'node:path';
import type { ResourceSpec } from '../config/schema.ts';
import { keep } from '../git/kept.ts';
import { reserveBase } from '../ledger/claims.ts';
import { makeFolder } from '../ledger/document.ts';
import { isSameThing } from '../ledger/record.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import type { Plan, PlannedResource } from '../plan/plan.ts';
import type { Created, ResolvedResource, ResourceEffects } from '../resources/resource.ts';
import { resourceType } from '../resources/table.ts';
import { giveBack } from '../slot.ts';
import { commandEnvironment } from '../steps/environment.ts';
import type { Task } from '../steps/graph.ts';
import { filesOfResource } from '../trust/closure.ts';
import { worktreeTree } from '../trust/tree.ts';
import { recordStep } from './steps.ts';
import type { World } from './world.ts';

export function resourceTask(resource: PlannedResource, plan: Plan, world: World): Task {
  return { id: `resource ${resource.name}`, needs: ['copied'], run: () => makeResource(resource, plan, world) };
}

async function makeResource({ name, spec, resolved, create }: PlannedResource, plan: Plan, world: World): Promise<boolean> {
  const { journal, report } = world;
  if (resolved instanceof Failure) throw resolved;
  const type = resourceType(spec.type);
  const effects = effectsOn(name, plan, world);
  const before = journal.record.resources[name];
  const intact = !create && (await type.intact(spec, resolved, effects));
  if (intact !== false) {
    noteChanges(name, intact === true ? resolved : intact, world);
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
  // Written down before it is made: what is killed in between runs them next time.
  if (type.filledBySteps) forgetFilling(name, plan, world);
  if (spec.type !== 'port') journal.sync();
  const start = Date.now();
  let created: Created;
  try {
    created = await type.create(spec, resolved, effects);
  } finally {
    fs.rmSync(approvedCopy(world.stateFolder, name), { force: true });
  }
  const is = created.resolved ?? resolved;
  if (created.kept) keep(world.adminDir, name, created.kept);
  journal.append({ event: 'resource', name, resource: { type: spec.type, state: 'ready', made: { ...is.made, ...created.mark } } });
  world.resolved.set(name, is);
  if (type.filledBySteps) world.fresh.add(name);
  report.done(name, created.detail, spec.type === 'port' ? undefined : Date.now() - start);
  return true;
}

/** The steps that fill a resource which is made again are not done any more. */
function forgetFilling(resource: string, plan: Plan, world: World): void {
  for (const { name, done, fills } of plan.steps)
    if (done && fills.includes(resource) && world.journal.record.steps[name]?.key !== '')
      recordStep(world, name, { state: 'waiting', key: '', ms: null, process: null });
}

/** What is to run before the steps, and reads the env files as it starts. */
export function startTask({ name, spec }: PlannedResource, plan: Plan, world: World): Task {
  return {
    id: `start ${name}`,
    needs: ['rendered'],
    async run() {
      const resolved = world.resolved.get(name);
      if (!resolved) throw new Error(`${name} is started before it is made`);
      await refuseChanged(spec, world);
      const start = Date.now();
      const line = await resourceType(spec.type).start?.(spec, resolved, effectsOn(name, plan, world));
      if (line != null) world.report.done(name, line, Date.now() - start);
      return true;
    },
  };
}

/** What is started reads its files itself: what stands there must be what was approved. */
async function refuseChanged(spec: ResourceSpec, { worktreePath, approved }: World): Promise<void> {
  const tree = worktreeTree(worktreePath);
  for (const file of filesOfResource(spec)) {
    const [now, then] = [await tree.read(file), approved.files.get(file)];
    if (now === null ? then !== undefined : then === undefined || !now.equals(then))
      throw new Failure(`${file} changed since it was looked at, so nothing was started; \`git coppice up\` looks at it again`);
  }
}

/** The thing is the same, but the config says another way to find it, or what goes with it. */
function noteChanges(name: string, { made }: ResolvedResource, { journal }: World): void {
  const before = journal.record.resources[name];
  if (before && Object.entries(made).some(([key, value]) => before.made[key] !== value))
    journal.append({ event: 'resource', name, resource: { ...before, made: { ...before.made, ...made } } });
}

/** Where a file of the branch is while a resource is made from it. */
function approvedCopy(stateFolder: string, resource: string): string {
  return path.join(stateFolder, `approved-${resource}`);
}

function effectsOn(name: string, plan: Plan, world: World): ResourceEffects {
  const { journal, report, signal, worktreePath, mainPath, claims, logs, stateFolder, facts } = world;
  const type = plan.resources.find((resource) => resource.name === name)?.spec.type ?? '';
  return {
    worktreePath,
    mainPath: mainPath ?? worktreePath,
    worktreeId: journal.record.id,
    repositoryId: journal.record.repository,
    slot: facts.slot,
    signal,
    log: path.join(logs, `${name}.log`),
    stateFolder,
    environment: () => commandEnvironment(facts, plan.known(world.resolved).variables),
    variables: () => plan.known(world.resolved).variables,
    mainEnv: plan.mainEnv,
    intend(made, leaves) {
      journal.append({ event: 'resource', name, resource: { type, state: 'creating', made }, ...(!leaves && { instead: true }) });
      journal.sync();
    },
    left: () => journal.record.left.filter((left) => left.name === name && left.type === type).map(({ made }) => made),
    leave(left) {
      const others = journal.record.left.filter((other) => other.name !== name || other.type !== type);
      journal.append({ event: 'left', left: [...others, ...left.map((made) => ({ name, type, state: 'ready' as const, made }))] });
      journal.sync();
    },
    recorded: () =>
      [...journal.record.left, ...Object.values(journal.record.resources)].flatMap((other) =>
        other.type === type && other.state !== 'destroyed' ? [other.made] : [],
      ),
    claim(claim) {
      journal.append({ event: 'claim', names: [claim] });
      if (claims.take(claim)) return true;
      giveBack([claim], journal, claims);
      return false;
    },
    release: (claim) => giveBack([claim], journal, claims),
    approvedFile(file) {
      const bytes = world.approved.files.get(file);
      if (bytes === undefined) return null;
      makeFolder(stateFolder);
      const copy = approvedCopy(stateFolder, name);
      fs.rmSync(copy, { force: true });
      fs.writeFileSync(copy, bytes, { flag: 'wx', mode: 0o600 });
      return copy;
    },
    keepForMain: (port) => reserveBase(openStateDir(), port, journal.record.repository),
    say: (text) => report.warn(text),
  };
}
