import path from 'node:path';
import { RESOURCE_TYPES } from '../resources/table.ts';
import { didYouMean } from './nearest.ts';
import { badPath } from './paths.ts';
import { basesApart } from './port-rules.ts';
import type { RuleReport } from './rule-report.ts';
import type { Config } from './schema.ts';
import { stepOrder } from './step-order.ts';
import { knownTemplateNames, templatesWhereTheyWork } from './template-rules.ts';
import { BUILT_IN_NAMES, HELPERS } from './templates.ts';

/**
 * The rules that a schema cannot say, each reported on its own.
 * @param dropped what the schema refused, as `section.name` or `section`: its names still count as known
 */
export async function checkRules(config: Config, dropped: ReadonlySet<string>, root: string | null, report: RuleReport): Promise<void> {
  reservedNames(config, report);
  variableNames(config, report);
  oneNameTwice(config, report);
  basesApart(config, report);
  oneComposeProject(config, report);
  oneSourceTwice(config, report);
  noPasswords(config, report);
  pathsInside(config, report);
  oneOutputTwice(config, report);
  oneTemplateSource(config, report);
  templatesWhereTheyWork(config, report);
  knownNeeds(config, dropped, report);
  noCycles(config, dropped, report);
  await knownTemplateNames(config, dropped, root, report);
}

function reservedNames(config: Config, report: RuleReport): void {
  for (const section of ['resources', 'env'] as const) {
    for (const name of Object.keys(config[section])) {
      if ((BUILT_IN_NAMES as readonly string[]).includes(name) || Object.hasOwn(HELPERS, name) || name === 'if' || name === 'unless')
        report([section, name], `\`${name}\` has a meaning of its own in templates and cannot be a variable`, { want: 'key' });
      else if (name.startsWith('COPPICE_') || name === 'COPPICE')
        report([section, name], `\`${name}\` is set by coppice itself and cannot be a variable`, { want: 'key' });
    }
  }
}

/** Shells and some env file readers refuse a `-` in a variable's name. */
function variableNames(config: Config, report: RuleReport): void {
  const hint = (name: string) => `Write \`${name.replaceAll('-', '_')}\`.`;
  for (const [name, spec] of Object.entries(config.resources)) {
    for (const variable of spec.export && 'vars' in spec ? Object.values(spec.vars ?? {}) : [])
      if (variable !== undefined && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable))
        report(['resources', name, 'vars'], `\`${variable}\` cannot be an environment variable`, {
          hint: 'Its name may hold letters, digits and `_`, and does not begin with a digit.',
        });
    if (spec.export && !('vars' in spec && spec.vars) && name.includes('-'))
      report(['resources', name], `\`${name}\` cannot be an environment variable: shells refuse the \`-\``, {
        hint: `${hint(name)} Or say \`export: false\`.`,
        want: 'key',
      });
  }
  for (const name of Object.keys(config.env))
    if (name.includes('-'))
      report(['env', name], `\`${name}\` cannot be an environment variable: shells refuse the \`-\``, { hint: hint(name), want: 'key' });
  const maps = [
    ...Object.entries(config.files ?? {}).map(([file, spec]) => ({
      at: ['files', file, 'set'],
      map: 'set' in spec ? spec.set : undefined,
    })),
    ...Object.entries(config.resources).map(([name, spec]) => ({
      at: ['resources', name, 'env'],
      map: 'env' in spec ? spec.env : undefined,
    })),
    ...Object.entries(config.steps).map(([step, { env }]) => ({ at: ['steps', step, 'env'], map: env })),
    ...Object.entries(config.teardown).map(([step, { env }]) => ({ at: ['teardown', step, 'env'], map: env })),
  ];
  for (const { at, map } of maps)
    for (const name of Object.keys(map ?? {}))
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        report([...at, name], `\`${name}\` cannot be an environment variable`, {
          hint: 'Its name may hold letters, digits and `_`, and does not begin with a digit.',
          want: 'key',
        });
}

function oneNameTwice(config: Config, report: RuleReport): void {
  for (const name of Object.keys(config.env))
    if (Object.hasOwn(config.resources, name)) report(['env', name], `\`${name}\` is a resource already`, { want: 'key' });
}

/** Compose reads its project and files from two variables with fixed names. */
function oneComposeProject(config: Config, report: RuleReport): void {
  const [first, ...others] = Object.entries(config.resources).flatMap(([name, { type }]) => (type === 'compose' ? [name] : []));
  if (first === undefined) return;
  for (const name of others)
    report(['resources', name], `\`${name}\` is a second Compose project beside \`${first}\`: both would write COMPOSE_FILE`, {
      hint: `Keep one of them; its \`files:\` can name several compose files.`,
      want: 'key',
    });
  for (const section of ['resources', 'env'] as const)
    for (const name of ['COMPOSE_PROJECT_NAME', 'COMPOSE_FILE'])
      if (Object.hasOwn(config[section], name) && (section === 'env' || config.resources[name]?.type !== 'compose'))
        report([section, name], `\`${name}\` is written by the Compose project \`${first}\` already`, { want: 'key' });
}

