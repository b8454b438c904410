import { createHash } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import type Handlebars from 'handlebars';
import { milliseconds } from './config/duration.ts';
import { stepOrder } from './config/rules.ts';
import type { Config, ResourceSpec, StepSpec } from './config/schema.ts';
import { isTemplate, render } from './config/templates.ts';
import type { FileTask } from './files/sources.ts';
import type { TeardownStep, WorktreeRecord } from './ledger/record.ts';
import { Failure } from './outcome.ts';
import type { CarryRule, ResolvedResource, ResourceType } from './resources/resource.ts';
import { RESOURCE_TYPES } from './resources/table.ts';
import type { Slot } from './slot.ts';

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
  /** Null when the config holds no template. */
  handlebars: typeof Handlebars | null;
  /** For the helper `envfile`. */
  readEnvFile(file: string, name: string): string;
}

export interface PlannedResource {
  name: string;
  spec: ResourceSpec;
  resolved: ResolvedResource;
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
}

/** What a set-up does, in order: copied files, resources, rendered files, steps. */
export interface Plan {
  project: string;
  slug: string;
  slot: Slot;
  url: string | null;
  /** The variables that files and commands get. */
  variables: Record<string, string>;
  carry: CarryRule[];
  /** The main worktree's env files, read. */
  mainEnv: Record<string, string>;
  copied: PlannedFile[];
  resources: PlannedResource[];
  rendered: PlannedFile[];
  steps: PlannedStep[];
  teardown: TeardownStep[];
  keepMs: number;
}

/** The actions that need no variable: they run first. */
const COPIED = ['copy', 'link', 'sqlite'];
/** What a step without `needs` waits for, besides the step above it. */
const EVERYTHING_BEFORE = ['copied', 'rendered'];

/** Makes the plan. @throws {Failure} when a value is not to be had on this machine */
export function planSetUp(input: PlanInput): Plan {
  const { config, slot } = input;
  const resources = Object.entries(config.resources).map(([name, spec]) => planResource(name, spec, input));
  const values = templateValues(input, resources);
  const text = (template: string): string => {
    if (!isTemplate(template)) return template;
    if (!input.handlebars) throw new Error('a template without Handlebars');
    return render(input.handlebars, template, values, input.readEnvFile);
  };
  const variables: Record<string, string> = {};
  for (const { name, spec, resolved } of resources) if (spec.export) variables[name] = resolved.value;
  for (const [name, template] of Object.entries(config.env)) {
    variables[name] = named(`env.${name}`, () => text(template));
    values[name] = variables[name];
  }
  const files = input.files.map((task) => planFile(task, variables, text, input));
  return {
    project: input.project,
    slug: input.slug,
    slot,
    url: config.url === undefined ? defaultUrl(slot) : named('url', () => text(config.url ?? '')),
    variables,
    mainEnv: input.mainEnv,
    carry: resources.flatMap(({ resolved }) => resolved.carry),
    copied: files.filter(({ spec }) => COPIED.includes(spec.action)),
    resources,
    rendered: files.filter(({ spec }) => !COPIED.includes(spec.action)),
    steps: planSteps(input, stepOrder(config), resources),
    teardown: planTeardown(config),
    keepMs: milliseconds(config.keep),
  };
}

function planResource(
  name: string,
  spec: ResourceSpec,
  { slot, mainPath, worktreePath, mainEnv, record, config }: PlanInput,
): PlannedResource {
  const known = record?.resources[name];
  if (known && known.state !== 'destroyed' && known.type !== spec.type) {
    throw new Failure(
      `${name} was made as \`${known.type}\` and is \`${spec.type}\` in the config now. Run \`git coppice down\` first, then \`git coppice up\`.`,
    );
  }
  const type = resourceType(spec.type);
  const resolved = type.resolve(spec, {
    name,
    mainPath: mainPath ?? worktreePath,
    worktreePath,
    mainEnv,
    envFiles: config.envFiles,
    port: slot.ports[name] ?? null,
  });
  const same = known?.state === 'ready' && isSameThing(known.made, resolved.made);
  return { name, spec, resolved, create: !same || !type.intact(spec, resolved) };
}

