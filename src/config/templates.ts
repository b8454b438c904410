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
  /** Variables that are computed only later, to say so. */
  later?: ReadonlySet<string>;
  /** Part names by resource; null when a resource can have any. */
  parts: ReadonlyMap<string, readonly string[] | null>;
}

/** One thing wrong with a template. */
export interface TemplateProblem {
  message: string;
  /** The wrong name, to look up the nearest of `candidates`. */
  name: string | null;
  candidates: string[];
  hint: string | null;
  /** The wrong part as it is written, and where in the template it stands; 1-based. */
  part: string | null;
  line: number;
  column: number;
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
  const tooMuch = tooLarge(text);
  if (tooMuch !== null) return [tooMuch];
  let tree: hbs.AST.Program;
  try {
    tree = handlebars.parse(text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return [unparsable(error)];
  }
  const problems: TemplateProblem[] = [];
  const say = (node: hbs.AST.Node, message: string, { name = null, candidates = [], hint = null }: Partial<TemplateProblem> = {}) => {
    const part = 'original' in node && typeof node.original === 'string' ? node.original : null;
    const { line, column } = node.loc.start;
    problems.push({ message, name, candidates, hint, part, line, column: column + 1 });
  };

  const expression = (node: hbs.AST.Expression): void => {
    if (node.type === 'SubExpression') {
      const call = node as hbs.AST.SubExpression;
      helper(call.path as hbs.AST.PathExpression, call.params, call.hash);
    } else if (node.type === 'PathExpression') checkPath(node as hbs.AST.PathExpression);
  };
  const checkPath = (node: hbs.AST.PathExpression): void => {
    const { original, data, depth } = node;
    const [first, second, third, ...more] = node.parts.map(String);
    if (data || depth > 0 || first === undefined) return void say(node, `\`${original}\` is not a name`);
    if (first === 'main') {
      if (second === 'path' && third === undefined) return;
      if (second === 'env' && third !== undefined && more.length === 0) return;
      return void say(node, `\`${original}\` is not a name; \`main.path\` and \`main.env.NAME\` are`);
    }
    if (first === 'resources') {
      if (second === undefined || third === undefined || more.length > 0)
        return void say(node, `\`${original}\` is not a name; \`resources.NAME.part\` is`);
      const parts = known.parts.get(second);
      if (parts === undefined)
        return void say(node, `there is no resource named \`${second}\``, { name: second, candidates: [...known.parts.keys()] });
      if (parts !== null && !parts.includes(third))
        say(node, `\`${second}\` has no part named \`${third}\``, { name: third, candidates: [...parts] });
      return;
    }
    const names = [...BUILT_IN_NAMES, ...known.variables];
    if (!names.includes(first)) {
      if (Object.hasOwn(HELPERS, first) || BLOCKS.includes(first))
        return void say(node, `\`${first}\` is a helper and needs something to work on`, {
          hint: `For example \`{{${EXAMPLES[first]}}}\`.`,
        });
      if (known.later?.has(first))
        return void say(node, `\`${first}\` is not computed yet`, { hint: 'Only the variables above can be used here: change the order.' });
      return void say(node, `there is no variable named \`${first}\` here`, { name: first, candidates: names });
    }
    if (second !== undefined) say(node, `\`${original}\` is not a name: \`${first}\` has no parts`);
  };
  const helper = (target: hbs.AST.PathExpression, params: hbs.AST.Expression[], hash?: hbs.AST.Hash): void => {
    const name = String(target.original);
    if (!Object.hasOwn(HELPERS, name)) say(target, `there is no helper named \`${name}\``, { name, candidates: Object.keys(HELPERS) });
    else if (params.length !== HELPERS[name])
      say(target, `\`${name}\` takes ${HELPERS[name]} argument${HELPERS[name] === 1 ? '' : 's'}, not ${params.length}`, {
        hint: `For example \`{{${EXAMPLES[name]}}}\`.`,
      });
    // `main.env.NAME` that is not set is what `default` is for; the name is still checked.
    params.forEach(expression);
    for (const { value } of hash?.pairs ?? []) expression(value);
    if (hash && hash.pairs.length > 0) say(target, `\`${name}\` takes no named arguments`);
  };
  const statements = (program: hbs.AST.Program | undefined): void => {
    for (const statement of program?.body ?? []) {
      if (statement.type === 'ContentStatement' || statement.type === 'CommentStatement') continue;
      if (statement.type === 'MustacheStatement') {
        const mustache = statement as hbs.AST.MustacheStatement;
        if (mustache.params.length > 0 || (mustache.hash?.pairs.length ?? 0) > 0)
          helper(mustache.path as hbs.AST.PathExpression, mustache.params, mustache.hash);
        else expression(mustache.path);
      } else if (statement.type === 'BlockStatement') {
        const block = statement as hbs.AST.BlockStatement;
        const name = String(block.path.original);
        if (!BLOCKS.includes(name)) say(block.path, `there is no block named \`#${name}\``, { name, candidates: BLOCKS });
        else if (block.params.length !== 1 || (block.hash?.pairs.length ?? 0) > 0)
          say(block.path, `\`#${name}\` takes one name`, { hint: `For example \`{{#${name} branch}}\`.` });
        block.params.forEach(expression);
        statements(block.program);
        statements(block.inverse);
      } else say(statement, 'partials and decorators are not allowed in templates');
    }
  };
  statements(tree);
  return problems;
}

/** What a template may hold at most: for more, and for calls within calls, Handlebars' parser takes minutes. */
const MAX_EXPRESSIONS = 500;
const MAX_CALLS = 20;

function tooLarge(text: string): TemplateProblem | null {
  const expressions = [...text.matchAll(/\{\{[^}]*/g)];
  const at = expressions.find(({ 0: expression }) => expression.split('(').length > MAX_CALLS + 1) ?? expressions[MAX_EXPRESSIONS];
  if (at === undefined) return null;
  const above = text.slice(0, at.index).split('\n');
  const message =
    at === expressions[MAX_EXPRESSIONS]
      ? `the template has more than ${MAX_EXPRESSIONS} expressions`
      : `an expression has more than ${MAX_CALLS} calls within calls`;
  return { message, name: null, candidates: [], hint: null, part: null, line: above.length, column: (above.at(-1)?.length ?? 0) + 1 };
}

/** A use of each helper, for hints. */
const EXAMPLES: Record<string, string> = {
  urlencode: 'urlencode branch',
  slugify: 'slugify branch',
  upper: 'upper slug_',
  lower: 'lower project',
  json: 'json branch',
  default: 'default main.env.NAME "none"',
  envfile: 'envfile "apps/api/.env" "NAME"',
  if: '#if branch',
  unless: '#unless branch',
};

/** Handlebars' parser error, whose second line is the text up to the place and whose last says what it found there. */
function unparsable(error: Error): TemplateProblem {
  const [first = '', before = '', ...rest] = error.message.split('\n');
  const line = Number(/on line (\d+)/.exec(first)?.[1] ?? / - (\d+):\d+$/.exec(first)?.[1] ?? 1);
  const plain = { name: null, candidates: [], part: null, line, column: 1 };
  const [, opened, closed] = /^(\S+) doesn't match (\S+) - /.exec(first) ?? [];
  if (opened !== undefined) return { ...plain, message: `\`{{#${opened}}}\` is closed by \`{{/${closed}}}\``, hint: null };
  if (!/^(Parse|Lexical) error/.test(first)) return { ...plain, message: `the template cannot be parsed: ${first}`, hint: null };
  const early = rest.at(-1)?.endsWith("got 'EOF'") || /\{\{[^}]*$/.test(before);
  return {
    ...plain,
    message: `the template cannot be parsed${early ? ': it ends too early' : ` near \`${before}\``}`,
    hint: early ? 'A `}}` or a closing `{{/if}}` is missing.' : null,
  };
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
    json: (value: unknown) => JSON.stringify(present(value, 'json')),
    default: (value: unknown, fallback: unknown) =>
      value === undefined || value === null || value === '' ? present(fallback, 'default') : value,
    envfile: (file: unknown, name: unknown) => readEnvFile(asText(file, 'envfile'), asText(name, 'envfile')),
  });
  const knownHelpers = Object.fromEntries([...Object.keys(HELPERS), ...BLOCKS].map((name) => [name, true]));
  try {
    return instance.compile(text, { strict: true, noEscape: true, knownHelpers, knownHelpersOnly: true })(bare(values));
  } catch (error) {
    if (error instanceof Failure || !(error instanceof Error)) throw error;
    const missing = /"([^"]+)" not defined/.exec(error.message)?.[1];
    throw new Failure(missing ? `\`${missing}\` has no value on this machine` : `a template cannot be rendered: ${error.message}`);
  }
}

/** All that Handlebars needs of a map for its own error messages. */
const NO_NAMES: object = Object.create(null, { [Symbol.toPrimitive]: { value: () => 'the values' } });

/** Maps without the names of Object.prototype: what Handlebars finds there but may not show, it renders as nothing. */
function bare(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.assign(Object.create(NO_NAMES), Object.fromEntries(Object.entries(value).map(([name, part]) => [name, bare(part)])));
}

function present<Value>(value: Value, helper: string): NonNullable<Value> {
  if (value === undefined || value === null) throw new Failure(`\`${helper}\` was given a name that has no value on this machine`);
  return value;
}

function asText(value: unknown, helper: string): string {
  return String(present(value, helper));
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
