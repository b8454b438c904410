import fs from 'node:fs';
import path from 'node:path';
import { configsIn } from '../config/find.ts';
import { readWorktreeId } from '../git/identity.ts';
import { openRepository } from '../git/worktrees.ts';
import { listFolder, readIfThere } from '../ledger/document.ts';
import { readJournal } from '../ledger/journal.ts';
import { worktreeFolder } from '../ledger/repositories.ts';
import type { StateDir } from '../ledger/state-dir.ts';
import { errorCode, errorMessage, Failure } from '../outcome.ts';
import type { Reporter } from '../report/reporter.ts';
import { duration } from '../steps/run-command.ts';
import { isTaken, progressOf, sightOf } from './appeared.ts';
import { type Arrivals, openArrivals } from './arrivals.ts';
import type { SetUps } from './set-ups.ts';
import { cleanUp, isWhole } from './vanished.ts';
import { type Watches, WatchLimit } from './watches.ts';

/** How long after a worktree vanished its repository has to be whole before anything is given back, in milliseconds. */
const DOUBT_MS = 300;
/** The longest time that a timer of Node can take. */
const LONGEST_MS = 2 ** 31 - 1;

/** A repository that is watched, and what that takes. */
interface Watched {
  state: StateDir;
  commonDir: string;
  repository: string;
  report: Reporter;
  watches: Watches;
  setUps: SetUps;
}

/**
 * Watches one repository: sets up what appears in `<common>/worktrees`, gives back what vanishes from it. It goes by what is
 * there, not by what events say: they only make it look.
 */
