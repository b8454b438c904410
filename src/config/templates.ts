import type Handlebars from 'handlebars';
import { Failure } from '../outcome.ts';

/** The helpers that templates may call, each with the least number of arguments. */
export const HELPERS: Record<string, number> = { urlencode: 1, slugify: 1, upper: 1, lower: 1, json: 1, default: 2, envfile: 2 };
const BLOCKS = ['if', 'unless'];

/** Names that are always there, beside the config's own variables. */
export const BUILT_IN_NAMES = ['project', 'slug', 'slug_', 'slot', 'branch', 'path', 'main', 'user', 'resources'] as const;

/** The names that a template may use. */
export interface KnownNames {
  /** Variables: resources and the entries of `env` above. */
  variables: ReadonlySet<string>;
  /** Part names by resource; null when a resource can have any. */
  parts: ReadonlyMap<string, readonly string[] | null>;
}

/** One thing wrong with a template. */
export interface TemplateProblem {
  message: string;
  /** The wrong name, to look up the nearest of `candidates`. */
  name: string | null;
  candidates: string[];
}

/** What templates are rendered from. */
export interface TemplateValues {
  [name: string]: unknown;
}

/** Loads Handlebars; only configs that hold a template pay for it. */
export async function loadHandlebars(): Promise<typeof Handlebars> {
  return (await import('handlebars')).default;
}

/** Whether text holds anything for Handlebars to do (an escaped `\{{` included). */
export function isTemplate(text: string): boolean {
  return text.includes('{{');
}

/**
 * Checks every name in a template by walking its syntax tree. Handlebars' own strict mode misses names inside helper
 * calls and blocks, which it renders as "undefined" or nothing.
 */
export function checkTemplate(handlebars: typeof Handlebars, text: string, known: KnownNames): TemplateProblem[] {
  let tree: hbs.AST.Program;
  try {
    tree = handlebars.parse(text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [first = ''] = error.message.split('\n');
    return [{ message: `the template cannot be parsed: ${first.replace(/:$/, '')}`, name: null, candidates: [] }];
  }
  const problems: TemplateProblem[] = [];
  const say = (message: string, name: string | null = null, candidates: string[] = []) => problems.push({ message, name, candidates });

  const path = (expression: hbs.AST.Expression): void => {
    if (expression.type === 'SubExpression') {
      const call = expression as hbs.AST.SubExpression;
      helper(call.path as hbs.AST.PathExpression, call.params, call.hash);
    } else if (expression.type === 'PathExpression') checkPath(expression as hbs.AST.PathExpression);
  };
  const checkPath = ({ parts, original, data, depth }: hbs.AST.PathExpression): void => {
    const [first, second, third, ...more] = parts.map(String);
    if (data || depth > 0 || first === undefined) return void say(`\`${original}\` is not a name`, null);
    if (first === 'main') {
      if (second === 'path' && third === undefined) return;
      if (second === 'env' && third !== undefined && more.length === 0) return;
      return void say(`\`${original}\` is not a name; \`main.path\` and \`main.env.NAME\` are`);
    }
    if (first === 'resources') {
      if (second === undefined || third === undefined || more.length > 0)
        return void say(`\`${original}\` is not a name; \`resources.NAME.part\` is`);
      const parts = known.parts.get(second);
      if (parts === undefined) return void say(`there is no resource named \`${second}\``, second, [...known.parts.keys()]);
      if (parts !== null && !parts.includes(third)) say(`\`${second}\` has no part named \`${third}\``, third, [...parts]);
      return;
    }
    const names = [...BUILT_IN_NAMES, ...known.variables];
    if (!names.includes(first)) {
      if (first in HELPERS || BLOCKS.includes(first)) return void say(`\`${first}\` is a helper and needs something to work on`);
      return void say(`there is no variable named \`${first}\` here`, first, names);
    }
    if (second !== undefined) say(`\`${original}\` is not a name: \`${first}\` has no parts`);
  };
  const helper = (target: hbs.AST.PathExpression, params: hbs.AST.Expression[], hash?: hbs.AST.Hash): void => {
    const name = String(target.original);
    const least = HELPERS[name];
    if (least === undefined) say(`there is no helper named \`${name}\``, name, Object.keys(HELPERS));
    else if (params.length !== least) say(`\`${name}\` takes ${least} argument${least > 1 ? 's' : ''}, not ${params.length}`);
    // `main.env.NAME` that is not set is what `default` is for; the name is still checked.
    params.forEach(path);
    if (hash && hash.pairs.length > 0) say(`\`${name}\` takes no named arguments`);
  };
  const statements = (program: hbs.AST.Program | undefined): void => {
    for (const statement of program?.body ?? []) {
      if (statement.type === 'ContentStatement' || statement.type === 'CommentStatement') continue;
      if (statement.type === 'MustacheStatement') {
        const mustache = statement as hbs.AST.MustacheStatement;
        if (mustache.params.length > 0 || (mustache.hash?.pairs.length ?? 0) > 0)
          helper(mustache.path as hbs.AST.PathExpression, mustache.params, mustache.hash);
        else path(mustache.path);
      } else if (statement.type === 'BlockStatement') {
        const block = statement as hbs.AST.BlockStatement;
        if (!BLOCKS.includes(block.path.original)) say(`there is no block named \`#${block.path.original}\``, block.path.original, BLOCKS);
        else if (block.params.length !== 1) say(`\`#${block.path.original}\` takes one name`);
        block.params.forEach(path);
        statements(block.program);
        statements(block.inverse);
      } else say('partials and decorators are not allowed in templates');
    }
  };
  statements(tree);
  return problems;
}

/**
 * Renders a template that was checked.
 * @param readEnvFile what `envfile "apps/api/.env" "NAME"` gives; throws a Failure when it cannot
 * @throws {Failure} when a value is not there on this machine
 */
export function render(
  handlebars: typeof Handlebars,
  text: string,
  values: TemplateValues,
  readEnvFile: (file: string, name: string) => string,
): string {
  const instance = handlebars.create();
  for (const builtIn of ['each', 'with', 'lookup', 'log']) instance.unregisterHelper(builtIn);
  instance.registerHelper({
    urlencode: (value: unknown) => encodeURIComponent(asText(value, 'urlencode')),
    slugify: (value: unknown) => slugify(asText(value, 'slugify')),
    upper: (value: unknown) => asText(value, 'upper').toUpperCase(),
    lower: (value: unknown) => asText(value, 'lower').toLowerCase(),
    json: (value: unknown) => JSON.stringify(value ?? null),
    default: (value: unknown, fallback: unknown) => (value === undefined || value === null || value === '' ? fallback : value),
    envfile: (file: unknown, name: unknown) => readEnvFile(asText(file, 'envfile'), asText(name, 'envfile')),
  });
  const knownHelpers = Object.fromEntries([...Object.keys(HELPERS), ...BLOCKS].map((name) => [name, true]));
  try {
    return instance.compile(text, { strict: true, noEscape: true, knownHelpers, knownHelpersOnly: true })(values);
  } catch (error) {
    if (error instanceof Failure || !(error instanceof Error)) throw error;
    const missing = /"([^"]+)" not defined/.exec(error.message)?.[1];
    throw new Failure(missing ? `\`${missing}\` has no value on this machine` : `a template cannot be rendered: ${error.message}`);
  }
}

function asText(value: unknown, helper: string): string {
  if (value === undefined || value === null) throw new Failure(`\`${helper}\` was given a name that has no value on this machine`);
  return String(value);
}

/** `[a-z0-9-]` only, at most 40 characters; empty when nothing of the text can be kept. */
export function slugify(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-+|-+$/g, '');
}
