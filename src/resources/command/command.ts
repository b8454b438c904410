import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { milliseconds } from '../../config/duration.ts';
import { Failure } from '../../outcome.ts';
import { readEnd, tail } from '../../steps/log-tail.ts';
import { maskLog } from '../../steps/private-log.ts';
import { endLeftover } from '../../steps/process-group.ts';
import { runCommand } from '../../steps/run-command.ts';
import type { Created, DestroyEffects, ResolvedResource, ResourceContext, ResourceEffects, ResourceType } from '../resource.ts';
import { learnOutput, type Output, readOutput } from './output.ts';
import { ownRecipe, presetRecipe, type Recipe } from './recipe.ts';

/** Whatever a config's `create` makes and its `destroy` removes. */
export const command = madeBy(ownRecipe);

/** What a service's own program makes and removes: a `command` that is written down already. */
export const preset = madeBy(presetRecipe);

function madeBy<Options extends { type: string }>(recipeOf: (options: Options) => Recipe): ResourceType<Options> {
  return {
    parts: null,
    filledBySteps: true,
    outside: 'data',
    resolve: (options, context) => resolve(options.type, recipeOf(options), context),
    intact: (options, { value, made }, effects) => (value === null ? Promise.resolve(false) : isThere(recipeOf(options), made, effects)),
    create: (options, resolved, effects) => create(recipeOf(options), resolved, effects),
    destroy,
  };
}

/**
 * What the journal keeps. `thing` tells it from another under the same variable; `name`, `process` and `kept` come with
 * `create`: the name, its process group while it runs, and the parts that `destroy` needs, as JSON.
 */
function resolve(type: string, recipe: Recipe, context: ResourceContext): ResolvedResource {
  const { name: variable, before, kept, mainEnv, mainPath, worktreePath } = context;
  const thing = digest([type, Object.entries(recipe.env).sort()]);
  const known = before?.thing === thing ? before : {};
  const made: Record<string, string> = { thing, variable, env: JSON.stringify(recipe.env), timeout: recipe.timeout };
  if (recipe.destroy !== undefined) made.destroy = recipe.destroy;
  for (const key of ['name', 'shown', 'process', 'kept']) if (known[key] !== undefined) made[key] = known[key];
  const resolved = { value: null, variables: {}, parts: {}, made, source: null, carry: [], detail: made.name ?? `${type}, to be made` };
  const own = Object.hasOwn(mainEnv, variable) ? mainEnv[variable] : undefined;
  // The main worktree has what its env files say.
  if (worktreePath === mainPath && own !== undefined) return { ...resolved, value: own, variables: { [variable]: own }, detail: own };
  // Only what these commands printed for this very thing is its value.
  const isKept = made.name !== undefined && kept?.thing === thing && kept.recipe === digestOf(recipe);
  return isKept ? withOutput(resolved, learnOutput(JSON.parse(kept.output ?? ''), made.name ?? '')) : resolved;
}

/** A command without a value of its own gives only variables: its name stands for it. */
function withOutput(resolved: ResolvedResource, { value, variables, parts }: Output): ResolvedResource {
  const { name = '' } = resolved.made;
  return { ...resolved, value: value ?? name, variables, parts: { name, ...parts }, detail: name };
}

/** What decides what `create` prints: when it is changed, what was printed is not the value any more. */
function digestOf({ create, output, value, keep }: Recipe): string {
  return digest([create, output, value ?? null, keep]);
}

async function create(recipe: Recipe, resolved: ResolvedResource, effects: ResourceEffects): Promise<Created> {
  const { process: leftover, ...before } = resolved.made;
  if (leftover !== undefined) await endLeftover(leftover);
  const name = before.name ?? nameFor(before.variable ?? '', recipe.limit, effects);
  const made: Record<string, string> = { ...before, name, shown: name };
  if (resolved.value !== null && (await isThere(recipe, made, effects)))
    return { detail: `${name}, there already`, resolved: { ...resolved, made } };
  const stdout = await runCreate(recipe, made, effects);
  const output = learnOutput(readOutput(recipe, before.variable ?? '', stdout), name);
  maskLog(effects.log);
  const kept = Object.fromEntries(recipe.keep.map((part) => [part, output.parts[part] ?? '']));
  const whole = recipe.keep.length === 0 ? made : { ...made, kept: JSON.stringify(kept) };
  return {
    detail: name,
    resolved: withOutput({ ...resolved, made: whole }, output),
    kept: { thing: made.thing ?? '', recipe: digestOf(recipe), output: JSON.stringify(output) },
  };
}

