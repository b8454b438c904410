import fs from 'node:fs';
import path from 'node:path';
import { errorCode } from '../outcome.ts';
import { RESOURCE_TYPES } from '../resources/table.ts';
import { didYouMean } from './nearest.ts';
import { badPath } from './paths.ts';
import type { Config } from './schema.ts';
import { BUILT_IN_NAMES, checkTemplate, HELPERS, isTemplate, type KnownNames, loadHandlebars } from './templates.ts';

/** Says that something at this path of keys is wrong. */
export type RuleReport = (at: readonly PropertyKey[], message: string, hint?: string | null, want?: 'key' | 'value') => void;

/** Two bases closer than this many slots are taken for a mistake: each takes the other's port from an early worktree. */
const SLOTS_LOOKED_AT = 10;

/**
 * The rules that a schema cannot say, each reported on its own.
 * @param dropped `section.name` of entries that the schema refused; their names still count as known
 */
export async function checkRules(config: Config, dropped: ReadonlySet<string>, root: string | null, report: RuleReport): Promise<void> {
  reservedNames(config, report);
  variableNames(config, report);
  oneNameTwice(config, report);
  basesApart(config, report);
  oneSourceTwice(config, report);
  pathsInside(config, report);
  oneOutputTwice(config, report);
  oneTemplateSource(config, report);
  knownNeeds(config, dropped, report);
  noCycles(config, report);
  await knownTemplateNames(config, dropped, root, report);
}

function reservedNames(config: Config, report: RuleReport): void {
  for (const section of ['resources', 'env'] as const) {
    for (const name of Object.keys(config[section])) {
      if ((BUILT_IN_NAMES as readonly string[]).includes(name) || name in HELPERS || name === 'if' || name === 'unless')
        report([section, name], `\`${name}\` has a meaning of its own in templates and cannot be a variable`, null, 'key');
      else if (name.startsWith('COPPICE_') || name === 'COPPICE')
        report([section, name], `\`${name}\` is set by coppice itself and cannot be a variable`, null, 'key');
    }
  }
}

/** Shells and some env file readers refuse a `-` in a variable's name. */
function variableNames(config: Config, report: RuleReport): void {
  const hint = (name: string) => `Write \`${name.replaceAll('-', '_')}\`.`;
  for (const [name, spec] of Object.entries(config.resources)) {
    if (spec.export && name.includes('-'))
      report(
        ['resources', name],
        `\`${name}\` cannot be an environment variable: shells refuse the \`-\``,
        `${hint(name)} Or say \`export: false\`.`,
        'key',
      );
  }
  for (const name of Object.keys(config.env))
    if (name.includes('-'))
      report(['env', name], `\`${name}\` cannot be an environment variable: shells refuse the \`-\``, hint(name), 'key');
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    for (const name of 'set' in spec ? Object.keys(spec.set ?? {}) : []) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        report(['files', file, 'set', name], `\`${name}\` cannot be an environment variable`, null, 'key');
    }
  }
}

function oneNameTwice(config: Config, report: RuleReport): void {
  for (const name of Object.keys(config.env))
    if (name in config.resources) report(['env', name], `\`${name}\` is a resource already`, null, 'key');
}

function basesApart(config: Config, report: RuleReport): void {
  const ports = Object.entries(config.resources).flatMap(([name, spec]) =>
    spec.type === 'port' ? [{ name, base: spec.base, step: spec.step }] : [],
  );
  for (const [index, one] of ports.entries()) {
    if (one.base + one.step > 65_535)
      report(
        ['resources', one.name, 'base'],
        `\`${one.name}\`: ${one.base} + ${one.step} is above 65535, so no worktree could have a port`,
      );
    for (const other of ports.slice(index + 1)) {
      if (one.base === other.base) {
        report(['resources', other.name, 'base'], `\`${other.name}\` has the same base as \`${one.name}\`: ${one.base}`);
        continue;
      }
      const [low, high] = one.base < other.base ? [one, other] : [other, one];
      const slot = (high.base - low.base) / low.step;
      if (Number.isInteger(slot) && slot <= SLOTS_LOOKED_AT) {
        report(
          ['resources', other.name, 'base'],
          `\`${low.name}\` of worktree ${slot} would be ${high.base} (${low.base} + ${slot} × ${low.step}), the base of \`${high.name}\``,
          `Choose a base that is not ${low.base} plus a multiple of ${low.step}, e.g. ${high.base + 1}.`,
        );
      }
    }
  }
}

