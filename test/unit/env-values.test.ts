import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { parse } from 'dotenv';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { envBlock, mergeEnv } from '../../src/files/merge.ts';
import { quoteForAll, quoteForShell } from '../../src/files/quote.ts';
import { Failure } from '../../src/outcome.ts';

// Each value that coppice writes into an env file is read back here by the readers that apps have. dotenv, Node, bash and
// dash are the real ones. Docker Compose cannot be run here: `readAsCompose` is a fake that holds its documented rules
// (https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax) and throws where
// they would change a value. `docker --env-file` takes all behind `=` as it is, so it reads bare values alone.

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-env-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));
const python = ['python3', 'python'].find((program) => {
  try {
    return /^1\./.test(
      execFileSync(program, ['-c', 'from importlib.metadata import version; print(version("python-dotenv"))'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    );
  } catch {
    return false; // no such program, or no such package: the test is skipped
  }
});

/** The documented rules of Compose's env files, as strictly as they can be read. */
function readAsCompose(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', rest = ''] = /^(?:export +)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(line) ?? [];
    if (name === '') throw new Error(`not an assignment: ${line}`);
    const [quote] = rest;
    if (quote === "'" || quote === '"') {
      const end = rest.indexOf(quote, 1);
      if (end !== rest.length - 1) throw new Error(`ends inside the value: ${line}`);
      const inside = rest.slice(1, -1);
      // Single quotes are literal, but a `\'` does not end them; in double quotes `$` interpolates and `\` escapes.
      if (inside.includes('\\') || (quote === '"' && inside.includes('$'))) throw new Error(`read differently: ${line}`);
      values[name] = inside;
    } else {
      // Bare: `$` interpolates, ` #` begins a comment, and space around is cut off. Older versions take any `#`.
      if (/[$#\\\s]/.test(rest)) throw new Error(`read differently: ${line}`);
      values[name] = rest;
    }
  }
  return values;
}

/** What a shell has in its environment after sourcing a file, of the variables that it names. */
function readAsShell(shell: string, text: string): Record<string, string> {
  const file = path.join(folder, 'file.env');
  fs.writeFileSync(file, text);
  const out = execFileSync(shell, ['-c', 'set -a; . "$1"; exec env -0', shell, file], {
    env: { PATH: process.env.PATH, HOME: '/home/nobody', LC_ALL: 'C.UTF-8' },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const entries = out
    .split('\0')
    .map((entry): [string, string] => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]);
  return Object.fromEntries(entries.filter(([name]) => name.startsWith('V_')));
}

function readAsLoadEnvFile(text: string): Record<string, string> {
  const file = path.join(folder, 'load.env');
  fs.writeFileSync(file, text);
  const out = execFileSync(
    process.execPath,
    ['-e', `process.loadEnvFile(${JSON.stringify(file)}); console.log(JSON.stringify(process.env))`],
    {
      env: { PATH: process.env.PATH },
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  return Object.fromEntries(Object.entries(JSON.parse(out)).filter(([name]) => name.startsWith('V_'))) as Record<string, string>;
}

function readAsPython(text: string): Record<string, string> {
  const script =
    'import sys, io, json, dotenv; print(json.dumps(dotenv.dotenv_values(stream=io.StringIO(sys.stdin.buffer.read().decode()))))';
  return JSON.parse(
    execFileSync(python ?? 'python3', ['-c', script], {
      input: text,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: process.env.HOME },
    }),
  );
}

const READERS: [name: string, read: (text: string) => Record<string, string>][] = [
  ['dotenv', (text) => parse(text)],
  ["Node's util.parseEnv", (text) => parseEnv(text) as Record<string, string>],
  ["Node's process.loadEnvFile", readAsLoadEnvFile],
  ['bash', (text) => readAsShell('bash', text)],
  ['dash', (text) => readAsShell('dash', text)],
  ["Compose's documented rules", readAsCompose],
];

/** Pieces that readers of env files take for something else, mixed with anything at all. */
const piece = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...'\'"`$#\\=!%~&|;<>(){}[]*?^:,@+- \t',
      '$HOME',
      '$(id)',
      '`id`',
      ' #',
      '\\n',
      "\\'",
      'export ',
      'é',
      '日本',
      '👩‍👩‍👧',
      '\u00a0',
      '\u2028',
      '\ufeff',
      '\u200b',
      '~/',
    ),
  },
  { weight: 2, arbitrary: fc.string({ minLength: 1, maxLength: 8 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\n', '\0', '\u001b', '\u0085', '\ud800', '\udc00') },
);
const value = fc.oneof(
  fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join('')),
  fc.webUrl({ withQueryParameters: true }),
  fc.constantFrom(
    '',
    ' ',
    "'",
    '"',
    '-n',
    '~',
    '#',
    '=',
    'export A=1',
    ' x',
    'x ',
    "it's",
    'say "x"',
    'postgres://u:p%40x@h:5432/d?a=b&c=d',
    'true',
    '0',
  ),
);

/** A few hundred values by names; runs of values that cannot be written are what the next test is about. */
let written: Record<string, string> = {};
beforeAll(() => {
  const values = fc.sample(value, 3000).filter((text) => quoteForAll(text) !== null);
  written = Object.fromEntries([...values, 'x'.repeat(100_000), `${'long '.repeat(20_000)}`].map((text, index) => [`V_${index}`, text]));
  expect(Object.keys(written).length).toBeGreaterThan(1000);
});

describe('every value that an env file is written with is read back the same', () => {
  test.each(READERS)('by %s, from a marked block', (_name, read) => {
    expect({ ...read(envBlock('.env', null, written, 'dotenv')) }).toEqual(written);
  });

  test.each(READERS)('by %s, from a merged file', (_name, read) => {
    // Half of them stand in the source already, in quotes of each kind.
    const source = Object.keys(written)
      .filter((_key, index) => index % 2 === 0)
      .map((name, index) => `${name}=${['old', "'old'", '"old"', ''][index % 4]}\n`)
      .join('');
    const { text } = mergeEnv({ file: '.env', source, current: null, place: written, carry: [], onlyThese: null, digests: {}, salt: '' });
    expect({ ...read(text) }).toEqual(written);
  });

  // It is a package of Python's own registry, which not every machine reaches; the others are always read.
  test.skipIf(python === undefined)('by python-dotenv, where it is installed', () => {
    expect(readAsPython(envBlock('.env', null, written, 'dotenv'))).toEqual(written);
  });

  test('by `docker --env-file`, which knows no quotes, where the value is bare', () => {
    const bare = Object.entries(written).filter(([, text]) => quoteForAll(text) === text);
    expect(bare.length).toBeGreaterThan(20);
    for (const [, text] of bare) expect(text).not.toMatch(/^['"]|^\s|\s$|[\r\n]/);
  });
});

test('one value at a time: it is written so that dotenv, Node and Compose agree, or refused with a sentence', () => {
  fc.assert(
    fc.property(value, (text) => {
      let line: string;
      try {
        line = envBlock('.env', null, { V_0: text }, 'dotenv');
      } catch (error) {
        expect(error).toBeInstanceOf(Failure);
        expect((error as Failure).message).toContain('.env: the value of V_0 cannot be written');
        // Only what some reader would change is refused.
        expect(text).toMatch(/[\p{Cc}\p{Cs}$\\]|'.*["`]|["`].*'/su);
        return;
      }
      expect(parse(line)).toEqual({ V_0: text });
      expect({ ...parseEnv(line) }).toEqual({ V_0: text });
      expect(readAsCompose(line)).toEqual({ V_0: text });
    }),
    { numRuns: 5000 },
  );
});

describe('a file for shells', () => {
  test.each(['bash', 'dash'])('gives %s every value but those with a NUL or half a character', (shell) => {
    const all = fc.sample(value, 3000).filter((text) => quoteForShell(text) !== null);
    const values = Object.fromEntries([...all, 'a\nb', '\r\n', "'".repeat(50)].map((text, index) => [`V_${index}`, text]));
    expect(readAsShell(shell, envBlock('.envrc', null, values, 'export'))).toEqual(values);
  });

  test('refuses NUL and lone surrogates with a sentence, and nothing else', () => {
    fc.assert(
      fc.property(value, (text) => {
        expect(quoteForShell(text) === null).toBe(/[\0\p{Cs}]/u.test(text));
      }),
      { numRuns: 3000 },
    );
    expect(() => envBlock('.envrc', null, { V_0: 'a\0b' }, 'export')).toThrow(Failure);
    expect(() => envBlock('.envrc', null, { V_0: '\ud800' }, 'export')).toThrow(Failure);
  });
});

test('every name that the config allows for a variable is read back the same', () => {
  const name = fc.stringMatching(/^V_[A-Za-z0-9_]{0,20}$/);
  const names = [...new Set(fc.sample(name, 500))];
  const values = Object.fromEntries(names.map((key) => [key, `of ${key}`]));
  const text = envBlock('.env', null, values, 'dotenv');
  for (const [, read] of READERS) expect({ ...read(text) }).toEqual(values);
});

test('a block leaves the lines outside it as they are, and is written again in its place at the end', () => {
  const first = envBlock('.env', 'MINE=1\n# a note', { V_0: 'a' }, 'dotenv');
  expect(first).toMatch(/^MINE=1\n# a note\n# >>> coppice >>>.*\nV_0=a\n# <<< coppice <<<\n$/);
  expect(envBlock('.env', first, { V_0: 'a' }, 'dotenv')).toBe(first);
  expect(envBlock('.env', `${first}AFTER=1\n`, { V_1: 'b' }, 'dotenv')).toMatch(/^MINE=1\n# a note\nAFTER=1\n# >>> coppice >>>.*\nV_1=b\n/);
});
