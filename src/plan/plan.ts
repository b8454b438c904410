import { createHash } from 'node:crypto';
import path from 'node:path';
import type Handlebars from 'handlebars';
import { milliseconds } from '../config/duration.ts';
import type { Config, ResourceSpec, StepSpec } from '../config/schema.ts';
import { stepOrder } from '../config/step-order.ts';
import { type FileTask, isCopied } from '../files/sources.ts';
import { isSameThing, type TeardownStep, type WorktreeRecord } from '../ledger/record.ts';
import { Failure } from '../outcome.ts';
import type { CarryRule, ResolvedResource } from '../resources/resource.ts';
import { resourceType } from '../resources/table.ts';
import type { Slot } from '../slot.ts';
import { filler, knownValues, planValues, templateValues } from './values.ts';

/** Everything that a plan is made from. Values only: the plan is the same for the same input. */
export interface PlanInput {
  config: Config;
  project: string;
  slug: string;
  slot: Slot;
  branch: string | null;
  worktreePath: string;
  mainPath: string | null;
  mainEnv: Record<string, string>;
  files: FileTask[];
  /** Text of the template files, by path. */
  templates: Record<string, string>;
  /** A digest of what each step's `inputs` hold now, by step. */
  inputDigests: Record<string, string>;
  /** What the ledger knows of the worktree; null before its first set-up. */
  record: WorktreeRecord | null;
  /** What commands gave for the resources, and the ledger must not know, by resource. */
  kept: Record<string, Record<string, string>>;
  /** Null when the config holds no template. */
  handlebars: typeof Handlebars | null;
  mainHas(relative: string): boolean;
  /** For the helper `envfile`. */
  readEnvFile(file: string, name: string): string;
}

export interface PlannedResource {
  name: string;
  spec: ResourceSpec;
  /** What it will be; or why that cannot be said, which is what its set-up fails with. */
  resolved: ResolvedResource | Failure;
  /** False when an earlier run made it. */
  create: boolean;
}

export interface PlannedFile extends FileTask {
  /** The variables to place (`merge`, `env`) by name, or the whole text (`template`). */
  place: Record<string, string>;
  text: string | null;
}

export interface PlannedStep {
  name: string;
  spec: StepSpec;
  /** A digest of the command and of what it depends on: a step that succeeded with the same key is skipped. */
  key: string;
  done: boolean;
  needs: string[];
  /** The resources that it fills, by itself or by what it needs: when one of them is made again, it runs again. */
  fills: string[];
}

/** The resources of a worktree as far as they are known. */
export type Resolved = ReadonlyMap<string, ResolvedResource>;

/** What follows from the resources, once they are made. */
export interface Values {
  url: string | null;
  /** The variables that files and commands get. */
  variables: Record<string, string>;
  carry: CarryRule[];
  rendered: PlannedFile[];
}

/** What a set-up does, in order: copied files, resources, rendered files, steps. */
export interface Plan {
  project: string;
  slug: string;
  slot: Slot;
  /** The main worktree's env files, read. */
  mainEnv: Record<string, string>;
  copied: PlannedFile[];
  resources: PlannedResource[];
  rendered: FileTask[];
  /** @throws {Failure} when a value that is asked for is not known */
  values(resources: Resolved): Values;
  /** The variables that are known, and the address if it is. */
  known(resources: Resolved): Pick<Values, 'variables' | 'url'>;
  steps: PlannedStep[];
  teardown: TeardownStep[];
  keepMs: number;
}

/** What a step without `needs` waits for, besides the step above it. */
const EVERYTHING_BEFORE = ['copied', 'rendered'];

/** Makes the plan. @throws {Failure} when a part of it cannot be had on this machine */
export function planSetUp(input: PlanInput): Plan {
  const { config, slot, files } = input;
  const resources = oneEach(Object.entries(config.resources).map(([name, spec]) => planResource(name, spec, input)));
  return {
    project: input.project,
    slug: input.slug,
    slot,
    mainEnv: input.mainEnv,
    copied: files.filter(({ spec }) => isCopied(spec)).map((task) => ({ ...task, place: {}, text: null })),
    resources,
    rendered: files.filter(({ spec }) => !isCopied(spec)),
    values: (resolved) => planValues(input, resolved),
    known: (resolved) => knownValues(input, resolved),
    steps: planSteps(input, stepOrder(config)),
    teardown: planTeardown(config),
    keepMs: milliseconds(config.keep),
  };
}

