import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { addMember, prefixMember, removeMember, textMember, unprefixMember } from '../../src/git/install/json-member.ts';
import { namesPostCheckout, withJob } from '../../src/git/install/lefthook-config.ts';
import { withLines, withoutLines } from '../../src/git/install/marked.ts';

describe('lines between marks', () => {
  test('taken out again, every byte of any text is as before', () => {
    const line = fc.constantFrom('', 'a', '  b: c', '# note', '\tx');
    const texts = fc
      .tuple(fc.array(line), fc.constantFrom('\n', '\r\n'), fc.boolean())
      .map(([lines, end, ended]) => lines.join(end) + (ended ? end : ''));
    fc.assert(
      fc.property(texts, fc.nat(), fc.constantFrom('', '  '), (text, where, indent) => {
        const starts = [0, text.length, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
        const at = starts[where % starts.length] ?? 0;
        const added = withLines(text, at, indent, ['one', 'two']);
        expect(added).toContain('one');
        expect(withoutLines(added)).toBe(text);
      }),
    );
  });
});

describe('a config of lefthook', () => {
  const configs: Record<string, string> = {
    'jobs, indented': 'post-checkout:\n  parallel: true\n  jobs:\n    - name: own   # mine\n      run: x\n\npre-commit: {}\n',
    'jobs, not indented': 'post-checkout:\n  jobs:\n  - run: x\n',
    commands: '# top\n\npre-push:\n  commands: { a: { run: x } }\npost-checkout:\n    commands:\n        own:\n            run: x',
    'CRLF, no last line end': 'post-checkout:\r\n  scripts:\r\n    "a.sh":\r\n      runner: sh',
    'none of its own': 'extends: [base.yml]\n',
  };
  test.each(Object.entries(configs))('%s: has the job, and the rest means what it did', (_name, text) => {
    const added = withJob(text, 'yml') ?? '';
    const { 'post-checkout': hook, ...rest } = parse(added);
    const { 'post-checkout': before, ...restBefore } = parse(text) ?? {};
    expect(rest).toEqual(restBefore);
    expect(hook.jobs[0]).toMatchObject({ name: 'coppice', run: expect.stringContaining('coppice/launch" checkout "$@"') });
    expect({ ...hook, jobs: hook.jobs.slice(1) }).toEqual({ ...before, jobs: before?.jobs ?? [] });
    expect(withJob(added, 'yml')).toBe(added);
    expect(withoutLines(added)).toBe(text);
  });

  test.each([
    ['a flow map', 'post-checkout: { jobs: [{ run: x }] }\n'],
    ['a flow list', 'post-checkout:\n  jobs: [{ run: x }]\n'],
    ['an alias', 'a: &a\n  jobs:\n    - run: x\npost-checkout: *a\n'],
    ['what is no YAML', 'post-checkout: [\n'],
  ])('%s is left to the user', (_name, text) => {
    expect(withJob(text, 'yml')).toBeNull();
  });

  test('TOML gets an element of its array of tables', () => {
    const text = '[post-checkout]\nparallel = true\n\n[post-checkout.commands.own]\nrun = "x"';
    const added = withJob(text, 'toml') ?? '';
    expect(added).toMatch(/\[\[post-checkout\.jobs\]\]\nname = "coppice"\nrun = '''coppice\(\)/);
    expect(withoutLines(added)).toBe(text);
    expect(withJob('[post-checkout]\njobs = [{ run = "x" }]\n', 'toml')).toBeNull();
  });

  test('names a post-checkout of its own, in each form', () => {
    expect(
      ['post-checkout:\n', '"post-checkout":', '[post-checkout]', '[[post-checkout.jobs]]', '  "post-checkout": {'].map(namesPostCheckout),
    ).toEqual(Array(5).fill(true));
    expect(['# post-checkout\n', 'pre-commit:\n', withJob('', 'yml') ?? ''].map(namesPostCheckout)).toEqual([false, false, false]);
  });
});

describe('a member of a JSON object', () => {
  const values = fc.constantFrom('"x"', '1', 'null', '{}', '[]', '{ "a": "\\u0041" }');
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'post-merge', 'x'), { maxLength: 4 });
  const layouts = fc.constantFrom(
    { open: '{\n', indent: '    ', join: ',\n', close: '\n  }' },
    { open: '{\r\n', indent: '\t\t', join: ',\r\n', close: '\r\n\t}' },
    { open: '{ ', indent: '', join: ', ', close: ' }' },
    { open: '{', indent: '', join: ',', close: '}' },
  );
  const documents = fc
    .tuple(keys, fc.array(values, { minLength: 4, maxLength: 4 }), layouts)
    .map(([names, of, { open, indent, join, close }]) => {
      const inner = names.map((name, index) => `${indent}"${name}": ${of[index]}`).join(join);
      return `{\n  "name": "shop",\n  "hooks": ${names.length === 0 ? '{}' : open + inner + close},\n  "z": 1\n}\n`;
    });

  test('added and taken out again, every byte is as before', () => {
    fc.assert(
      fc.property(documents, fc.string(), (text, value) => {
        const added = addMember(text, ['hooks'], 'post-checkout', value) ?? '';
        const before = JSON.parse(text);
        expect(JSON.parse(added)).toEqual({ ...before, hooks: { ...before.hooks, 'post-checkout': value } });
        expect(textMember(added, ['hooks'], 'post-checkout')).toBe(value);
        expect(removeMember(added, ['hooks'], 'post-checkout')).toBe(text);
      }),
    );
  });

  test('a text that is there gets words before it, and keeps how it is written', () => {
    const text = '{ "hooks": { "post-checkout": "caf\\u00e9 \\/ \\"x\\"", "b": 1 } }';
    fc.assert(
      fc.property(fc.string(), (prefix) => {
        const added = prefixMember(text, ['hooks'], 'post-checkout', prefix);
        expect(JSON.parse(added).hooks).toEqual({ 'post-checkout': `${prefix}café / "x"`, b: 1 });
        expect(unprefixMember(added, ['hooks'], 'post-checkout', prefix)).toBe(text);
      }),
    );
  });
});
