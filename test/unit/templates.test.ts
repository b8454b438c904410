import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BUILT_IN_NAMES, checkTemplate, HELPERS, type KnownNames, loadHandlebars, render, slugify } from '../../src/config/templates.ts';
import { Failure } from '../../src/outcome.ts';

const handlebars = await loadHandlebars();
const KNOWN: KnownNames = { variables: new Set(['PORT', 'DB-NAME']), parts: new Map([['PORT', ['port']]]) };
const VALUES = {
  project: 'Shop',
  slug: 'feature-auth',
  slug_: 'feature_auth',
  slot: '1',
  branch: 'feature/$(rm -rf ~) "ä"',
  path: '/x',
  main: { path: '/main', env: { SECRET: 's3', EMPTY: '' } },
  user: 'ann',
  resources: { PORT: { port: '3010' } },
  PORT: '3010',
  'DB-NAME': 'd',
};

const wrong = (text: string) => checkTemplate(handlebars, text, KNOWN).map(({ message }) => message);
const rendered = (text: string, values: Record<string, unknown> = VALUES) =>
  render(handlebars, text, values, (file, name) => `${file}:${name}`);

const PLACES: [where: string, around: (name: string) => string][] = [
  ['by itself', (name) => `{{${name}}}`],
  ['unescaped', (name) => `{{{${name}}}}`],
  ['with `&`', (name) => `{{&${name}}}`],
  ['with whitespace control', (name) => `a {{~${name}~}} b`],
  ['in a helper', (name) => `{{upper ${name}}}`],
  ['as the second argument', (name) => `{{default slug ${name}}}`],
  ['in a helper in a helper', (name) => `{{upper (lower (slugify ${name}))}}`],
  ['as a named argument', (name) => `{{upper slug x=${name}}}`],
  ['as a condition', (name) => `{{#if ${name}}}a{{/if}}`],
  ['in a condition’s helper', (name) => `{{#unless (upper ${name})}}a{{/unless}}`],
  ['in a block', (name) => `{{#if slug}}{{${name}}}{{/if}}`],
  ['in an else', (name) => `{{#if slug}}a{{else}}{{${name}}}{{/if}}`],
  ['in an else if', (name) => `{{#if slug}}a{{else if ${name}}}b{{/if}}`],
  ['in an inverse', (name) => `{{^if slug}}{{${name}}}{{/if}}`],
  ['in a block in a block', (name) => `{{#if slug}}{{#unless slot}}{{upper ${name}}}{{/unless}}{{/if}}`],
];

describe('a name is found wherever it stands', () => {
  test.each(PLACES)('%s', (_where, around) => {
    expect(wrong(around('NOPE'))).toContain('there is no variable named `NOPE` here');
    expect(wrong(around('PORT')).filter((message) => message.includes('PORT'))).toEqual([]);
  });

  test.each(PLACES)('%s, a name of Object.prototype is no name', (_where, around) => {
    for (const name of [
      'constructor',
      '__proto__',
      'toString',
      'hasOwnProperty',
      '__defineGetter__',
      'this.constructor',
      'slug.constructor',
      'resources.PORT.constructor',
      'resources.constructor.name',
      'main.constructor',
      'lookup',
      'each',
    ])
      expect(wrong(around(name)), name).not.toEqual([]);
  });
});

