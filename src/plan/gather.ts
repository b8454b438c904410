import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/schema.ts';
import { isTemplate, loadHandlebars } from '../config/templates.ts';
import { readEnvText } from '../files/env-text.ts';
import { type FileTask, fileTasks } from '../files/sources.ts';
import { readKept } from '../git/kept.ts';
import type { Place } from '../git/worktrees.ts';
import { readPlainIfThere } from '../ledger/document.ts';
import type { WorktreeRecord } from '../ledger/record.ts';
import { Failure } from '../outcome.ts';
import type { Slot } from '../slot.ts';
import { type Plan, type PlanInput, planSetUp, projectName } from './plan.ts';

/** Reads everything that a plan is made from. */
export async function gather(
  config: Config,
  place: Place,
  root: string,
  files: FileTask[],
  names: { slug: string; slot: Slot; branch: string | null },
  record: WorktreeRecord | null,
  adminDir: string | null,
): Promise<PlanInput> {
  const { main, commonDir, bare } = place.repository;
  const inputDigests = await digestInputs(config, root);
  const templates = readTemplates(config, root);
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
    inputDigests,
    record,
    kept: adminDir === null ? {} : readKept(adminDir),
    handlebars: texts.some(isTemplate) ? await loadHandlebars() : null,
    mainHas: (relative) => main !== null && fs.existsSync(path.join(main, relative)),
    readEnvFile(file, name) {
      const value = main === null ? undefined : readEnvText(readPlainIfThere(path.join(main, file)) ?? '')[name];
      if (value === undefined) throw new Failure(`\`${name}\` is not set in ${file} of the main worktree`);
      return value;
    },
  };
}

/** The plan of a worktree by its config and what is known of it, for verbs that only look. */
export async function planOf(
  config: Config,
  place: Place,
  worktree: { path: string; branch: string | null; adminDir?: string | null },
  names: { slug: string; slot: Slot },
  record: WorktreeRecord | null,
): Promise<Plan> {
  const files = await fileTasks(config, place.repository, worktree.path);
  const { path: root, branch, adminDir = null } = worktree;
  return planSetUp(await gather(config, place, root, files, { ...names, branch }, record, adminDir));
}

/** The main worktree's env files, the later over the earlier. */
export function readMainEnv(config: Config, main: string | null): Record<string, string> {
  if (main === null) return {};
  return Object.assign({}, ...config.envFiles.map((file) => readEnvText(readPlainIfThere(path.join(main, file)) ?? '')));
}

function readTemplates(config: Config, root: string): Record<string, string> {
  const templates: Record<string, string> = {};
  for (const spec of Object.values(config.files ?? {})) {
    if (spec.action === 'template' && spec.template !== undefined)
      templates[spec.template] = fs.readFileSync(path.join(root, spec.template), 'utf8');
  }
  return templates;
}

async function digestInputs(config: Config, root: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [name, spec] of Object.entries(config.steps)) {
    if (!spec.inputs) continue;
    const { glob } = await import('tinyglobby');
    const hash = createHash('sha256');
    const found = await glob(spec.inputs, {
      cwd: root,
      dot: true,
      ignore: ['**/.git/**', '**/node_modules/**'],
      followSymbolicLinks: false,
      expandDirectories: true,
    });
    for (const file of found.sort())
      hash
        .update(`${file}\0`)
        .update(fs.readFileSync(path.join(root, file)))
        .update('\0');
    digests[name] = hash.digest('base64url').slice(0, 22);
  }
  return digests;
}
