import fs from 'node:fs';
import path from 'node:path';
import { readWorktreeId } from '../git/identity.ts';
import { readIfThere } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';
import type { Plan, PlannedStep } from '../plan/plan.ts';
import { resourceType } from '../resources/table.ts';
import { runGraph, type Task } from '../steps/graph.ts';
import { fileTasks } from './files.ts';
import { resourceTask, startTask } from './resources.ts';
import { recordStep, stepTask } from './steps.ts';
import type { World } from './world.ts';

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
    ...(options.part === 'background'
      ? []
      : [...(await fileTasks(plan, world)), ...plan.resources.map((resource) => resourceTask(resource, plan, world))]),
    ...(options.part === 'all' ? started.map((resource) => startTask(resource, plan, world)) : []),
    ...(options.part === 'files'
      ? []
      : steps.map((step) => stepTask(step, plan, world, options.force === true || options.step === step.name, started))),
  ];
  const ends = await runGraph(tasks.map((task) => guarded(task, world)));
  report.close();
  const failed = [...ends].flatMap(([id, end]) => (end === 'failed' ? [labelOf(id)] : []));
  for (const { name } of steps) {
    const end = ends.get(`step ${name}`);
    if (end === 'waiting') {
      // What it did stays done.
      if (world.journal.record.steps[name]?.state === 'ok') continue;
      recordStep(world, name, { state: 'waiting', key: '', ms: null, process: null });
      report.same(name, `not run: ${[...new Set(failed)].join(', ')} failed`);
    }
  }
  return [...ends.values()].every((end) => end === 'done');
}

/** What a user knows these tasks as. */
const LABELS: Record<string, string> = { copied: 'files', rendered: 'files' };

function labelOf(id: string): string {
  return LABELS[id] ?? id.replace(/^(resource|start|step) /, '');
}

/** An expected failure of a task is said and fails the task; anything else is a bug and is thrown. */
function guarded(task: Task, world: World): Task {
  const { report } = world;
  return {
    ...task,
    async run() {
      try {
        stillOurs(world);
        return await task.run();
      } catch (thrown) {
        const error = explained(thrown, world);
        if (!(error instanceof Failure)) throw error;
        report.fail(labelOf(task.id), error.message);
        if (error.output !== '') report.text(error.output);
        return false;
      }
    },
  };
}

/** What the disk refuses because the worktree went away under it is that, not a bug. */
function explained(error: unknown, world: World): unknown {
  if (error instanceof Failure || errorCode(error) === undefined) return error;
  try {
    stillOurs(world);
    return error;
  } catch (gone) {
    return gone;
  }
}

/** A worktree removed meanwhile may have another at its path already, in which nothing of this one's has a place. */
function stillOurs({ worktreePath, adminDir, journal }: World): void {
  const named = /^gitdir: ([^\n]+)/.exec(readIfThere(path.join(worktreePath, '.git')) ?? '')?.[1];
  const there = named !== undefined && path.resolve(worktreePath, named);
  if (!there || !fs.existsSync(there) || fs.realpathSync(there) !== adminDir || readWorktreeId(adminDir) !== journal.record.id) {
    throw new Failure('the worktree was removed or moved meanwhile');
  }
}