export class RepositoryWatch {
  /** When the repository is not there any more; rejected when it cannot be watched. */
  readonly ended: Promise<void>;
  readonly #watched: Watched;
  readonly #folder: string;
  readonly #arrivals: Arrivals;
  /** The worktrees that need nothing, by name, each with what tells it from the next one of that name. */
  readonly #seen = new Map<string, string>();
  readonly #working = new Set<Promise<void>>();
  readonly #said = new Set<string>();
  readonly #timers: { look?: NodeJS.Immediate | undefined; clean?: NodeJS.Timeout | undefined; kept?: NodeJS.Timeout | undefined } = {};
  #end: { gone(): void; fail(error: unknown): void } = { gone: () => {}, fail: () => {} };
  #idle: (() => void)[] = [];
  #closed = false;

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#folder = path.join(watched.commonDir, 'worktrees');
    this.ended = new Promise<void>((gone, fail) => {
      this.#end = { gone, fail };
    });
    this.#arrivals = openArrivals(
      this.#folder,
      watched.watches,
      () => this.#lookSoon(),
      (name, sight) => this.#work(this.#setUp(name, sight)),
    );
    this.#look(true);
  }

  /** When no worktree is being added, set up or cleaned up. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
  }

  close(): void {
    this.#closed = true;
    clearImmediate(this.#timers.look);
    clearTimeout(this.#timers.clean);
    clearTimeout(this.#timers.kept);
    for (const name of this.#arrivals.names()) this.#arrivals.forget(name);
    this.#watched.watches.drop(this.#folder);
    this.#watched.watches.drop(this.#watched.commonDir);
  }

  /** Looks soon, once for all that happens meanwhile. */
  #lookSoon(): void {
    this.#timers.look ??= setImmediate(() => {
      this.#timers.look = undefined;
      this.#look();
    });
  }

  #look(first = false): void {
    if (this.#closed) return;
    this.#guarded(() => {
      if (!this.#arm() || !fs.existsSync(path.join(this.#watched.commonDir, 'HEAD'))) return this.#repositoryGone();
      const names = new Set(listFolder(this.#folder));
      const lost = [...this.#seen.keys()].filter(
        (name) => !names.has(name) || this.#seen.get(name) !== sightOf(path.join(this.#folder, name)),
      );
      for (const name of lost) this.#seen.delete(name);
      for (const name of this.#arrivals.names()) if (!names.has(name)) this.#arrivals.forget(name);
      for (const name of names) this.#lookAt(name);
      if (first || lost.length > 0) this.#cleanSoon();
    });
    this.#tellIdle();
  }

  /** git takes the folder away with the last worktree, and makes another one with the next. */
  #arm(again = false): boolean {
    const { watches, commonDir } = this.#watched;
    const isThere = watches.watch(commonDir, (entry) => {
      if (entry !== null && entry !== 'worktrees' && fs.existsSync(commonDir)) return;
      if (!this.#closed) this.#guarded(() => this.#arm(true));
      this.#lookSoon();
    });
    watches.watch(this.#folder, () => this.#lookSoon(), again);
    return isThere;
  }

  #lookAt(name: string): void {
    const adminDir = path.join(this.#folder, name);
    const sight = sightOf(adminDir);
    if (sight === null || this.#seen.has(name)) return;
    if (isTaken(adminDir)) {
      if (this.#arrivals.has(name)) this.#watched.report.same(labelOf(adminDir), 'set up by the program that added it');
      this.#settle(name, sight);
    } else this.#arrivals.expect(name, sight);
  }

  async #setUp(name: string, sight: string): Promise<void> {
    const adminDir = path.join(this.#folder, name);
    const progress = progressOf(adminDir);
    if (sightOf(adminDir) !== sight || isTaken(adminDir) || progress === 'adding') return this.#lookSoon();
    // Added without a checkout: it is looked at again when its files come.
    if (progress !== 'no index') this.#settle(name, sight);
    const { report, setUps, commonDir } = this.#watched;
    const { linked } = await openRepository(commonDir);
    const worktree = linked.find((candidate) => candidate.adminDir === adminDir);
    // One that plays the main worktree's part in a bare repository is not in the list.
    if (!worktree) return;
    const label = worktree.branch ?? name;
    if (configsIn(worktree.path).length === 0)
      return report.same(label, progress === 'no index' ? 'has no files yet' : 'has no worktree.config.yaml');
    this.#settle(name, sight);
    const { code, said } = await setUps.run(commonDir, worktree.path);
    if (this.#closed) return;
    if (code === 0) this.#sayReady(label, adminDir);
    else if (sightOf(adminDir) === sight && fs.existsSync(path.join(worktree.path, '.git'))) {
      report.fail(label, `could not be set up; it is not tried again until you say \`git coppice up ${worktree.branch ?? worktree.path}\``);
      if (said.trim() !== '') report.text(said.trimEnd());
    }
    // It may have been removed meanwhile, when its record was in use.
    this.#cleanSoon();
  }

  #sayReady(label: string, adminDir: string): void {
    const { state, repository, report } = this.#watched;
    const id = readWorktreeId(adminDir);
    const record = id === null ? null : readJournal(worktreeFolder(state, repository, id));
    if (record) report.done(label, `ready in ${duration(record.ms ?? 0)}${record.url === null ? '' : `  ${record.url}`}`);
  }

  #settle(name: string, sight: string): void {
    this.#arrivals.forget(name);
    this.#seen.set(name, sight);
  }

  /** `rm -rf` of a whole repository looks at first like the end of its worktrees. */
  #cleanSoon(): void {
    if (this.#closed) return;
    this.#timers.clean ??= setTimeout(() => {
      this.#timers.clean = undefined;
      this.#guarded(() => this.#clean());
      this.#tellIdle();
    }, DOUBT_MS);
  }

  #clean(): void {
    const { state, commonDir, repository, report } = this.#watched;
    if (!isWhole(commonDir, repository)) {
      this.#lookSoon();
      return;
    }
    const next = cleanUp({ state, commonDir, repository }, report);
    clearTimeout(this.#timers.kept);
    if (next !== null)
      this.#timers.kept = setTimeout(() => this.#guarded(() => this.#clean()), Math.min(next - Date.now() + 1, LONGEST_MS));
  }

  #repositoryGone(): void {
    const { report, commonDir } = this.#watched;
    report.warn(`${commonDir} is not there any more, so it is not watched. Nothing of it is touched: its disk may not be mounted.`);
    this.close();
    this.#end.gone();
  }

  #work(work: Promise<void>): void {
    const guarded = work
      .catch((error: unknown) => this.#say(error))
      .finally(() => {
        this.#working.delete(guarded);
        this.#tellIdle();
      });
    this.#working.add(guarded);
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#say(error);
    }
  }

  /** What the machine or the ledger refuses is said once; that nothing can be watched, or a bug, ends the program. */
  #say(error: unknown): void {
    const isExpected = error instanceof Failure || errorCode(error) !== undefined;
    const text = errorMessage(error);
    if (error instanceof WatchLimit || !isExpected) this.#end.fail(error);
    else if (!this.#said.has(text)) this.#watched.report.fail(path.basename(path.dirname(this.#watched.commonDir)), text);
    this.#said.add(text);
  }

  #tellIdle(): void {
    if (this.#working.size > 0 || this.#timers.look || this.#timers.clean || (!this.#closed && this.#arrivals.areDue())) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/** The branch, or the name that git gave the admin directory. */
function labelOf(adminDir: string): string {
  const head = readIfThere(path.join(adminDir, 'HEAD')) ?? '';
  return /^ref: refs\/heads\/(.+)\n/.exec(head)?.[1] ?? path.basename(adminDir);
}
