import fs from 'node:fs';
import path from 'node:path';
import { excludePaths, trackedPaths } from '../files/exclude.ts';
import { removeLeftovers } from '../files/inside.ts';
import { findShared } from '../files/isolation.ts';
import { placeFile } from '../files/place.ts';
import { type FileTask, isCopied } from '../files/sources.ts';
import type { Plan, PlannedFile } from '../plan/plan.ts';
import type { CarryRule } from '../resources/resource.ts';
import type { Task } from '../steps/graph.ts';
import type { World } from './world.ts';

/** Files that are copied come before the resources, those that are rendered after them. */
export async function fileTasks(plan: Plan, world: World): Promise<Task[]> {
  const { worktreePath } = world;
  const outputs = [...plan.copied, ...plan.rendered].map((file) => file.path);
  const owned = [...world.resolved.values()].flatMap(({ made }) => made.path ?? []);
  removeLeftovers(worktreePath, [...outputs, ...owned]);
  const { isTracked, isTrackedFile, envFiles, ignored } = await world.paths;
  const ownedTracked = owned.length === 0 ? null : await trackedPaths(worktreePath, owned);
  const warnings: string[] = [];
  const place = async (files: PlannedFile[], carry: CarryRule[]) => {
    for (const file of files)
      warnings.push(...(await placeOne(file, plan, world, { isTracked: isTracked(file.path), isTrackedFile, carry })));
    return true;
  };
  return [
    { id: 'copied', needs: [], run: () => place(plan.copied, []) },
    {
      id: 'rendered',
      needs: ['copied', ...plan.resources.map(({ name }) => `resource ${name}`)],
      async run() {
        const { rendered, variables, carry, url } = plan.values(world.resolved);
        if (url !== world.journal.record.url) world.journal.append({ event: 'url', url });
        await place(rendered, carry);
        const files = envFilesIn(worktreePath, envFiles, [...plan.copied, ...rendered]);
        warnings.push(...findShared({ worktree: worktreePath, files, variables, carry, mainPath: world.mainPath, shared: world.shared }));
        const own = owned.filter((name) => !ownedTracked?.isTracked(name));
        const later = own.flatMap((name) => [`${name}-wal`, `${name}-shm`, `${name}-journal`]);
        const shown = await excludePaths(world.commonDir, worktreePath, [...outputs.filter((name) => !ignored.has(name)), ...own], later);
        for (const name of shown) warnings.push(`git shows ${name} as untracked: this branch's .gitignore says so`);
        world.journal.append({ event: 'warnings', warnings });
        for (const warning of warnings) world.report.warn(warning);
        return true;
      },
    },
  ];
}

async function placeOne(
  file: PlannedFile,
  plan: Plan,
  world: World,
  tracked: { isTracked: boolean; isTrackedFile(name: string): boolean; carry: CarryRule[] },
): Promise<string[]> {
  const { journal, report, worktreePath, mainPath, signal } = world;
  try {
    const placed = await placeFile({
      file,
      worktree: worktreePath,
      main: mainPath,
      carry: tracked.carry,
      mainEnv: plan.mainEnv,
      before: journal.record.files[file.path],
      tracked: tracked.isTracked,
      isTrackedFile: tracked.isTrackedFile,
      salt: journal.record.id,
      signal,
    });
    if (JSON.stringify(journal.record.files[file.path]) !== JSON.stringify(placed.record))
      journal.append({ event: 'file', path: file.path, file: placed.record });
    if (placed.record.state === 'written') report.done(file.path, placed.detail);
    else if (placed.record.state !== 'missing') report.same(file.path, placed.detail);
    return placed.warnings;
  } catch (error) {
    journal.append({
      event: 'file',
      path: file.path,
      file: { action: file.spec.action, state: 'failed', digests: journal.record.files[file.path]?.digests ?? {} },
    });
    throw error;
  }
}

/** The env files of a worktree: those that git knows, those that a plan puts there, and what lies at its root. */
export function envFilesIn(worktree: string, tracked: readonly string[], planned: readonly FileTask[]): string[] {
  const written = planned.filter(({ path: name, spec }) =>
    isCopied(spec) ? path.basename(name).startsWith('.env') : spec.action !== 'template',
  );
  return [...tracked, ...written.map((file) => file.path), ...fs.readdirSync(worktree).filter((name) => name.startsWith('.env'))];
}
