import fs from 'node:fs';
import path from 'node:path';
import { findPlace } from '../git/worktrees.ts';
import { listFolder, makeFolder } from '../ledger/document.ts';
import { type Ownership, tryOwn } from '../ledger/owner.ts';
import { type KnownRepository, knownRepositories, knowRepository } from '../ledger/repositories.ts';
import { openStateDir, type StateDir } from '../ledger/state-dir.ts';
import { errorCode } from '../outcome.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { RepositoryWatch } from '../watch/repository.ts';
import { openSetUps, type SetUps } from '../watch/set-ups.ts';
import { openWatches, type Watches } from '../watch/watches.ts';
import { interruptible } from './interrupt.ts';

export interface WatchOptions {
  all?: boolean;
  once?: boolean;
}

/** What all watched repositories share. */
interface Session {
  state: StateDir;
  report: Reporter;
  watches: Watches;
  setUps: SetUps;
  /** By the repository's id. */
  watched: Map<string, { watch: RepositoryWatch; right: Ownership | null }>;
}

/** `coppice watch`: sets up what appears, cleans up what vanishes; one process for a repository. Ctrl-C is its normal end. */
export async function watch(options: WatchOptions): Promise<number> {
  const state = openStateDir();
  const session: Session = {
    state,
    report: await openReporter(),
    watches: openWatches(),
    setUps: openSetUps(),
    watched: new Map(),
  };
  // Before it can be interrupted: nothing is begun yet that must be ended.
  const own = options.all ? null : await thisRepository(state);
  let code = 0;
  const orInterrupted = await interruptible(async (signal) => {
    const interrupted = new Promise<0>((resolve) => signal.addEventListener('abort', () => resolve(0), { once: true }));
    try {
      code = await Promise.race([options.once ? once(session, own) : follow(session, own), interrupted]);
    } finally {
      for (const { watch } of session.watched.values()) watch.close();
      session.watches.close();
      await session.setUps.end();
      for (const { right } of session.watched.values()) giveBack(right);
    }
    return code;
  });
  // Being interrupted is how a watcher ends; with `--once` it kept something from being done.
  return options.once ? orInterrupted : code;
}

async function thisRepository(state: StateDir): Promise<KnownRepository> {
  const { commonDir } = (await findPlace(process.cwd())).repository;
  return { id: knowRepository(state, commonDir), commonDir };
}

/** What is to be done now: nobody is kept from watching meanwhile, and two set-ups of one worktree are one. */
async function once(session: Session, own: KnownRepository | null): Promise<number> {
  const repositories = own === null ? knownRepositories(session.state) : [own];
  for (const repository of repositories) add(session, repository, null);
  await Promise.all([...session.watched.values()].map(({ watch }) => Promise.race([watch.idle(), watch.ended])));
  return 0;
}

/** @returns 1 when the repository is gone; 0 when another process watches it */
async function follow(session: Session, own: KnownRepository | null): Promise<number> {
  if (own === null) return followAll(session);
  const ended = begin(session, own);
  if (ended === null) return 0;
  await ended;
  return 1;
}

/** Begins with the repositories that are known, and goes on with those that become known. Never ends, but by an error. */
function followAll(session: Session): Promise<never> {
  const { state, watches, watched } = session;
  return new Promise((_, fail) => {
    const left = new Set<string>();
    const look = () => {
      watches.watch(state.repos, look);
      const known = knownRepositories(state);
      for (const id of listFolder(state.repos)) {
        const repository = known.find((candidate) => candidate.id === id);
        // Its folder is made before the file that says where it is.
        if (!repository) watches.watch(path.join(state.repos, id), look);
        else if (!watched.has(id) && !left.has(id)) {
          watches.drop(path.join(state.repos, id));
          const ended = begin(session, repository);
          if (ended === null) left.add(id);
          else
            ended
              .then(() => left.add(id))
              .then(() => stop(session, id))
              .catch(fail);
        }
      }
    };
    look();
    if (watched.size === 0) session.report.text('no repository is known yet; each is watched from its first set-up on');
  });
}

/** @returns when it is not there any more; null when it is not watched, which was said */
function begin(session: Session, repository: KnownRepository): Promise<void> | null {
  const { state, report } = session;
  if (!fs.existsSync(repository.commonDir)) {
    report.warn(`${repository.commonDir} is not there, so it is not watched: its disk may not be mounted`);
    return null;
  }
  const folder = path.join(state.repos, repository.id, 'watch');
  makeFolder(folder);
  const attempt = tryOwn(folder, 'watch');
  if (!('held' in attempt)) {
    report.text(`process ${attempt.by.pid} watches ${repository.commonDir} already`);
    return null;
  }
  report.text(`watching ${repository.commonDir}`);
  return add(session, repository, attempt.held);
}

/** One that is not there any more is given up: when it is back, another process may watch it. */
function stop({ watched }: Session, id: string): void {
  giveBack(watched.get(id)?.right ?? null);
  watched.delete(id);
}

/** With the repository's place in the ledger, when coppice was taken out of it, the right to watch it is gone. */
function giveBack(right: Ownership | null): void {
  try {
    right?.release();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function add(session: Session, { id, commonDir }: KnownRepository, right: Ownership | null): Promise<void> {
  const watch = new RepositoryWatch({ ...session, commonDir, repository: id });
  session.watched.set(id, { watch, right });
  return watch.ended;
}
