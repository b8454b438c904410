import fs from 'node:fs';
import path from 'node:path';
import { learnEnvFiles } from '../files/env-file.ts';
import { readKept } from '../git/kept.ts';
import { findPlace, type Place, type Worktree } from '../git/worktrees.ts';
import { readJournal } from '../ledger/journal.ts';
import type { WorktreeRecord } from '../ledger/record.ts';
import { readRepositoryId, worktreeFolder } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { learnOutput } from '../resources/command/output.ts';
import type { Closure } from '../trust/closure.ts';
import type { Judged } from '../trust/judge.ts';
import { approvedClosure } from '../trusted.ts';

/** A linked worktree that a verb is about. */
export interface Target {
  place: Place;
  worktree: Worktree & { adminDir: string };
}

/** The verbs that work in the worktree's folder. */
const NEEDS_FOLDER = ['up', 'env', 'run'];

/** The worktree that an argument names (path, branch, slug or folder name), or the one around the current folder. */
export async function findTarget(argument: string | undefined, verb: string): Promise<Target> {
  const place = await findPlace(process.cwd());
  if (place.repository.main !== null) learnEnvFiles(place.repository.main);
  const worktree = argument === undefined ? place.worktree : named(place, argument);
  if (worktree?.prunable && NEEDS_FOLDER.includes(verb))
    throw new Failure(
      `The folder ${worktree.path} is not there. Moved? \`git worktree repair <new path>\`. Gone? \`git worktree prune\`, then \`git coppice gc\`.`,
    );
  if (worktree && worktree.path !== place.repository.main && worktree.adminDir !== null)
    return { place, worktree: { ...worktree, adminDir: worktree.adminDir } };
  if (argument !== undefined && samePath(argument, place.repository.main)) throw new Failure(mainSentence(verb), 2);
  if (argument !== undefined) {
    const known = place.repository.linked.map((linked) => linked.branch ?? linked.path);
    throw new Failure(
      `There is no worktree \`${argument}\` here.${known.length > 0 ? ` Worktrees: ${known.join(', ')}.` : ' This repository has no linked worktree.'}`,
      2,
    );
  }
  throw new Failure(mainSentence(verb), 2);
}

/** The main worktree is never changed; `setUpMain` says so in the verb's words. */
function mainSentence(verb: string): string {
  return `This is the main worktree, which coppice never changes. Go to a linked worktree, or name one: \`git coppice ${verb} <worktree>\`.`;
}

function named({ repository }: Place, argument: string): Worktree | null {
  const { linked } = repository;
  const byPath = linked.find((worktree) => samePath(argument, worktree.path));
  if (byPath) return byPath;
  const byName = linked.filter(
    (worktree) =>
      worktree.branch === argument ||
      path.basename(worktree.path) === argument ||
      recordOf(repository.commonDir, worktree)?.slug === argument,
  );
  if (byName.length > 1)
    throw new Failure(
      `\`${argument}\` names ${byName.length} worktrees: ${byName.map((worktree) => worktree.path).join(', ')}. Name one by its path.`,
      2,
    );
  return byName[0] ?? null;
}

function samePath(argument: string, other: string | null): boolean {
  if (other === null) return false;
  const full = path.resolve(argument);
  return full === other || (fs.existsSync(full) && fs.existsSync(other) && fs.realpathSync(full) === fs.realpathSync(other));
}

/** What the ledger knows of a worktree; null before its first set-up. */
export function recordOf(commonDir: string, worktree: Pick<Worktree, 'id'>): WorktreeRecord | null {
  const repository = readRepositoryId(commonDir);
  if (repository === null || worktree.id === null) return null;
  return readJournal(worktreeFolder(openStateDir(), repository, worktree.id));
}

/** Makes known what is secret in a worktree, for what its commands print. */
export function learnFrom({ path: root, adminDir }: Target['worktree'], record: WorktreeRecord | null): void {
  const placed = Object.entries(record?.files ?? {}).map(([name, spec]) => ({ path: name, spec }));
  learnEnvFiles(root, placed);
  for (const [name, { output }] of Object.entries(readKept(adminDir)))
    if (output !== undefined) learnOutput(JSON.parse(output), record?.resources[name]?.made.name ?? '');
}

/**
 * What the branch of a target asks for.
 * @param isNew whether it was never set up @throws {Failure} when it has no config (2), or it was not approved (3)
 */
export async function approvedOf({ place, worktree }: { place: Place; worktree: Judged['worktree'] }, isNew = false): Promise<Closure> {
  const closure = await approvedClosure(place, worktree, isNew);
  if (closure === null) throw noConfig(worktree.path);
  return closure;
}

export function noConfig(folder: string): Failure {
  return new Failure(`There is no worktree.config.yaml in ${folder}: this branch has nothing to set up.`, 2);
}
