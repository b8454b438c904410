import os from 'node:os';
import type { Config } from '../config/schema.ts';
import { isTemplate, render } from '../config/templates.ts';
import { type FileTask, isCopied } from '../files/sources.ts';
import { Failure } from '../outcome.ts';
import type { Slot } from '../slot.ts';
import type { PlanInput, PlannedFile, Resolved, Values } from './plan.ts';

/** What follows from the resources. @throws {Failure} when a value is not known */
export function planValues(input: PlanInput, resolved: Resolved): Values {
  const { config, slot } = input;
  for (const name of Object.keys(config.resources)) {
    if (resolved.get(name)?.value == null) throw new Failure(`${name} is not made yet, so its value is not known. Run \`git coppice up\`.`);
  }
  const values = templateValues(input, resolved);
  const text = filler(input, values);
  const variables = resourceVariables(config, resolved);
  for (const [name, template] of Object.entries(config.env)) {
    variables[name] = named(`env.${name}`, () => text(template));
    values[name] = variables[name];
  }
  return {
    url: config.url === undefined ? defaultUrl(slot) : named('url', () => text(config.url ?? '')),
    variables,
    carry: [...resolved.values()].flatMap(({ carry }) => carry),
    rendered: input.files.filter(({ spec }) => !isCopied(spec)).map((task) => planFile(task, variables, text, input)),
  };
}

/** What a step gets that does not wait for every resource: a value that is not known yet is left out. */
export function knownValues(input: PlanInput, resolved: Resolved): Pick<Values, 'variables' | 'url'> {
  const { config, slot } = input;
  const values = templateValues(input, resolved);
  const text = filler(input, values);
  const variables = resourceVariables(config, resolved);
  const fill = (template: string): string | null => {
    try {
      return text(template);
    } catch (error) {
      if (error instanceof Failure) return null;
      throw error;
    }
  };
  for (const [name, template] of Object.entries(config.env)) {
    const value = fill(template);
    if (value === null) continue;
    variables[name] = value;
    values[name] = value;
  }
  return { variables, url: config.url === undefined ? defaultUrl(slot) : fill(config.url) };
}

function resourceVariables(config: Config, resolved: Resolved): Record<string, string> {
  const exported = Object.entries(config.resources).filter(([, spec]) => spec.export);
  return Object.assign({}, ...exported.map(([name]) => resolved.get(name)?.variables ?? {}));
}

/** Fills in templates. */
export function filler(input: PlanInput, values: Record<string, unknown>): (template: string) => string {
  return (template) => {
    if (!isTemplate(template)) return template;
    if (!input.handlebars) throw new Error('a template without Handlebars');
    return render(input.handlebars, template, values, input.readEnvFile);
  };
}

/** `main.env` is a map without a prototype, so that no name reads what is not in the file. */
export function templateValues(input: PlanInput, resolved: Resolved): Record<string, unknown> {
  return {
    project: input.project,
    slug: input.slug,
    slug_: input.slug.replaceAll('-', '_'),
    slot: String(input.slot.slot),
    branch: input.branch ?? '',
    path: input.worktreePath,
    main: { path: input.mainPath ?? '', env: { ...input.mainEnv } },
    user: os.userInfo().username,
    resources: Object.fromEntries([...resolved].map(([name, { parts }]) => [name, { ...parts }])),
    ...Object.fromEntries([...resolved].flatMap(([name, { value }]) => (value === null ? [] : [[name, value]]))),
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
