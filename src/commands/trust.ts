import { findPlace, type Place } from '../git/worktrees.ts';
import { Failure } from '../outcome.ts';
import { isTerminal, openQuestions } from '../report/questions.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { visibleLines } from '../report/visible.ts';
import { type Closure, readClosure } from '../trust/closure.ts';
import { approvalsOf, approve, type Judged, judge, type Untrusted, writeHeld } from '../trust/judge.ts';
import { knownRemotes } from '../trust/outside.ts';
import { readSettings } from '../trust/settings.ts';
import { changesSince, textOf, textOfContent } from '../trust/show.ts';
import { untrustedSentences } from '../trusted.ts';
import { findTarget, noConfig, recordOf } from './target.ts';

export interface TrustOptions {
  digest?: string;
  remote?: string;
}

/** `coppice trust [worktree]`: shows what would run and what changed since it was approved; approves. */
export async function trust(argument: string | undefined, options: TrustOptions): Promise<number> {
  const report = await openReporter();
  if (options.remote !== undefined) return trustRemote(options.remote, report);
  const judged = await look(argument);
  const { closure } = judged;
  if (options.digest !== undefined) refuseOther(options.digest, closure.digest);
  const untrusted = await judge(judged);
  if (untrusted === null) {
    report.text(`approved already: ${closure.digest}`);
    return 0;
  }
  if (options.digest === undefined) {
    await show(judged, untrusted, report);
    if (!isTerminal()) {
      report.text(`Nothing was approved: nobody can answer here. To approve it: \`git coppice trust --digest ${closure.digest}\``);
      return 3;
    }
    if (!(await asks('Approve it?'))) {
      report.text('Nothing was approved.');
      return 3;
    }
  }
  accept(judged, untrusted, 'trust');
  report.text(`approved ${closure.digest}${judged.worktree.adminDir === null || !judged.isNew ? '' : '; `git coppice up` sets it up'}`);
  return 0;
}

/** @throws {Failure} for another digest than the one of what is here */
function refuseOther(given: string, digest: string): void {
  if (!/^sha256:[0-9a-f]{64}$/.test(given)) throw new Failure(`\`${given}\` is no digest: \`sha256:\` and 64 digits.`, 2);
  if (given !== digest) throw new Failure(`This is not what was looked at: it is ${digest} here. \`git coppice trust\` shows it.`, 3);
}

/** What `up` asks before it goes on with a branch that is not trusted. @returns whether it may */
export async function askAboutUp(judged: Judged, untrusted: Untrusted, report: Reporter): Promise<boolean> {
  if (!isTerminal()) {
    for (const sentence of untrustedSentences(untrusted, judged)) report.text(sentence);
    return false;
  }
  await show(judged, untrusted, report);
  if (!(await asks('Approve it and set it up?'))) {
    report.text('Nothing was approved, and nothing was done.');
    return false;
  }
  accept(judged, untrusted, 'up');
  return true;
}

/** The worktree that an argument names, or the one around, the main one included. */
async function look(argument: string | undefined): Promise<Judged> {
  const place = await findPlace(process.cwd());
  const { main, commonDir } = place.repository;
  const inMain = argument === undefined && place.worktree === null && main !== null;
  const worktree = inMain ? { path: main, branch: null, adminDir: null, id: null } : (await findTarget(argument, 'trust')).worktree;
  const closure = await readClosure(worktree.path, main);
  if (closure === null) throw noConfig(worktree.path);
  const isNew = worktree.adminDir !== null && recordOf(commonDir, worktree) === null;
  return { closure, place, worktree, settings: await readSettings(place), isNew };
}

async function show({ closure, place }: Judged, { content, outside }: Untrusted, report: Reporter): Promise<void> {
  const { commonDir } = place.repository;
  const texts = textsOf(closure);
  const text = await textOfContent(closure.content, texts);
  const last = content === null ? null : (approvalsOf(commonDir)?.last() ?? null);
  const changes = await changesSince(last, text, commonDir);
  report.title(content === null ? 'what would run, and was approved before' : 'what this branch asks for');
  // Files that were approved before and are the same are named; all others stand in full, here or in the comparison.
  const isKnown = (name: string) => last !== null && last.content.files[name] !== undefined;
  showWhole(await textOfContent(closure.content, Object.fromEntries(Object.entries(texts).filter(([name]) => !isKnown(name)))));
  if (changes !== null) {
    report.title('what changed since the last approval');
    showWhole(changes === '' ? '(nothing that is shown)' : changes);
  }
  if (content !== null) report.warn(content);
  if (outside !== null)
    report.warn(
      `${outside}: what runs there, as an install does, may run programs of the branch that no config shows. Look at its commits.`,
    );
}

/** All of it: what is left out elsewhere because it looks like a secret is the branch's own here, and could hide what it does. */
function showWhole(text: string): void {
  process.stderr.write(`${visibleLines(text)}\n`);
}

function textsOf({ files }: Closure): Record<string, string | null> {
  return Object.fromEntries([...files].map(([name, bytes]) => [name, textOf(bytes)]));
}

async function asks(question: string): Promise<boolean> {
  const questions = openQuestions();
  try {
    return await questions.agrees(question);
  } finally {
    questions.close();
  }
}

/** What a person has agreed to: what is asked for, and that it comes from where it does. */
function accept({ closure, place, worktree, settings }: Judged, { content, outside }: Untrusted, by: string): void {
  if (content !== null) approve(closure, place, settings, by);
  if (outside !== null && worktree.adminDir !== null) writeHeld(worktree.adminDir, { reason: outside, accepted: true });
}

/** A remote that was added later, and whose branches are the team's own. */
async function trustRemote(name: string, report: Reporter): Promise<number> {
  const place: Place = await findPlace(process.cwd());
  const { remotes } = await readSettings(place);
  const url = remotes[name];
  if (url === undefined)
    throw new Failure(
      `There is no remote \`${name}\`.${Object.keys(remotes).length > 0 ? ` Remotes: ${Object.keys(remotes).join(', ')}.` : ''}`,
      2,
    );
  const approvals = approvalsOf(place.repository.commonDir);
  const first = approvals?.first() ?? null;
  if (approvals === null || first === null)
    throw new Failure(approvals?.refused ?? 'Nothing of this repository was approved here yet: `git coppice trust` first.', 3);
  // Where there was no remote at first, `origin` counts by that; once there is one, it must be named.
  const known = Object.fromEntries(knownRemotes({ remotes }, first).map((other) => [other, remotes[other] ?? '']));
  approvals.know({ remotes: { ...first.remotes, ...known, [name]: url } });
  report.text(`branches of ${name} (${url}) count as this team's own from now on`);
  return 0;
}
