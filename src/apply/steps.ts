import fs from 'node:fs';
import path from 'node:path';
import { milliseconds } from '../config/duration.ts';
import { folderInside } from '../files/inside.ts';
import type { StepRecord } from '../ledger/record.ts';
import { Failure } from '../outcome.ts';
import type { Plan, PlannedResource, PlannedStep } from '../plan/plan.ts';
import { commandEnvironment } from '../steps/environment.ts';
import type { Task } from '../steps/graph.ts';
import { tail } from '../steps/log-tail.ts';
import { runCommand } from '../steps/run-command.ts';
import { haveInputsChanged } from '../trust/closure.ts';
import type { World } from './world.ts';

const busy = new Set<string>();

/** `started`: the resources that are started before the steps that need them. */
export function stepTask(step: PlannedStep, plan: Plan, world: World, force: boolean, started: PlannedResource[]): Task {
  const waits = started.filter(({ name }) => step.needs.includes('rendered') || step.needs.includes(`resource ${name}`));
  return {
    id: `step ${step.name}`,
    needs: [...step.needs, ...waits.map(({ name }) => `start ${name}`)],
    async run() {
      busy.add(step.name);
      world.report.busy([...busy]);
      try {
        return await runStep(step, plan, world, force);
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
  const cwd = folderInside(worktreePath, spec.cwd ?? '.');
  // The command reads them itself: what stands there must be what was approved.
  if (spec.inputs !== undefined && (await haveInputsChanged(worktreePath, spec.inputs, world.approved.content)))
    throw new Failure('its `inputs` changed since they were looked at, so it was not run; `git coppice up` looks at them again');
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

export function recordStep({ journal }: World, name: string, step: StepRecord): void {
  journal.append({ event: 'step', name, step });
}