function oneSourceTwice(config: Config, report: RuleReport): void {
  const seen = new Map<string, string>();
  for (const [name, spec] of Object.entries(config.resources)) {
    // Of what is made by commands, `from` is an option like any other.
    const source = 'from' in spec && RESOURCE_TYPES[spec.type].parts !== null ? spec.from : undefined;
    if (source === undefined) continue;
    const key = `${spec.type} ${source}`;
    const other = seen.get(key);
    if (other !== undefined)
      report(['resources', name, 'from'], `\`${name}\` clones the same source as \`${other}\``, {
        hint: 'Name it once, and let the other variable be computed under `env:`.',
      });
    seen.set(key, name);
  }
}

/** A password: before the `@`, or as a parameter as JDBC has it. */
function hasPassword(value: string): boolean {
  // Only before the last `@`: beyond it every `://` would look for one in vain, to the end.
  const user = value.slice(0, Math.max(0, value.lastIndexOf('@')));
  return /:\/\/[^:/@?#]*:(?!\{\{)[^@]/.test(user) || /[?&](?:password|passwd|pwd|sslpassword)=(?!\{\{)[^&]/i.test(value);
}

/** What was made is dropped when the config is gone, and the ledger holds no secret: it must know where to read it again. */
function noPasswords(config: Config, report: RuleReport): void {
  for (const [name, spec] of Object.entries(config.resources)) {
    if (RESOURCE_TYPES[spec.type].parts === null) continue;
    for (const key of ['from', 'admin'] as const) {
      const value = key in spec ? (spec as { [Key in typeof key]?: string })[key] : undefined;
      if (value !== undefined && hasPassword(value))
        report(['resources', name, key], `\`${key}\` holds a password`, {
          hint: `Put the URL into an env file of the main worktree, and write \`${key}: "{{main.env.NAME}}"\`.`,
        });
    }
    if ('default' in spec && spec.default?.password !== undefined)
      report(['resources', name, 'default', 'password'], '`default` holds a password', {
        hint: 'Name its variable under `vars: { password: … }`, and set that in an env file of the main worktree.',
        want: 'key',
      });
  }
}

function pathsInside(config: Config, report: RuleReport): void {
  const check = (at: readonly PropertyKey[], value: string | undefined, want: 'key' | 'value' = 'value') => {
    const wrong = value === undefined ? null : badPath(value);
    if (wrong !== null) report(at, `${value === '' ? 'a path' : `\`${value}\``} ${wrong}`, { want });
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
    if (other !== undefined) report(['files', file], `\`${file}\` is the same file as \`${other}\``, { want: 'key' });
    seen.set(normal, file);
  }
}

function oneTemplateSource(config: Config, report: RuleReport): void {
  for (const [file, spec] of Object.entries(config.files ?? {})) {
    if (spec.action !== 'template') continue;
    if (spec.template === undefined && spec.text === undefined)
      report(['files', file], `\`${file}\` needs \`template: FILE\` or \`text: STRING\``, { want: 'key' });
    if (spec.template !== undefined && spec.text !== undefined)
      report(['files', file, 'text'], `\`${file}\` has both \`template\` and \`text\``, { hint: 'Keep one of them.', want: 'key' });
  }
}

function knownNeeds(config: Config, dropped: ReadonlySet<string>, report: RuleReport): void {
  const of = (section: string) =>
    [...dropped].flatMap((entry) => (entry.startsWith(`${section}.`) ? [entry.slice(section.length + 1)] : []));
  const known = new Set([...Object.keys(config.steps), ...Object.keys(config.resources), ...of('steps'), ...of('resources')]);
  for (const [name, spec] of Object.entries(config.steps)) {
    if (Object.hasOwn(config.resources, name))
      report(['steps', name], `\`${name}\` is the name of a resource too, so \`needs\` could mean either`, { want: 'key' });
    for (const [index, need] of (spec.needs ?? []).entries()) {
      if (need === name) report(['steps', name, 'needs', index], `\`${name}\` needs itself`);
      else if (!known.has(need) && !dropped.has('resources'))
        report(['steps', name, 'needs', index], `there is no step or resource named \`${need}\``, { hint: didYouMean(need, known) });
      else if (config.steps[need]?.background)
        report(['steps', name, 'needs', index], `\`${need}\` runs in the background, and nothing can wait for it`);
    }
  }
}

/** A step without `needs` waits for the one above it, so a cycle can go through the order of the file too. */
function noCycles(config: Config, dropped: ReadonlySet<string>, report: RuleReport): void {
  // Which step stands above another is not known when one of them was refused.
  const gaps = [...dropped].some((entry) => entry.startsWith('steps.'));
  const waits = stepOrder(config);
  const done = new Set<string>();
  const walk = (name: string, path: string[]): void => {
    if (done.has(name)) return;
    const start = path.indexOf(name);
    if (start >= 0) {
      const circle = [...path.slice(start), name];
      done.add(name);
      const [one = '', ...others] = circle.map((step) => `\`${step}\``);
      const byPlace = circle.some((step) => config.steps[step]?.needs === undefined);
      if (circle.length > 2 && !(byPlace && gaps))
        report(['steps', name], `a circle: ${one} waits for ${others.join(', which waits for ')}`, {
          hint: byPlace ? 'A step without `needs` waits for the step above it.' : null,
          want: 'key',
        });
      return;
    }
    for (const next of waits.get(name) ?? []) walk(next, [...path, name]);
    done.add(name);
  };
  for (const name of waits.keys()) walk(name, []);
}