function oneSourceTwice(config: Config, report: RuleReport): void {
  const seen = new Map<string, string>();
  for (const [name, spec] of Object.entries(config.resources)) {
    const source = 'from' in spec ? spec.from : undefined;
    if (source === undefined) continue;
    const key = `${spec.type} ${source}`;
    const other = seen.get(key);
    if (other !== undefined)
      report(
        ['resources', name, 'from'],
        `\`${name}\` clones the same source as \`${other}\``,
        'Name it once, and let the other variable be computed under `env:`.',
      );
    seen.set(key, name);
  }
}

function pathsInside(config: Config, report: RuleReport): void {
  const check = (at: readonly PropertyKey[], value: string | undefined, want: 'key' | 'value' = 'value') => {
    const wrong = value === undefined ? null : badPath(value);
    if (wrong !== null) report(at, `\`${value}\` ${wrong}`, null, want);
  };
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    check(['files', file], file, 'key');
    if ('from' in spec) check(['files', file, 'from'], spec.from);
    if ('template' in spec) check(['files', file, 'template'], spec.template);
  }
  for (const [name, spec] of Object.entries(config.steps)) {
    check(['steps', name, 'cwd'], spec.cwd);
    for (const [index, input] of (spec.inputs ?? []).entries()) check(['steps', name, 'inputs', index], input);
    for (const [index, exists] of (spec.when?.exists ?? []).entries()) check(['steps', name, 'when', 'exists', index], exists);
  }
  for (const [name, spec] of Object.entries(config.teardown)) check(['teardown', name, 'cwd'], spec.cwd);
  for (const [index, file] of config.envFiles.entries()) check(['envFiles', index], file);
}

function oneOutputTwice(config: Config, report: RuleReport): void {
  const seen = new Map<string, string>();
  for (const file of Object.keys(config.files ?? {})) {
    const normal = path.posix.normalize(file).replace(/\/$/, '');
    const other = seen.get(normal);
    if (other !== undefined) report(['files', file], `\`${file}\` is the same file as \`${other}\``, null, 'key');
    seen.set(normal, file);
  }
}

function oneTemplateSource(config: Config, report: RuleReport): void {
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    if (spec.action !== 'template') continue;
    if (spec.template === undefined && spec.text === undefined)
      report(['files', file], `\`${file}\` needs \`template: FILE\` or \`text: STRING\``, null, 'key');
    if (spec.template !== undefined && spec.text !== undefined)
      report(['files', file, 'text'], `\`${file}\` has both \`template\` and \`text\``, 'Keep one of them.', 'key');
  }
}

function knownNeeds(config: Config, dropped: ReadonlySet<string>, report: RuleReport): void {
  const of = (section: string) =>
    [...dropped].flatMap((entry) => (entry.startsWith(`${section}.`) ? [entry.slice(section.length + 1)] : []));
  const known = new Set([...Object.keys(config.steps), ...Object.keys(config.resources), ...of('steps'), ...of('resources')]);
  for (const [name, spec] of Object.entries(config.steps)) {
    if (name in config.resources)
      report(['steps', name], `\`${name}\` is the name of a resource too, so \`needs\` could mean either`, null, 'key');
    for (const [index, need] of (spec.needs ?? []).entries()) {
      if (need === name) report(['steps', name, 'needs', index], `\`${name}\` needs itself`);
      else if (!known.has(need))
        report(['steps', name, 'needs', index], `there is no step or resource named \`${need}\``, didYouMean(need, known));
      else if (config.steps[need]?.background)
        report(['steps', name, 'needs', index], `\`${need}\` runs in the background, and nothing can wait for it`);
    }
  }
}

