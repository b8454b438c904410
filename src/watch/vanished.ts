import fs from 'node:fs';
import path from 'node:path';
import type { WorktreeRecord } from '../ledger/record.ts';
import { readRepositoryId } from '../ledger/repositories.ts';
import type { Reporter } from '../report/reporter.ts';
import { resourceType } from '../resources/table.ts';
import { findVanished, releaseVanished } from '../vanished.ts';

type Where = Parameters<typeof releaseVanished>[0];

/**
 * Gives back what worktrees that are gone held, as the next `git worktree add` would, and says it.
 * @returns when something that is kept may go, in milliseconds since 1970; null when nothing is kept
 */
export function cleanUp(where: Where, report: Reporter): number | null {
  const fresh = findVanished(where).filter(({ record }) => record.goneAt === null);
  releaseVanished(where);
  const left = new Map(findVanished(where).map((vanished) => [vanished.id, vanished]));
  for (const { id, record } of fresh) {
    const now = left.get(id);
    // Another process is at it: `git coppice remove`, or a set-up that has not noticed yet.
    if (now && now.record.goneAt === null) continue;
    report.done(record.slug, [`gone; gave back ${portsOf(record)}`, ...(now ? keptBy(now) : [])].join('; '));
  }
  const times = [...left.values()].flatMap(({ keptUntil }) => (keptUntil === null || keptUntil <= Date.now() ? [] : [keptUntil]));
  return times.length === 0 ? null : Math.min(...times);
}

/** Whether a repository is there, and is the one that the ledger knows: while it is being deleted, parts of it are missing. */
export function isWhole(commonDir: string, repository: string): boolean {
  return (
    ['HEAD', 'config', 'objects', 'refs'].every((name) => fs.existsSync(path.join(commonDir, name))) &&
    readRepositoryId(commonDir) === repository
  );
}

function portsOf(record: WorktreeRecord): string {
  return Object.values(record.ports).join(', ') || 'its slot';
}

function keptBy({ record, keptUntil }: { record: WorktreeRecord; keptUntil: number | null }): string[] {
  const data = Object.entries(record.resources).filter(
    ([, { type, state }]) => state !== 'destroyed' && resourceType(type).outside === 'data',
  );
  if (keptUntil === null || data.length === 0) return [];
  return [`${data.map(([name]) => name).join(', ')} kept until ${new Date(keptUntil).toLocaleString('sv').slice(0, 16)}`];
}