/** @returns what it printed on stdout */
async function runCreate(recipe: Recipe, made: Record<string, string>, effects: ResourceEffects): Promise<string> {
  const { log, signal, worktreePath, say, intend } = effects;
  fs.rmSync(log, { force: true });
  const env = environment(effects.environment(), effects.worktreeId, made);
  for (let attempt = 1; ; attempt += 1) {
    let stdout = '';
    const result = await runCommand({
      run: recipe.create,
      cwd: worktreePath,
      env,
      timeoutMs: milliseconds(recipe.timeout),
      log,
      signal,
      stdout: (text) => {
        stdout = text;
      },
      started: (mark) => intend(mark === null ? made : { ...made, process: JSON.stringify(mark) }),
    });
    if (result.ok) {
      for (const text of wordsFor(log)) say(`${made.variable}: ${text}`);
      return stdout;
    }
    if (attempt > recipe.retries || signal.aborted) throw new Failure(`\`create\`: ${result.why}`, 1, signal.aborted ? '' : tail(log));
    say(`${made.variable}: ${result.why}, trying again (${attempt} of ${recipe.retries})`);
  }
}

/** The lines of stderr that are for the user: they begin with `coppice: `. */
function wordsFor(log: string): string[] {
  const lines = readEnd(log).split('\n');
  return lines.flatMap((line) => (line.startsWith('coppice: ') ? [line.slice('coppice: '.length)] : []));
}

/** Whether `check` says that it is still there; without a `check` it is. */
async function isThere(recipe: Recipe, made: Record<string, string>, effects: ResourceEffects): Promise<boolean> {
  if (recipe.check === undefined) return true;
  const { log, signal, worktreePath, worktreeId } = effects;
  const result = await runCommand({
    run: recipe.check,
    cwd: worktreePath,
    env: environment(effects.environment(), worktreeId, made),
    timeoutMs: milliseconds(recipe.timeout),
    log,
    signal,
    stdout: () => {},
    started: () => {},
  });
  if (signal.aborted) throw new Failure('`check`: interrupted');
  return result.ok;
}

/** Runs from the record alone, in an empty folder: worktree and config may be gone. */
async function destroy(made: Record<string, string>, effects: DestroyEffects): Promise<void> {
  if (made.process !== undefined) await endLeftover(made.process);
  // Without a name, `create` never ran.
  if (made.destroy === undefined || made.name === undefined) return;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-destroy-'));
  try {
    const cwd = path.join(folder, 'empty');
    const log = path.join(folder, 'log');
    fs.mkdirSync(cwd);
    const result = await runCommand({
      run: made.destroy,
      cwd,
      env: environment(effects.environment(), effects.worktreeId, made),
      timeoutMs: milliseconds(made.timeout ?? ''),
      log,
      signal: effects.signal,
      started: () => {},
    });
    if (!result.ok) throw new Failure(`${made.name} is still there: \`destroy\`: ${result.why}`, 1, tail(log));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** What every command of a resource is told, beside what all commands of the worktree are. */
function environment(base: NodeJS.ProcessEnv, worktreeId: string, made: Record<string, string>): NodeJS.ProcessEnv {
  const kept = Object.entries(JSON.parse(made.kept ?? '{}') as Record<string, string>);
  return {
    ...base,
    ...(JSON.parse(made.env ?? '{}') as Record<string, string>),
    ...Object.fromEntries(kept.map(([part, text]) => [`COPPICE_OUTPUT_${part.replace(/[^A-Za-z0-9]/g, '_').toUpperCase()}`, text])),
    COPPICE_NAME: made.name ?? '',
    COPPICE_WORKTREE: worktreeId,
  };
}

/**
 * `<project>-<slug>-<hash>`, of `[a-z0-9-]`, beginning with a letter. The hash is of the worktree's random id and the variable,
 * so that no other worktree of anyone gets it: what bears this name is ours.
 */
function nameFor(variable: string, limit: number, { environment, worktreeId }: ResourceEffects): string {
  const { COPPICE_PROJECT = '', COPPICE_SLUG = '' } = environment();
  const end = `-${createHash('sha256').update(`${worktreeId}\0${variable}`).digest('hex').slice(0, 8)}`;
  const plain = `${COPPICE_PROJECT}-${COPPICE_SLUG}`
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '');
  return (plain.slice(0, limit - end.length).replace(/-+$/, '') || 'w') + end;
}

function digest(of: unknown): string {
  return createHash('sha256').update(JSON.stringify(of)).digest('base64url').slice(0, 22);
}
