import fs from 'node:fs';
import type { Config } from '../config/schema.ts';
import { findPlace, type Worktree } from '../git/worktrees.ts';
import { readRepositoryId } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { planOf } from '../plan/gather.ts';
import { type Plan, resolvedNow } from '../plan/plan.ts';
import { holdBack } from '../report/quiet.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { goOn as goOnWith, namesOf, type SetUpResult, setUp, upFromAnywhere } from '../set-up.ts';
import { listeningPorts, portsAt, proposeSlot, proposeSlug } from '../slot.ts';
import { type Closure, readClosure } from '../trust/closure.ts';
import { type Judged, judge } from '../trust/judge.ts';
import { askSettings, readSettings, type Settings } from '../trust/settings.ts';
import { untrustedSentences } from '../trusted.ts';
import { giveHooks } from './hooks.ts';
import { interruptible } from './interrupt.ts';
import { approvedOf, findTarget, recordOf, type Target } from './target.ts';

export interface UpOptions {
  dryRun?: boolean;
  step?: string;
  force?: boolean;
  /** Says nothing unless something was done or failed: what other programs' set-up files call, in any worktree. */
  quiet?: boolean;
}

/** `coppice up [worktree]`: the same result however often. */
export async function up(argument: string | undefined, options: UpOptions): Promise<number> {
  const listening = listeningPorts();
  if (options.quiet && argument === undefined && (await isMain(process.cwd()))) return 0;
  const { report, speak } = options.quiet ? holdBack(await openReporter()) : { report: await openReporter(), speak: () => {} };
  const target = await findTarget(argument, 'up');
  const closure = await readClosure(target.worktree.path, target.place.repository.main);
  if (closure === null) {
    report.text(`There is no worktree.config.yaml in ${target.worktree.path}: nothing to set up.`);
    return 0;
  }
  const { config } = closure;
  if (options.step !== undefined && !(options.step in config.steps))
    throw new Failure(`There is no step \`${options.step}\`. Steps: ${Object.keys(config.steps).join(', ') || 'none'}.`, 2);
  const settings = await readSettings(target.place);
  const judged = judgedTarget(closure, target, settings);
  const untrusted = await judge(judged);
  if (options.dryRun) {
    if (untrusted === null) return dryRun(judged, target, report);
    for (const sentence of untrustedSentences(untrusted, judged)) report.text(sentence);
    return 3;
  }
  if (untrusted !== null) {
    speak();
    const { askAboutUp } = await import('./trust.ts');
    if (!(await askAboutUp(judged, untrusted, report))) return 3;
  }
  giveHooks(target.place, target.worktree.path, settings);
  return interruptible(async (signal) => {
    const result = await setUp(closure, target.place, target.worktree, { ...options, background: false, signal, report, listening });
    if (result.state === 'failed' || result.state === 'interrupted') speak();
    return exitCode(result, target.worktree, report);
  });
}

/** The main worktree has nothing to set up, and programs that open it call `up --quiet` there too. */
async function isMain(cwd: string): Promise<boolean> {
  const { worktree, repository } = await findPlace(cwd);
  return worktree === null || worktree.path === repository.main;
}

