import fs from 'node:fs';
import path from 'node:path';
import { configsIn } from '../config/find.ts';
import { readWorktreeId } from '../git/identity.ts';
import { openRepository, type Worktree } from '../git/worktrees.ts';
import { listFolder } from '../ledger/document.ts';
import { readJournal } from '../ledger/journal.ts';
import { worktreeFolder } from '../ledger/repositories.ts';
import type { StateDir } from '../ledger/state-dir.ts';
import { errorCode, errorMessage, Failure } from '../outcome.ts';
import type { Reporter } from '../report/reporter.ts';
import { duration } from '../steps/run-command.ts';
import { isTaken, progressOf, rootOf, sightOf } from './appeared.ts';
import type { SetUps } from './set-ups.ts';
import { cleanUp, isWhole } from './vanished.ts';
import { type Watches, WatchLimit } from './watches.ts';

/** The hook, where it fires, begins within this time; then it does the set-up, and says it where the worktree was added. In milliseconds. */
const HOOK_MS = 400;
/** How long a worktree may have no index before it is taken for one that gets none, in milliseconds. */
const NO_INDEX_MS = 5000;
/** When a worktree that is being added, and in which nothing has happened, is not waited for any more, in milliseconds. */
const ABANDONED_MS = 600_000;
/** How long after a worktree vanished its repository has to be whole before anything is given back, in milliseconds. */
const DOUBT_MS = 300;
/** The longest time that a timer of Node can take. */
const LONGEST_MS = 2 ** 31 - 1;

/** A repository that is watched, and what it takes. */
interface Watched {
  state: StateDir;
  commonDir: string;
  repository: string;
  report: Reporter;
  watches: Watches;
  setUps: SetUps;
}

/** The watching of one repository. */
export interface RepositoryWatch {
  /** When the repository is not there any more; rejected when it cannot be watched. */
  ended: Promise<void>;
  /** When there is nothing to wait for: no worktree is being added or set up. */
  idle(): Promise<void>;
  close(): void;
}

/** Watches a repository: sets up what appears in `<common>/worktrees`, gives back what vanishes from it. */
export function watchRepository(watched: Watched): RepositoryWatch {
  return new Watching(watched).begin();
}