describe('every other way to reach a value is refused', () => {
  test.each([
    ['{{this}}', '`this` is not a name'],
    ['{{.}}', '`.` is not a name'],
    ['{{../slug}}', '`../slug` is not a name'],
    ['{{@root.slug}}', '`@root.slug` is not a name'],
    ['{{#if @index}}x{{/if}}', '`@index` is not a name'],
    ['{{main}}', '`main` is not a name; `main.path` and `main.env.NAME` are'],
    ['{{main.env}}', '`main.env` is not a name; `main.path` and `main.env.NAME` are'],
    ['{{main.env.A.B}}', '`main.env.A.B` is not a name; `main.path` and `main.env.NAME` are'],
    ['{{resources.PORT}}', '`resources.PORT` is not a name; `resources.NAME.part` is'],
    ['{{resources.PORT.host}}', '`PORT` has no part named `host`'],
    ['{{slug.length}}', '`slug.length` is not a name: `slug` has no parts'],
    ['{{lookup main "env"}}', 'there is no helper named `lookup`'],
    ['{{log slug}}', 'there is no helper named `log`'],
    ['{{#each resources}}x{{/each}}', 'there is no block named `#each`'],
    ['{{#with main}}x{{/with}}', 'there is no block named `#with`'],
    ['{{#slug}}x{{/slug}}', 'there is no block named `#slug`'],
    ['{{#upper slug}}x{{/upper}}', 'there is no block named `#upper`'],
    ['{{#if slug slot}}x{{/if}}', '`#if` takes one name'],
    ['{{#if}}x{{/if}}', '`#if` takes one name'],
    ['{{#if slug includeZero=true}}x{{/if}}', '`#if` takes one name'],
    ['{{> partial}}', 'partials and decorators are not allowed in templates'],
    ['{{#> layout}}x{{/layout}}', 'partials and decorators are not allowed in templates'],
    ['{{* decorator}}', 'partials and decorators are not allowed in templates'],
    ['{{#* inline "x"}}y{{/inline}}', 'partials and decorators are not allowed in templates'],
    ['{{upper slug slot}}', '`upper` takes 1 argument, not 2'],
    ['{{toString slug}}', 'there is no helper named `toString`'],
    ['{{constructor slug}}', 'there is no helper named `constructor`'],
    ['{{upper (constructor slug)}}', 'there is no helper named `constructor`'],
  ])('%s', (text, message) => {
    expect(wrong(text)).toContain(message);
  });

  test.each(Object.entries(HELPERS))('%s with any number of arguments but %i', (name, count) => {
    for (const given of [0, 1, 2, 3].filter((number) => number !== count))
      expect(wrong(`{{${name}${' slug'.repeat(given)}}}`)).toHaveLength(1);
    expect(wrong(`{{${name}${' slug'.repeat(count)}}}`)).toEqual([]);
  });
});

test('each problem has the line and column of its name', () => {
  const problems = checkTemplate(handlebars, 'a\n  {{upper NOPE}} {{slug}}\n{{#if TYPO}}{{/if}}', KNOWN);
  expect(problems.map(({ name, line, column }) => [name, line, column])).toEqual([
    ['NOPE', 2, 11],
    ['TYPO', 3, 7],
  ]);
});

test('no text at all makes the check throw', () => {
  const part = fc.oneof(
    fc.constantFrom(
      '{{',
      '}}',
      '{{{',
      '}}}',
      '{{#if ',
      '{{/if}}',
      '{{else}}',
      '{{!',
      '--',
      '{{!--',
      '(',
      ')',
      'slug',
      ' ',
      '.',
      '/',
      '@',
      '=',
      '"',
      '|',
      'as |x|',
      '[',
      ']',
      '\\',
      '{{>',
      '{{*',
      '^',
      '~',
      '\n',
      '1',
      'true',
      'null',

      'constructor',
    ),
    fc.string({ maxLength: 4 }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 10 }), (parts) => {
      const problems = checkTemplate(handlebars, parts.join(''), KNOWN);
      for (const { message } of problems) expect(message).not.toMatch(/undefined|\[object|native code/);
    }),
    { numRuns: 5000 },
  );
});