/** The exit code of a set-up; says how to look and how to go on after a failure. */
function exitCode({ state, joined, failed, url }: SetUpResult, worktree: Pick<Worktree, 'branch' | 'path'>, report: Reporter): number {
  if (state === 'ready' || state === 'background') {
    if (joined) report.text(url === null ? 'ready' : `ready  ${url}`);
    return 0;
  }
  if (state === 'interrupted' && joined) {
    report.text('no longer waiting: the set-up goes on without this command');
    return 1;
  }
  if (state === 'interrupted') {
    report.text(`interrupted; \`${upFromAnywhere(worktree)}\` goes on from here`);
    return 1;
  }
  const [step] = failed;
  report.text(`set-up failed${step === undefined ? '' : ` at \`${step}\``}; the worktree is there: ${worktree.path}`);
  if (step !== undefined) report.text(`its whole output: \`git coppice logs ${step}\``);
  report.text(
    `when it is mended, \`git coppice up\` there goes on from here${worktree.branch === null ? '' : `; from elsewhere: \`${upFromAnywhere(worktree)}\``}`,
  );
  return 1;
}

async function dryRun({ closure }: Judged, { place, worktree }: Target, report: Reporter): Promise<number> {
  const { config } = closure;
  const { commonDir } = place.repository;
  const record = recordOf(commonDir, worktree);
  const known = record !== null && record.slot !== null ? portsAt({ slot: record.slot, ports: record.ports }, config) : null;
  const slot =
    known ??
    proposeSlot({ state: openStateDir(), commonDir, repository: readRepositoryId(commonDir) ?? '', branch: worktree.branch, config });
  const slug = record?.slug || proposeSlug(worktree.branch, worktree.path);
  printPlan(await planOf(closure, place, worktree, { slug, slot }, record), report);
  return 0;
}

function printPlan(plan: Plan, report: Reporter): void {
  report.expect(namesOf(plan));
  report.title(`would set up ${plan.slug}  slot ${plan.slot.slot}`);
  for (const { path, spec } of plan.copied) report.same(path, spec.action);
  for (const { name, spec, resolved, create } of plan.resources) {
    if (resolved instanceof Failure) report.fail(name, resolved.message);
    else report.same(name, `${spec.type}  ${resolved.detail}${create ? '' : '  (there already)'}`);
  }
  const names = Object.keys(plan.known(resolvedNow(plan)).variables);
  for (const { path, spec } of plan.rendered) {
    const placed = spec.action === 'template' ? [] : 'set' in spec && spec.set ? Object.keys(spec.set) : names;
    report.same(path, `${spec.action}  ${placed.join(', ')}`.trimEnd());
  }
  for (const { name, spec, done } of plan.steps) report.same(name, `${spec.run}${done ? '  (done before)' : ''}`);
  report.text('nothing was changed');
}

/** The hook's door: called by the launcher in a worktree that git has just added. */
export async function hook(): Promise<number> {
  const asked = askSettings(process.cwd());
  asked.catch(() => {}); // a failure before it is awaited is that failure, not this one
  const listening = listeningPorts();
  const report = await openReporter();
  const place = await findPlace(process.cwd());
  const { worktree } = place;
  if (!worktree || worktree.adminDir === null) return 0;
  const { adminDir } = worktree;
  try {
    const closure = await readClosure(worktree.path, place.repository.main);
    if (closure === null) return 0;
    const settings = await readSettings(place, asked);
    const target = { ...worktree, adminDir };
    const judged = judgedTarget(closure, { place, worktree: target }, settings);
    const untrusted = await judge(judged);
    if (untrusted !== null) {
      for (const sentence of untrustedSentences(untrusted, judged)) report.text(sentence);
      return 0;
    }
    giveHooks(place, worktree.path, settings);
    const background = closure.config.background || (settings.background && !isQuick(closure.config));
    return await interruptible(async (signal) =>
      exitCode(await setUp(closure, place, target, { background, signal, report, listening }), worktree, report),
    );
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report.text(`coppice: ${error.message}`);
    if (fs.existsSync(worktree.path)) report.text('The worktree is there but not set up. When that is mended: `git coppice up`.');
    return 1;
  }
}

/** A set-up that only reserves ports and writes files is over before a process could be started that goes on with it. */
function isQuick(config: Config): boolean {
  return Object.keys(config.steps).length === 0 && Object.values(config.resources).every(({ type }) => type === 'port');
}

function judgedTarget(closure: Closure, { place, worktree }: Target, settings: Settings): Judged {
  return { closure, place, worktree, settings, isNew: recordOf(place.repository.commonDir, worktree) === null };
}

/** The detached part of a set-up. */
export async function goOn(part: string, nonce: string): Promise<number> {
  const listening = listeningPorts();
  const report = await openReporter();
  const target = await findTarget(undefined, 'up');
  const closure = await approvedOf(target);
  return interruptible(async (signal) =>
    exitCode(
      await goOnWith(closure, target.place, target.worktree, part === 'background' ? 'background' : 'all', nonce, {
        background: false,
        signal,
        report,
        listening,
      }),
      target.worktree,
      report,
    ),
  );
}