class Watching {
  readonly #watched: Watched;
  readonly #folder: string;
  /** Worktrees that are being added, with the timer that ends the wait for the hook. */
  readonly #pending = new Map<string, { sight: string; timer: NodeJS.Timeout | null; progress: string }>();
  /** Those that are dealt with. */
  readonly #seen = new Map<string, string>();
  readonly #working = new Set<Promise<void>>();
  readonly #said = new Set<string>();
  #cleanTimer: NodeJS.Timeout | null = null;
  #keepTimer: NodeJS.Timeout | null = null;
  #lookTimer: NodeJS.Immediate | null = null;
  #idle: (() => void)[] = [];
  #end: { gone(): void; fail(error: unknown): void } = { gone: () => {}, fail: () => {} };
  #closed = false;

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#folder = path.join(watched.commonDir, 'worktrees');
  }

  begin(): RepositoryWatch {
    const ended = new Promise<void>((gone, fail) => {
      this.#end = { gone, fail };
    });
    this.#look(true);
    return { ended, idle: () => this.#whenIdle(), close: () => this.#close() };
  }

  /** Looks soon, once for all that happens meanwhile. */
  #lookSoon(again = false): void {
    if (again) this.#arm(true);
    this.#lookTimer ??= setImmediate(() => {
      this.#lookTimer = null;
      this.#look();
    });
  }

  /** git takes the folder away with the last worktree, and makes another one with the next. */
  #arm(again: boolean): boolean {
    if (this.#closed) return false;
    const { watches, commonDir } = this.#watched;
    const around = watches.watch(commonDir, (entry) => {
      if (entry === null || entry === 'worktrees' || !fs.existsSync(commonDir)) this.#lookSoon(true);
    });
    watches.watch(this.#folder, () => this.#lookSoon(), again);
    return around;
  }

  #look(first = false): void {
    if (this.#closed) return;
    this.#guarded(() => {
      if (!this.#arm(false) || !fs.existsSync(path.join(this.#watched.commonDir, 'HEAD'))) return this.#repositoryGone();
      const names = new Set(listFolder(this.#folder));
      let lost = first;
      for (const name of [...this.#seen.keys()].filter((known) => !names.has(known))) {
        this.#seen.delete(name);
        lost = true;
      }
      for (const name of [...this.#pending.keys()].filter((known) => !names.has(known))) this.#forget(name);
      for (const name of names) lost = this.#lookAt(name) || lost;
      if (lost) this.#cleanSoon();
    });
    this.#tellIdle();
  }

  /** @returns whether another worktree than the one that was seen there has this name now */
  #lookAt(name: string): boolean {
    const adminDir = path.join(this.#folder, name);
    const sight = sightOf(adminDir);
    if (sight === null || this.#seen.get(name) === sight) return false;
    const renewed = this.#seen.has(name);
    const pending = this.#pending.get(name);
    if (pending && pending.sight !== sight) this.#forget(name);
    if (isTaken(adminDir)) {
      if (this.#pending.has(name)) this.#watched.report.same(labelOf(adminDir), 'set up by the program that added it');
      this.#settle(name, sight);
    } else this.#await(name, adminDir, sight);
    return renewed;
  }

  /** Waits until the worktree is whole, and then for the hook. */
  #await(name: string, adminDir: string, sight: string): void {
    this.#watched.watches.watch(adminDir, () => this.#lookSoon());
    const progress = progressOf(adminDir);
    const known = this.#pending.get(name);
    if (known?.progress === progress) return;
    if (known?.timer) clearTimeout(known.timer);
    const ms = progress === 'added' ? HOOK_MS : NO_INDEX_MS;
    const timer = progress === 'adding' ? null : setTimeout(() => this.#work(this.#setUp(name, adminDir, sight)), ms);
    this.#pending.set(name, { sight, timer, progress });
  }

  async #setUp(name: string, adminDir: string, sight: string): Promise<void> {
    if (sightOf(adminDir) !== sight || isTaken(adminDir) || progressOf(adminDir) === 'adding') return this.#lookSoon();
    this.#settle(name, sight);
    const { report, setUps, commonDir } = this.#watched;
    const root = rootOf(adminDir);
    const { linked } = await openRepository(commonDir);
    const worktree = linked.find((candidate) => candidate.adminDir === adminDir);
    // A worktree that plays the main one's part in a bare repository is not in the list.
    if (root === null || !worktree) return;
    if (configsIn(root).length === 0) return report.same(labelOf(adminDir), 'has no worktree.config.yaml');
    const { code, said } = await setUps.run(commonDir, root);
    if (this.#closed) return;
    if (code === 0) this.#sayReady(worktree, adminDir);
    else if (sightOf(adminDir) === sight && fs.existsSync(path.join(root, '.git'))) {
      report.fail(
        labelOf(adminDir),
        `could not be set up; it is not tried again until you say \`git coppice up ${worktree.branch ?? root}\``,
      );
      if (said.trim() !== '') report.text(said.trimEnd());
    }
    // It may have been removed meanwhile, when its record was in use.
    this.#cleanSoon();
  }

  #sayReady(worktree: Worktree, adminDir: string): void {
    const { state, repository, report } = this.#watched;
    const id = readWorktreeId(adminDir);
    const record = id === null ? null : readJournal(worktreeFolder(state, repository, id));
    if (record)
      report.done(worktree.branch ?? record.slug, `ready in ${duration(record.ms ?? 0)}${record.url === null ? '' : `  ${record.url}`}`);
  }

  /** `rm -rf` of a whole repository looks at first like the end of its worktrees. */
  #cleanSoon(): void {
    if (this.#closed) return;
    this.#cleanTimer ??= setTimeout(() => {
      this.#cleanTimer = null;
      this.#guarded(() => this.#clean());
      this.#tellIdle();
    }, DOUBT_MS);
  }

  #clean(): void {
    const { state, commonDir, repository, report } = this.#watched;
    if (!isWhole(commonDir, repository)) return this.#lookSoon();
    const next = cleanUp({ state, commonDir, repository }, report);
    if (this.#keepTimer) clearTimeout(this.#keepTimer);
    this.#keepTimer =
      next === null ? null : setTimeout(() => this.#guarded(() => this.#clean()), Math.min(next - Date.now() + 1, LONGEST_MS));
    this.#keepTimer?.unref();
  }

  #settle(name: string, sight: string): void {
    this.#forget(name);
    this.#seen.set(name, sight);
  }

  #forget(name: string): void {
    const timer = this.#pending.get(name)?.timer;
    if (timer) clearTimeout(timer);
    this.#pending.delete(name);
    this.#watched.watches.drop(path.join(this.#folder, name));
  }

  #repositoryGone(): void {
    const { report, commonDir } = this.#watched;
    report.warn(`${commonDir} is not there any more, so it is not watched. Nothing of it is touched: its disk may not be mounted.`);
    this.#close();
    this.#end.gone();
  }

  /** What the machine or the ledger refuses is said once; that nothing can be watched, or a bug, ends the program. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#say(error);
    }
  }

  #say(error: unknown): void {
    const isExpected = error instanceof Failure || errorCode(error) !== undefined;
    const text = errorMessage(error);
    if (error instanceof WatchLimit || !isExpected) this.#end.fail(error);
    else if (!this.#said.has(text)) this.#watched.report.fail(path.basename(path.dirname(this.#watched.commonDir)), text);
    this.#said.add(text);
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

  #whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
  }

  #tellIdle(): void {
    if (this.#working.size > 0 || this.#lookTimer || this.#cleanTimer || [...this.#pending.keys()].some((name) => !this.#isAbandoned(name)))
      return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** git that was killed in the middle leaves a worktree that never gets further. */
  #isAbandoned(name: string): boolean {
    const stat = fs.statSync(path.join(this.#folder, name), { throwIfNoEntry: false });
    return this.#pending.get(name)?.progress === 'adding' && stat !== undefined && stat.mtimeMs < Date.now() - ABANDONED_MS;
  }

  #close(): void {
    this.#closed = true;
    if (this.#cleanTimer) clearTimeout(this.#cleanTimer);
    if (this.#keepTimer) clearTimeout(this.#keepTimer);
    if (this.#lookTimer) clearImmediate(this.#lookTimer);
    for (const name of [...this.#pending.keys()]) this.#forget(name);
    this.#watched.watches.drop(this.#folder);
    this.#watched.watches.drop(this.#watched.commonDir);
  }
}

/** The branch, or the name that git gave the admin directory. */
function labelOf(adminDir: string): string {
  const head = fs.readFileSync(path.join(adminDir, 'HEAD'), 'utf8');
  return /^ref: refs\/heads\/(.+)\n/.exec(head)?.[1] ?? path.basename(adminDir);
}