test('what passes the check renders, or fails with a sentence about a value that is not there', () => {
  const name = fc.constantFrom(
    'slug',
    'PORT',
    'main.path',
    'main.env.SECRET',
    'main.env.NOPE',
    'main.env.constructor',
    'main.env.__proto__',
    'resources.PORT.port',
    'DB-NAME',
    '"text"',
    '1',
    'true',
    'null',
    'undefined',
  );
  const expression = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      name,
      fc
        .tuple(fc.constantFrom('upper', 'lower', 'slugify', 'urlencode', 'json'), tie('value'))
        .map(([helper, value]) => `(${helper} ${value})`),
      fc.tuple(tie('value'), tie('value')).map(([one, other]) => `(default ${one} ${other})`),
    ),
  })).value;
  const text = fc.oneof(
    expression.map((value) => `{{upper ${value}}}`),
    expression.map((value) => `{{#if ${value}}}a{{/if}}`),
    name.filter((value) => !/^["\dtnu]/.test(value)).map((value) => `{{${value}}}`),
  );
  fc.assert(
    fc.property(text, (template) => {
      expect(wrong(template)).toEqual([]);
      try {
        expect(rendered(template)).not.toMatch(/undefined|\[object|function/i);
      } catch (error) {
        expect(error).toBeInstanceOf(Failure);
      }
    }),
    { numRuns: 1000 },
  );
});

describe('rendering', () => {
  test.each([
    ['{{PORT}}', '3010'],
    ['{{DB-NAME}}', 'd'],
    ['http://localhost:{{PORT}}/{{slug_}}', 'http://localhost:3010/feature_auth'],
    ['{{upper slug_}} {{lower project}}', 'FEATURE_AUTH shop'],
    ['{{slugify branch}}', 'feature-rm-rf-a'],
    ['{{urlencode branch}}', 'feature%2F%24(rm%20-rf%20~)%20%22%C3%A4%22'],
    ['{{json branch}}', '"feature/$(rm -rf ~) \\"ä\\""'],
    ['{{branch}}', 'feature/$(rm -rf ~) "ä"'],
    ['{{main.env.SECRET}}', 's3'],
    ['{{resources.PORT.port}}', '3010'],
    ['{{envfile "apps/api/.env" "NAME"}}', 'apps/api/.env:NAME'],
    ['{{default main.env.NOPE "none"}}', 'none'],
    ['{{default main.env.EMPTY "none"}}', 'none'],
    ['{{default main.env.SECRET "none"}}', 's3'],
    ['{{default main.env.constructor "none"}}', 'none'],
    ['{{default main.env.__proto__ "none"}}', 'none'],
    ['{{default main.env.NOPE (upper slug)}}', 'FEATURE-AUTH'],
    ['{{#if main.env.SECRET}}yes{{else}}no{{/if}}', 'yes'],
    ['{{#if main.env.NOPE}}yes{{else}}no{{/if}}', 'no'],
    ['{{#unless main.env.EMPTY}}empty{{/unless}}', 'empty'],
    ['{{! a note }}{{!-- another {{slug}} --}}x', 'x'],
    ['\\{{slug}}', '{{slug}}'],
    ['<{{branch}}>&', '<feature/$(rm -rf ~) "ä">&'],
  ])('%s gives %s', (template, wanted) => {
    expect(wrong(template)).toEqual([]);
    expect(rendered(template)).toBe(wanted);
  });

  test.each([
    '{{main.env.NOPE}}',
    '{{upper main.env.NOPE}}',
    '{{main.env.constructor}}',
    '{{main.env.__proto__}}',
    '{{main.env.toString}}',
    '{{json main.env.NOPE}}',
    '{{default main.env.NOPE main.env.NOPE}}',
  ])('%s is a sentence where the value is not there', (template) => {
    expect(() => rendered(template)).toThrow(Failure);
    expect(() => rendered(template)).toThrow(/has no value|no value on this machine/);
  });

  test('a value that looks like a template is only a value', () => {
    expect(rendered('{{branch}}', { ...VALUES, branch: '{{main.env.SECRET}}' })).toBe('{{main.env.SECRET}}');
  });

  test('no helper is shadowed by a variable that the check lets through', () => {
    for (const name of [...Object.keys(HELPERS), ...BUILT_IN_NAMES]) expect(KNOWN.variables.has(name)).toBe(false);
    expect(rendered('{{upper slug}}', { ...VALUES, upper: 'x' })).toBe('FEATURE-AUTH');
  });
});

test('a slug holds only letters, digits and single dashes inside, at most 40 of them', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), fc.string({ unit: 'grapheme', maxLength: 80 })), (text) => {
      expect(slugify(text)).toMatch(/^([a-z0-9]+(-[a-z0-9]+)*)?$/);
      expect(slugify(text).length).toBeLessThanOrEqual(40);
      expect(slugify(slugify(text))).toBe(slugify(text));
    }),
  );
});