/** A step without `needs` waits for the one above it, so a cycle can go through the order of the file too. */
function noCycles(config: Config, report: RuleReport): void {
  const waits = stepOrder(config);
  const done = new Set<string>();
  const walk = (name: string, path: string[]): void => {
    if (done.has(name)) return;
    const start = path.indexOf(name);
    if (start >= 0) {
      const circle = [...path.slice(start), name];
      done.add(name);
      if (circle.length > 2) report(['steps', name], `a circle: ${circle.map((step) => `\`${step}\``).join(' waits for ')}`, null, 'key');
      return;
    }
    for (const next of waits.get(name) ?? []) walk(next, [...path, name]);
    done.add(name);
  };
  for (const name of waits.keys()) walk(name, []);
}

/** The steps that each step waits for, by name: those in its `needs`, else the step above it. */
export function stepOrder(config: Config): Map<string, string[]> {
  const order = new Map<string, string[]>();
  let above: string | null = null;
  for (const [name, spec] of Object.entries(config.steps)) {
    order.set(name, spec.needs ? spec.needs.filter((need) => need in config.steps) : above === null ? [] : [above]);
    if (!spec.background) above = name;
  }
  return order;
}

async function knownTemplateNames(config: Config, dropped: ReadonlySet<string>, root: string | null, report: RuleReport): Promise<void> {
  const templates = [...templatesOf(config, dropped)];
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    if (spec.action !== 'template' || spec.template === undefined || root === null || badPath(spec.template) !== null) continue;
    const read = readTemplate(path.join(root, spec.template));
    if ('wrong' in read) report(['files', file, 'template'], `\`${spec.template}\` ${read.wrong}`);
    else templates.push({ at: ['files', file, 'template'], text: read.text, known: allNames(config, dropped), file: spec.template });
  }
  const withNames = templates.filter(({ text }) => isTemplate(text));
  if (withNames.length === 0) return;
  const handlebars = await loadHandlebars();
  for (const { at, text, known, file } of withNames) {
    for (const { message, name, candidates } of checkTemplate(handlebars, text, known)) {
      report(at, file === undefined ? message : `${file}: ${message}`, name === null ? null : didYouMean(name, candidates));
    }
  }
}

function readTemplate(file: string): { text: string } | { wrong: string } {
  try {
    if (fs.lstatSync(file).isSymbolicLink()) return { wrong: 'is a symbolic link, and is not followed' };
    return { text: fs.readFileSync(file, 'utf8') };
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return { wrong: code === 'ENOENT' ? 'is not in this branch' : `cannot be read (${code})` };
  }
}

interface Template {
  at: PropertyKey[];
  text: string;
  known: KnownNames;
  file?: string;
}

function* templatesOf(config: Config, dropped: ReadonlySet<string>): Generator<Template> {
  const all = allNames(config, dropped);
  for (const [name, spec] of Object.entries(config.resources)) {
    if ('from' in spec && spec.from !== undefined)
      yield { at: ['resources', name, 'from'], text: spec.from, known: { variables: new Set(), parts: new Map() } };
  }
  const above = new Set([...Object.keys(config.resources), ...[...dropped].map((entry) => entry.split('.')[1] ?? '')]);
  for (const [name, text] of Object.entries(config.env)) {
    yield { at: ['env', name], text, known: { variables: new Set(above), parts: all.parts } };
    above.add(name);
  }
  if (config.url !== undefined) yield { at: ['url'], text: config.url, known: all };
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    if (spec.action === 'template' && spec.text !== undefined) yield { at: ['files', file, 'text'], text: spec.text, known: all };
    for (const [name, text] of 'set' in spec ? Object.entries(spec.set ?? {}) : [])
      yield { at: ['files', file, 'set', name], text, known: all };
  }
}

function allNames(config: Config, dropped: ReadonlySet<string>): KnownNames {
  const parts = new Map<string, readonly string[] | null>(
    Object.entries(config.resources).map(([name, spec]) => [name, RESOURCE_TYPES[spec.type].parts]),
  );
  const variables = new Set([...Object.keys(config.resources), ...Object.keys(config.env)]);
  for (const entry of dropped) {
    const [section, name = ''] = entry.split('.');
    if (section !== 'steps') variables.add(name);
    if (section === 'resources') parts.set(name, null);
  }
  return { variables, parts };
}