/** Whether what the journal says was made is what a plan means; the journal may know more of it. */
export function isSameThing(made: Record<string, string>, meant: Record<string, string>): boolean {
  return Object.entries(meant).every(([key, value]) => made[key] === value);
}

/** A resource type by name. Its options are those of its own schema, which the config's schema has checked. */
export function resourceType(name: string): ResourceType {
  const type = Object.entries(RESOURCE_TYPES).find(([known]) => known === name)?.[1];
  if (!type)
    throw new Failure(
      `The ledger names a resource of type \`${name}\`, which this version of coppice does not know: a newer one made it, and is needed here.`,
    );
  return type as unknown as ResourceType;
}

/** `main.env` is a map without a prototype, so that no name reads what is not in the file. */
function templateValues(input: PlanInput, resources: PlannedResource[]): Record<string, unknown> {
  return {
    project: input.project,
    slug: input.slug,
    slug_: input.slug.replaceAll('-', '_'),
    slot: String(input.slot.slot),
    branch: input.branch ?? '',
    path: input.worktreePath,
    main: { path: input.mainPath ?? '', env: { ...input.mainEnv } },
    user: os.userInfo().username,
    resources: Object.fromEntries(resources.map(({ name, resolved }) => [name, { ...resolved.parts }])),
    ...Object.fromEntries(resources.map(({ name, resolved }) => [name, resolved.value])),
  };
}

function planFile(
  task: FileTask,
  variables: Record<string, string>,
  text: (template: string) => string,
  { templates }: PlanInput,
): PlannedFile {
  const { spec } = task;
  if (spec.action === 'template') {
    const template = spec.template === undefined ? (spec.text ?? '') : (templates[spec.template] ?? '');
    return { ...task, place: {}, text: named(task.path, () => text(template)) };
  }
  const set = 'set' in spec ? spec.set : undefined;
  const place = set
    ? Object.fromEntries(Object.entries(set).map(([name, template]) => [name, named(`${task.path}, ${name}`, () => text(template))]))
    : variables;
  return { ...task, place, text: null };
}

/** A step that succeeded is done while its key is the same and nothing that it fills is made again, by it or by what it needs. */
function planSteps(
  { config, record, inputDigests, worktreePath }: PlanInput,
  order: Map<string, string[]>,
  resources: PlannedResource[],
): PlannedStep[] {
  // What stands there already is used as it is, and steps have filled it or need not.
  const isMadeAgain = (type: ResourceType, resolved: ResolvedResource) => type.filledBySteps && !type.present(resolved, { worktreePath });
  const fresh = new Set(
    resources.flatMap(({ name, spec, resolved, create }) => (create && isMadeAgain(resourceType(spec.type), resolved) ? [name] : [])),
  );
  const again = (name: string): boolean => {
    const { needs } = config.steps[name] ?? {};
    return needs ? needs.some((need) => fresh.has(need) || (need in config.steps && again(need))) : fresh.size > 0;
  };
  return Object.entries(config.steps).map(([name, spec]) => {
    const { run, env, cwd, variables } = spec;
    const parts = [run, env ?? {}, cwd ?? '', variables, inputDigests[name] ?? ''];
    const key = createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);
    const before = record?.steps[name];
    const steps = (order.get(name) ?? []).map((step) => `step ${step}`);
    const needs = spec.needs ? ['copied', ...steps, ...spec.needs.map((need) => `resource ${need}`)] : [...EVERYTHING_BEFORE, ...steps];
    return { name, spec, key, done: before?.state === 'ok' && before.key === key && !again(name), needs };
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

function defaultUrl(slot: Slot): string | null {
  const [port] = Object.values(slot.ports);
  return port === undefined ? null : `http://localhost:${port}`;
}

/** Says which part of the config a failure is about. */
function named<T>(part: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof Failure) throw new Failure(`${part}: ${error.message}`, error.exitCode);
    throw error;
  }
}

/** The name of the project: the config's, else the main worktree's folder, else the folder around a bare repository. */
export function projectName(config: Config, mainPath: string | null, commonDir: string, bare: boolean): string {
  if (config.project !== undefined) return config.project;
  if (!bare && mainPath !== null) return path.basename(mainPath);
  const name = path.basename(commonDir);
  return name.startsWith('.') ? path.basename(path.dirname(commonDir)) : name.replace(/\.git$/, '');
}
