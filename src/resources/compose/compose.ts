import fs from 'node:fs';
import path from 'node:path';
import { slugify } from '../../config/templates.ts';
import { readIfThere } from '../../ledger/document.ts';
import type { DestroyEffects, ResourceContext, ResourceType } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';
import { findCompose, findEngine, towards } from './engine.ts';
import { claimsOf, folderOf, type Made, portsMade, resolvedFrom, within } from './made.ts';
import { generate, make, orderIn } from './make.ts';
import { endStarter, forgetProject, removeProject, startProject } from './run.ts';

type Options = ResourceOptions<'compose'>;

/**
 * A Compose project of the worktree's own. All of it is in two variables, which Compose reads from `.env` by itself:
 * COMPOSE_PROJECT_NAME, and COMPOSE_FILE with a generated file that gives ports and names of the worktree's own.
 */
export const compose: ResourceType<Options> = {
  parts: null,
  filledBySteps: true,
  outside: 'data',
  resolve(options, context) {
    const files = options.files ?? filesOfMain(context);
    const made: Made = {
      ...context.before,
      ...(context.mainEnv.COMPOSE_PATH_SEPARATOR && { separator: path.delimiter }),
      thing: 'a Compose project',
      name: context.before?.name ?? projectName(context.project, context.slug),
    };
    delete made.files;
    return resolvedFrom(context.name, context.worktreePath, files === null ? made : { ...made, files: JSON.stringify(files) });
  },
  async examine(options, { made }, context) {
    const { examine } = await import('./examine.ts');
    return examine(options, made.files === undefined ? null : (JSON.parse(made.files) as string[]), context);
  },
  async intact(_options, { made }, effects) {
    if (made.order === undefined || !claimsOf(made).every((name) => effects.claim(name))) return false;
    // Nobody could ask yet whether another's project has this name.
    if (made.checked === undefined && 'id' in (await findEngine(towards(made, process.env)))) return false;
    const { generated, missing, ports } = await generate(made, effects, made.style === 'override');
    const folder = folderOf(effects.stateFolder);
    const same = Object.entries(generated.written).every(([name, text]) => readIfThere(path.join(folder, name)) === text);
    const leftover = Object.keys(ports).length !== Object.keys(portsMade(made)).length;
    // Its files were made for no Compose in particular.
    if (made.compose === 'none' && (await findCompose(process.env)) !== null) return false;
    return same && missing.length === 0 && !leftover && JSON.stringify(orderIn(generated, effects)) === made.order;
  },
  create: (_options, resolved, effects) => make(resolved, effects),
  async start(options, resolved, effects) {
    if (!options.up) return null;
    return startProject(options, resolved, effects);
  },
  async stop(made, effects) {
    await endStarter(effects.stateFolder);
    await removeProject(made, effects.worktreeId, ['container', 'network']);
  },
  async destroy(made, effects) {
    await endStarter(effects.stateFolder);
    await removeProject(made, effects.worktreeId, ['container', 'network', 'volume']);
    giveBackAll(made, effects);
  },
  nameOf: ({ name }) => name,
  async forget(made, effects) {
    const line = await forgetProject(made);
    await endStarter(effects.stateFolder);
    giveBackAll(made, effects);
    return line;
  },
};

/** What this machine keeps of a project beside its engine. */
function giveBackAll(made: Made, { stateFolder, release }: DestroyEffects): void {
  fs.rmSync(folderOf(stateFolder), { recursive: true, force: true });
  for (const name of claimsOf(made)) release(name);
}

/** The files that Compose is told of in the main worktree, where it does not look for them. */
function filesOfMain({ mainEnv, mainPath }: ResourceContext): string[] | null {
  const { COMPOSE_FILE: named, COMPOSE_PATH_SEPARATOR: separator = ':' } = mainEnv;
  if (!named) return null;
  return named.split(separator || ':').map((file) => {
    const inside = path.isAbsolute(file) ? path.relative(mainPath, file) : file;
    return path.isAbsolute(file) && inside.split(path.sep)[0] === '..' ? file : inside;
  });
}

/** `<project>-<slug>` as Compose wants it: `[a-z0-9][a-z0-9_-]*`. */
function projectName(project: string, slug: string): string {
  return within(`${slugify(project) || 'app'}-${slug}`);
}
