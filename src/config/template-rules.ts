import fs from 'node:fs';
import path from 'node:path';
import { standing } from '../files/inside.ts';
import { errorCode } from '../outcome.ts';
import { TEMPLATE_OPTIONS } from '../resources/schemas.ts';
import { RESOURCE_TYPES } from '../resources/table.ts';
import { didYouMean } from './nearest.ts';
import { badPath } from './paths.ts';
import type { RuleReport } from './rule-report.ts';
import type { Config } from './schema.ts';
import { checkTemplate, isTemplate, type KnownNames, loadHandlebars } from './templates.ts';

/** An expression as a template has it; a glob like `{{a,b},c}` is none. */
const EXPRESSION = /\{\{[^{},]*\}\}/;

/** Commands may hold `{{`, for another program (`docker inspect -f '{{.Id}}'`); a path or a plain value would only be wrong. */
export function templatesWhereTheyWork(config: Config, report: RuleReport): void {
  const check = (at: readonly PropertyKey[], value: string | null | undefined, want: 'key' | 'value' = 'value') => {
    const [expression] = EXPRESSION.exec(value ?? '') ?? [];
    if (expression === undefined) return;
    const hint =
      at.at(-2) === 'env'
        ? 'A command gets every variable through its environment: write it into the command as `$NAME`.'
        : 'Templates are for `url`, `env`, `set`, `text` and template files.';
    report(at, `\`${expression}\` is not filled in here`, { hint, want });
  };
  for (const [name, spec] of Object.entries(config.resources))
    for (const [option, value] of Object.entries(spec))
      if (typeof value === 'string' && !isCommand(spec.type, option) && !TEMPLATE_OPTIONS[spec.type]?.includes(option))
        check(['resources', name, option], value);
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    check(['files', file], file, 'key');
    if ('from' in spec) check(['files', file, 'from'], spec.from);
    if ('template' in spec) check(['files', file, 'template'], spec.template);
  }
  for (const section of ['steps', 'teardown'] as const)
    for (const [name, spec] of Object.entries(config[section])) {
      check([section, name, 'cwd'], spec.cwd);
      for (const [variable, value] of Object.entries(spec.env ?? {})) check([section, name, 'env', variable], value);
    }
  for (const [name, spec] of Object.entries(config.steps)) {
    for (const [index, input] of (spec.inputs ?? []).entries()) check(['steps', name, 'inputs', index], input);
    for (const [index, exists] of (spec.when?.exists ?? []).entries()) check(['steps', name, 'when', 'exists', index], exists);
  }
  for (const [index, file] of config.envFiles.entries()) check(['envFiles', index], file);
}

function isCommand(type: string, option: string): boolean {
  return type === 'command' && ['create', 'check', 'destroy'].includes(option);
}

/** Names in templates that mean nothing, in the config and in the template files of the branch. */
export async function knownTemplateNames(
  config: Config,
  dropped: ReadonlySet<string>,
  root: string | null,
  report: RuleReport,
): Promise<void> {
  if (dropped.has('resources') || dropped.has('env')) return;
  const templates = [...templatesOf(config, dropped)];
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    if (spec.action !== 'template' || spec.template === undefined || root === null || badPath(spec.template) !== null) continue;
    const read = readTemplate(root, spec.template);
    if ('wrong' in read) report(['files', file, 'template'], `\`${spec.template}\` ${read.wrong}`);
    else templates.push({ at: ['files', file, 'template'], text: read.text, known: allNames(config, dropped), file: spec.template });
  }
  const withNames = templates.filter(({ text }) => isTemplate(text));
  if (withNames.length === 0) return;
  const handlebars = await loadHandlebars();
  for (const { at, text, known, file } of withNames) {
    for (const { message, name, candidates, hint, part, line, column } of checkTemplate(handlebars, text, known)) {
      report(at, file === undefined ? message : `${file}:${line}:${column}  ${message}`, {
        hint: hint ?? (name === null ? null : didYouMean(name, candidates)),
        part: file === undefined ? part : null,
      });
    }
  }
}

/** A branch can commit links and other odd things; what is read is a plain file of the worktree. */
function readTemplate(root: string, file: string): { text: string } | { wrong: string } {
  const there = standing(root, file);
  if (there === 'nothing') return { wrong: 'is not in this branch' };
  if (there === 'link') return { wrong: 'is or goes through a symbolic link, and is not followed' };
  if (there !== 'file') return { wrong: `is ${there === 'folder' ? 'a folder' : 'not a plain file'}` };
  try {
    return { text: fs.readFileSync(path.join(root, file), 'utf8') };
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return { wrong: `cannot be read (${code})` };
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
  const above = new Set([...Object.keys(config.resources), ...[...dropped].map((entry) => entry.split('.')[1] ?? '')]);
  for (const [name, text] of Object.entries(config.env)) {
    yield { at: ['env', name], text, known: { variables: new Set(above), later: all.variables, parts: all.parts } };
    above.add(name);
  }
  for (const [name, spec] of Object.entries(config.resources))
    for (const [option, value] of Object.entries(spec))
      if (typeof value === 'string' && TEMPLATE_OPTIONS[spec.type]?.includes(option))
        yield { at: ['resources', name, option], text: value, known: { variables: new Set(), later: all.variables, parts: new Map() } };
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
    const [section, name] = entry.split('.');
    if (name === undefined || (section !== 'resources' && section !== 'env')) continue;
    variables.add(name);
    if (section === 'resources') parts.set(name, null);
  }
  return { variables, parts };
}
