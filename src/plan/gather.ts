import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/schema.ts';
import { isTemplate, loadHandlebars } from '../config/templates.ts';
import { learnEnvFiles, readEnvFile } from '../files/env-file.ts';
import { type FileTask, fileTasks } from '../files/sources.ts';
import { readKept } from '../git/kept.ts';
import type { Place } from '../git/worktrees.ts';
import type { WorktreeRecord } from '../ledger/record.ts';
import { Failure } from '../outcome.ts';
import type { Slot } from '../slot.ts';
import { type Closure, digestOfInputs } from '../trust/closure.ts';
import { type Plan, type PlanInput, planSetUp, projectName } from './plan.ts';

/** Reads everything that a plan is made from. */
export async function gather(
  closure: Closure,
  place: Place,
  root: string,
  files: FileTask[],
  names: { slug: string; slot: Slot; branch: string | null },
  record: WorktreeRecord | null,
  adminDir: string | null,
): Promise<PlanInput> {
  const { main, commonDir, bare } = place.repository;
  for (const folder of [main, root]) if (folder !== null) learnEnvFiles(folder, files);
  const { config } = closure;
  const templates = templatesOf(closure);
  const texts = [
    config.url ?? '',
    ...Object.values(config.env),
    ...Object.values(config.resources).flatMap((spec) => Object.values(spec).filter((value) => typeof value === 'string')),
    ...Object.values(templates),
    ...Object.values(config.files ?? {}).flatMap((spec) => [
      ...('text' in spec ? [spec.text ?? ''] : []),
      ...('set' in spec ? Object.values(spec.set ?? {}) : []),
    ]),
  ];
  return {
    config,
    project: projectName(config, main, commonDir, bare),
    ...names,
    worktreePath: root,
    mainPath: main,
    mainEnv: readMainEnv(config, main),
    files,
    templates,
    inputDigests: Object.assign(
      Object.create(null),
      Object.fromEntries(Object.keys(closure.inputs).map((step) => [step, digestOfInputs(closure, step) ?? ''])),
    ),
    record,
    kept: adminDir === null ? {} : readKept(adminDir),
    handlebars: texts.some(isTemplate) ? await loadHandlebars() : null,
    mainHas: (relative) => main !== null && fs.existsSync(path.join(main, relative)),
    readEnvFile(file, name) {
      const value = main === null ? undefined : readEnvFile(path.join(main, file))[name];
      if (value === undefined) throw new Failure(`\`${name}\` is not set in ${file} of the main worktree`);
      return value;
    },
  };
}

/** The plan of a worktree by its config and what is known of it, for verbs that only look. */
export async function planOf(
  closure: Closure,
  place: Place,
  worktree: { path: string; branch: string | null; adminDir?: string | null },
  names: { slug: string; slot: Slot },
  record: WorktreeRecord | null,
): Promise<Plan> {
  const files = await fileTasks(closure, place.repository);
  const { path: root, branch, adminDir = null } = worktree;
  return planSetUp(await gather(closure, place, root, files, { ...names, branch }, record, adminDir));
}

/** The main worktree's env files, the later over the earlier. */
export function readMainEnv(config: Config, main: string | null): Record<string, string> {
  if (main === null) return {};
  return Object.assign({}, ...config.envFiles.map((file) => readEnvFile(path.join(main, file))));
}

function templatesOf({ config, files }: Closure): Record<string, string> {
  const templates: Record<string, string> = {};
  for (const spec of Object.values(config.files ?? {})) {
    if (spec.action === 'template' && spec.template !== undefined)
      templates[spec.template] = files.get(spec.template)?.toString('utf8') ?? '';
  }
  return templates;
}