/** Two resources that would be one copy of one source, or one database: the second is refused, not made twice. */
function oneEach(resources: PlannedResource[]): PlannedResource[] {
  const owners = new Map<string, string>();
  return resources.map((resource) => {
    const { name, spec, resolved } = resource;
    if (resolved instanceof Failure || resolved.source === null) return resource;
    const { thing, server, wanted } = resolved.made;
    const same = `${name} names the same ${spec.type} database as`;
    const named = `${name} would have the database ${wanted} at ${server}, as`;
    const meant: [key: string, is: string, mend: string][] = [];
    if (thing !== undefined)
      meant.push([
        `thing ${thing}`,
        same,
        'Name it once; in an env file the other variable follows by itself, else compute it under `env:`.',
      ]);
    if (server !== undefined && wanted !== undefined) meant.push([`name ${server} ${wanted}`, named, 'Give one of them another `name:`.']);
    for (const [key, is, mend] of meant) {
      const other = owners.get(`${spec.type} ${key}`);
      if (other !== undefined) return { ...resource, resolved: new Failure(`${is} ${other}. ${mend}`) };
    }
    for (const [key] of meant) owners.set(`${spec.type} ${key}`, name);
    return resource;
  });
}

/** What is known of a plan's resources before anything is made. */
export function resolvedNow({ resources }: Pick<Plan, 'resources'>): Map<string, ResolvedResource> {
  return new Map(resources.flatMap(({ name, resolved }) => (resolved instanceof Failure ? [] : [[name, resolved] as const])));
}

/** A worktree's variables as they are now. @throws {Failure} when one is not known */
export function variablesNow(plan: Plan): Record<string, string> {
  for (const { resolved } of plan.resources) if (resolved instanceof Failure) throw resolved;
  return plan.values(resolvedNow(plan)).variables;
}

function planResource(name: string, spec: ResourceSpec, input: PlanInput): PlannedResource {
  const { slot, mainPath, worktreePath, mainEnv, record, config } = input;
  const known = record?.resources[name];
  const there = known && known.state !== 'destroyed' ? known : undefined;
  if (there && there.type !== spec.type) {
    throw new Failure(
      `${name} was made as \`${there.type}\` and is \`${spec.type}\` in the config now. Run \`git coppice down\` first, then \`git coppice up\`.`,
    );
  }
  let resolved: ResolvedResource;
  try {
    resolved = resourceType(spec.type).resolve(spec, {
      isMain: slot.slot === 0,
      name,
      project: input.project,
      slug: input.slug,
      mainPath: mainPath ?? worktreePath,
      worktreePath,
      mainEnv,
      envFiles: config.envFiles,
      port: slot.ports[name] ?? null,
      before: there?.made ?? null,
      kept: input.kept[name] ?? null,
      mainHas: input.mainHas,
      text: filler(input, templateValues(input, new Map())),
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { name, spec, resolved: error, create: true };
  }
  return { name, spec, resolved, create: there?.state !== 'ready' || !isSameThing(there.made, resolved.made) };
}

/** A step that succeeded is done while its key is the same, and what it fills is not made again. */
function planSteps({ config, record, inputDigests }: PlanInput, order: Map<string, string[]>): PlannedStep[] {
  const filled = Object.entries(config.resources).flatMap(([name, spec]) => (resourceType(spec.type).filledBySteps ? [name] : []));
  const fills = (name: string): string[] => {
    const { needs } = config.steps[name] ?? {};
    return needs ? needs.flatMap((need) => (need in config.steps ? fills(need) : filled.filter((resource) => resource === need))) : filled;
  };
  return Object.entries(config.steps).map(([name, spec]) => {
    const { run, env, cwd, variables } = spec;
    const parts = [run, env ?? {}, cwd ?? '', variables, inputDigests[name] ?? ''];
    const key = createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);
    const before = record?.steps[name];
    const steps = (order.get(name) ?? []).map((step) => `step ${step}`);
    const needs = spec.needs ? ['copied', ...steps, ...spec.needs.map((need) => `resource ${need}`)] : [...EVERYTHING_BEFORE, ...steps];
    return {
      name,
      spec,
      key,
      done: before?.state === 'ok' && before.key === key,
      needs,
      fills: fills(name),
    };
  });
}

function planTeardown(config: Config): TeardownStep[] {
  return Object.entries(config.teardown).map(([name, spec]) => ({
    name,
    run: spec.run,
    env: spec.env ?? {},
    cwd: spec.cwd ?? '.',
    timeoutMs: milliseconds(spec.timeout),
  }));
}

/** The name of the project: the config's, else the main worktree's folder, else the folder around a bare repository. */
export function projectName(config: Config, mainPath: string | null, commonDir: string, bare: boolean): string {
  if (config.project !== undefined) return config.project;
  if (!bare && mainPath !== null) return path.basename(mainPath);
  const name = path.basename(commonDir);
  return name.startsWith('.') ? path.basename(path.dirname(commonDir)) : name.replace(/\.git$/, '');
}
