import { parse } from 'dotenv';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { carryOver } from '../../src/files/carry-over.ts';
import { assignments, readEnvText } from '../../src/files/env-text.ts';
import { type MergeInput, type MergeResult, mergeEnv, withoutBlock } from '../../src/files/merge.ts';
import { Failure } from '../../src/outcome.ts';
import type { CarryRule } from '../../src/resources/resource.ts';

const PORT_3000: CarryRule = { kind: 'port', from: 3000, to: 3010 };
const OPENING = "# >>> coppice >>> this worktree's own values; `git coppice up` writes this block again";
const CLOSING = '# <<< coppice <<<';

function merge(source: string, place: Record<string, string> = { PORT: '3010' }, more: Partial<MergeInput> = {}): MergeResult {
  return mergeEnv({ file: '.env', source, current: null, place, carry: [PORT_3000], onlyThese: null, digests: {}, salt: 'salt', ...more });
}

/** A later run, over what the last one left and perhaps the user changed since. */
function again(last: MergeResult, source: string, current: string, place: Record<string, string> = { PORT: '3010' }): MergeResult {
  return merge(source, place, { current, digests: last.digests });
}

test('where nothing is added, only the values that are the main worktree’s own are replaced', () => {
  const merged = merge(
    'PORT=3000\nDB=test\nURL=http://localhost:3000\n',
    { PORT: '3010', DB: 'mine', MORE: 'x' },
    { onlyThese: { PORT: '3000', DB: 'dev' } },
  );
  expect(merged.text).toBe('PORT=3010\nDB=test\nURL=http://localhost:3010\n');
});

describe('the main worktree’s file comes over byte for byte, but for the values that must change', () => {
  const SOURCE = [
    '# The shop. PORT=3000 in a comment stays.',
    '',
    'PORT=3000',
    '  API_URL=http://localhost:3000/x',
    'WS=ws://127.0.0.1:3000',
    'TIMEOUT=3000',
    "KEY='-----BEGIN KEY-----",
    'PORT=3000 is no assignment in here',
    "-----END KEY-----'",
    'export A=1',
    'QUOTED="http://localhost:3000/a b"',
    'SPACED = "x"   # a note, localhost:3000',
    'PLAIN=x # a note',
    'EMPTY=',
    'DOLLAR="$HOME/localhost:3000"',
    'OTHER=http://localhost:30001 https://shop.example:3000 mylocalhost:3000',
    'not an assignment',
    '',
  ];
  const WANTED = SOURCE.map((line) =>
    /^(PORT=3000|TIMEOUT.*|OTHER.*|PLAIN.*|SPACED.*|PORT=3000 is .*|# .*)$/.test(line)
      ? line === 'PORT=3000'
        ? 'PORT=3010'
        : line
      : line.replace(/(localhost|127\.0\.0\.1):3000/g, '$1:3010'),
  );

  test.each([
    ['with LF', '\n'],
    ['with CRLF', '\r\n'],
  ])('%s', (_name, end) => {
    const merged = merge(SOURCE.join(end));
    expect(merged.text).toBe(WANTED.join(end));
    expect(merged.placed).toEqual(['PORT', 'API_URL', 'WS', 'QUOTED', 'DOLLAR']);
    expect(merged.warnings).toEqual([]);
  });

  test.each([
    ['with a byte order mark', '\uFEFFPORT=3000\nB=1\n', '\uFEFFPORT=3010\nB=1\n'],
    ['without a final line end', 'B=1\nPORT=3000', 'B=1\nPORT=3010'],
    ['where the name stands twice', 'PORT=3000\nB=1\nPORT=3000\n', 'PORT=3010\nB=1\nPORT=3010\n'],
    ['with `export`', 'export PORT=3000\n', 'export PORT=3010\n'],
    ['in single quotes', "PORT='3000'\n", "PORT='3010'\n"],
    ['in double quotes', 'PORT="3000"\n', 'PORT="3010"\n'],
    ['in backticks', 'PORT=`3000`\n', 'PORT=3010\n'],
    ['with an inline comment', 'PORT=3000 # the port\n', 'PORT=3010 # the port\n'],
    ['with an inline comment behind quotes', 'PORT="3000"# the port\n', 'PORT="3010"# the port\n'],
    ['with nothing but an inline comment, which must not become part of the value', 'PORT= # the port\n', 'PORT=3010 # the port\n'],
    ['with a comment right behind the `=`', 'PORT=# the port\n', 'PORT=3010 # the port\n'],
    ['with no value', 'PORT=\nB=1\n', 'PORT=3010\nB=1\n'],
    ['with no value on the last line', 'PORT=', 'PORT=3010'],
    ['with spaces around', '  PORT  =  3000  \n', '  PORT  =  3010  \n'],
    ['with lone carriage returns', 'A=1\rPORT=3000\rB=2', 'A=1\rPORT=3010\rB=2'],
    ['in the form `NAME: value`', 'PORT: 3000\n', 'PORT: 3010\n'],
    ['with an older block of ours in it', `PORT=3000\n${OPENING}\nX=1\n${CLOSING}\n`, 'PORT=3010\n'],
  ])('%s', (_name, source, wanted) => {
    expect(merge(source).text).toBe(wanted);
  });

  test('a value that needs quotes gets those that every reader reads the same', () => {
    expect(merge('PORT=3000\n', { PORT: 'a b' }).text).toBe("PORT='a b'\n");
    expect(merge('PORT="3000"\n', { PORT: "it's" }).text).toBe('PORT="it\'s"\n');
    expect(merge("PORT='3000'\n", { PORT: "it's" }).text).toBe('PORT="it\'s"\n');
    expect(() => merge('PORT="3000"\n', { PORT: 'a$b' })).toThrow(Failure);
    expect(() => merge('', { PORT: 'a\nb' })).toThrow(/^\.env: the value of PORT cannot be written/);
  });

  test('names of Object.prototype are names like any other', () => {
    const source = 'constructor=1\ntoString=2\n__proto__=3\nhasOwnProperty=4\n';
    const first = merge(source, {});
    expect(first.text).toBe(source);
    expect(again(first, source, `${source}MINE=1\n`, {})).toMatchObject({ text: `${source}MINE=1\n`, warnings: [] });
    expect(merge('toString=2\n', { toString: '5', valueOf: '6' }).text).toBe(`toString=5\n${OPENING}\nvalueOf=6\n${CLOSING}\n`);
  });
});

describe('variables that the source does not have', () => {
  test('are added in a marked block, with the line ends of the file', () => {
    expect(merge('B=1\r\n').text).toBe(`B=1\r\n${OPENING}\r\nPORT=3010\r\n${CLOSING}\r\n`);
    expect(merge('B=1').text).toBe(`B=1\n${OPENING}\nPORT=3010\n${CLOSING}\n`);
    expect(merge('').text).toBe(`${OPENING}\nPORT=3010\n${CLOSING}\n`);
  });

  test('with `set:` are not added: exactly those that it names are placed, and addresses are still carried over', () => {
    const { text, placed } = merge('URL=http://localhost:3000\nPORT=3000\nAPI_PORT=9\n', { API_PORT: '3010' });
    expect(text).toBe('URL=http://localhost:3010\nPORT=3000\nAPI_PORT=3010\n');
    expect(placed).toEqual(['URL', 'API_PORT']);
  });

  test('a marker inside a value is no block', () => {
    const source = `NOTE="a # >>> coppice >>> b ${CLOSING}"\n`;
    expect(withoutBlock(source)).toBe(source);
    expect(merge(source, {}).text).toBe(source);
  });
});

describe('a later run', () => {
  const SOURCE = '# note\nPORT=3000\nSECRET=one\nURL=http://localhost:3000\n';
  const first = merge(SOURCE, { PORT: '3010', EXTRA: 'x' });
  const PLACE = { PORT: '3010', EXTRA: 'x' };

  test('over its own output changes nothing', () => {
    const second = again(first, SOURCE, first.text, PLACE);
    expect(second).toEqual(first);
  });

  test('brings in what changed in the source', () => {
    const source = SOURCE.replace('SECRET=one', 'SECRET=two').replace('# note', '# another note');
    expect(again(first, source, first.text, PLACE)).toMatchObject({
      text: first.text.replace('SECRET=one', 'SECRET=two').replace('# note', '# another note'),
      warnings: [],
    });
  });

  test('brings in another port of its own', () => {
    const { text } = merge(
      SOURCE,
      { PORT: '3020', EXTRA: 'x' },
      {
        current: first.text,
        digests: first.digests,
        carry: [{ kind: 'port', from: 3000, to: 3020 }],
      },
    );
    expect(text).toBe(first.text.replaceAll('3010', '3020'));
  });

  test('leaves a value that the user edited, and says so', () => {
    const current = first.text.replace('PORT=3010', 'PORT=4444');
    const second = again(first, SOURCE, current, PLACE);
    expect(second.text).toBe(current);
    expect(second.warnings).toEqual(['PORT in .env was edited in this worktree and is left as it is']);
    expect(again(second, SOURCE, second.text, PLACE)).toEqual(second);
  });

  test('takes an edit back into its care when the user undid it', () => {
    const second = again(first, SOURCE, first.text.replace('PORT=3010', 'PORT=4444'), PLACE);
    const third = again(second, SOURCE, first.text, PLACE);
    expect(third).toEqual(first);
  });

  test('where source and user changed different values takes both', () => {
    const source = SOURCE.replace('SECRET=one', 'SECRET=two');
    const second = again(first, source, first.text.replace('PORT=3010', 'PORT=4444'), PLACE);
    expect(second.text).toBe(first.text.replace('PORT=3010', 'PORT=4444').replace('SECRET=one', 'SECRET=two'));
    expect(second.warnings).toHaveLength(1);
  });

  test('where source and user changed one value takes the user’s, and says so', () => {
    const source = SOURCE.replace('SECRET=one', 'SECRET=two');
    const second = again(first, source, first.text.replace('SECRET=one', 'SECRET=mine'), PLACE);
    expect(second.text).toContain('SECRET=mine\n');
    expect(second.warnings).toEqual(['SECRET in .env was edited in this worktree and is left as it is']);
  });

  test('keeps a line that the user added, in its place', () => {
    const current = first.text.replace('SECRET=one\n', 'SECRET=one\n# mine\nMINE=1\n');
    expect(again(first, SOURCE, current, PLACE)).toMatchObject({ text: current, warnings: [] });
  });

  test('does not bring back a line that the user deleted, and says so where it was this worktree’s own', () => {
    const withoutSecret = first.text.replace('SECRET=one\n', '');
    expect(again(first, SOURCE, withoutSecret, PLACE)).toMatchObject({ text: withoutSecret, warnings: [] });
    const withoutPort = first.text.replace('PORT=3010\n', '');
    expect(again(first, SOURCE, withoutPort, PLACE)).toMatchObject({
      text: withoutPort,
      warnings: ['PORT was removed from .env in this worktree and is left out'],
    });
  });

  test('beside an edit: a line that is new in the source is added, one that left it goes, unless it was edited', () => {
    const edited = first.text.replace('PORT=3010', 'PORT=4444');
    expect(again(first, `${SOURCE}NEW="a b" # why\n`, edited, PLACE).text).toBe(edited.replace(OPENING, `NEW="a b" # why\n${OPENING}`));
    const less = SOURCE.replace('SECRET=one\n', '');
    expect(again(first, less, edited, PLACE).text).toBe(edited.replace('SECRET=one\n', ''));
    const mine = edited.replace('SECRET=one', 'SECRET=mine');
    expect(again(first, less, mine, PLACE).text).toBe(mine);
  });

  test('beside an edit: a variable added to the config comes into the block, one removed leaves it', () => {
    const edited = first.text.replace('SECRET=one', 'SECRET=mine');
    const added = again(first, SOURCE, edited, { ...PLACE, MORE: 'y' });
    expect(added.text).toBe(edited.replace('EXTRA=x\n', 'EXTRA=x\nMORE=y\n'));
    const removed = again(added, SOURCE, added.text, { PORT: '3010' });
    expect(removed.text).toBe(edited.slice(0, edited.indexOf(OPENING)));
  });

  test('beside an edit: a name that stands twice with two values is not taken for edited', () => {
    const source = 'A=1\nA=2\nB=1\n';
    const twice = merge(source, {});
    const second = again(twice, source, 'A=1\nA=2\nB=mine\n', {});
    expect(second.text).toBe('A=1\nA=2\nB=mine\n');
    expect(second.warnings).toEqual(['B in .env was edited in this worktree and is left as it is']);
  });

  test('beside an edit: a first line that goes leaves the byte order mark', () => {
    const source = '\uFEFFA=1\nB=1\n';
    const second = again(merge(source, {}), '\uFEFFB=1\n', '\uFEFFA=1\nB=mine\n', {});
    expect(second.text).toBe('\uFEFFB=mine\n');
  });

  test('a value edited in our block is left, and says so', () => {
    const current = first.text.replace('EXTRA=x', 'EXTRA=mine');
    const second = again(first, SOURCE, current, PLACE);
    expect(second).toMatchObject({ text: current, warnings: ['EXTRA in .env was edited in this worktree and is left as it is'] });
    expect(again(second, SOURCE, second.text, PLACE)).toEqual(second);
  });

  test('a line that the user wrote into our block is moved above it, and says so', () => {
    const second = again(first, SOURCE, first.text.replace('EXTRA=x\n', 'EXTRA=x\nMINE=1\n'), PLACE);
    expect(second.text).toBe(first.text.replace(OPENING, `MINE=1\n${OPENING}`));
    expect(second.warnings).toEqual([
      "MINE was edited in coppice's block of .env, where it no longer belongs: it stands above the block now",
    ]);
  });

  test('a value edited in our block outlives its variable in the config', () => {
    const second = again(first, SOURCE, first.text.replace('EXTRA=x', 'EXTRA=mine'), { PORT: '3010' });
    expect(second.text).toBe(`${first.text.slice(0, first.text.indexOf(OPENING))}EXTRA=mine\n`);
    expect(second.warnings).toHaveLength(1);
  });

  test('a variable of the block that the source has now is not lost beside an edit', () => {
    const edited = first.text.replace('SECRET=one', 'SECRET=mine');
    const second = again(first, `${SOURCE}EXTRA=main\n`, edited, PLACE);
    expect(parse(second.text)).toEqual({ PORT: '3010', SECRET: 'mine', URL: 'http://localhost:3010', EXTRA: 'x' });
  });

  test('over a file that no run of ours wrote takes every value in it for the user’s', () => {
    const second = merge(SOURCE, PLACE, { current: 'PORT=5000\nSECRET=one\nMINE=1\n' });
    expect(parse(second.text)).toEqual({ PORT: '5000', SECRET: 'one', MINE: '1', URL: 'http://localhost:3010', EXTRA: 'x' });
    expect(second.warnings).toEqual(['PORT in .env was edited in this worktree and is left as it is']);
  });
});

const NAMES = ['PORT', 'URL', 'A', 'B_1', 'c.d', 'e-f', 'constructor', 'X'];
const envLine = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('', ' ', 'export ', '\t'),
      fc.constantFrom(...NAMES),
      fc.constantFrom('=', ' = ', '= ', ': ', '=\n', ' ='),
      fc.oneof(
        fc.constantFrom(
          '',
          '3000',
          'http://localhost:3000/x',
          '"a b"',
          "'c'",
          '`d`',
          '"a\\nb"',
          "'x\ny'",
          '"unclosed',
          "'un'closed",
          '"a"b"',
          "'\\''",
          'x#y',
          'x # y',
          '"q" # c',
          '#',
          '$HOME',
          "''",
        ),
        fc.string({ maxLength: 8 }),
      ),
      fc.constantFrom('', ' ', ' # note', '#'),
    )
    .map((parts) => parts.join('')),
  fc.constantFrom('', '# comment', '   ', 'not an assignment', '=', 'A', '"', "'", '\uFEFF', '\u2028B=2', 'a\u2029b=1'),
  fc.string({ unit: fc.constantFrom(...'AB=:\'"`#\\ \n\rexport'), maxLength: 12 }),
);
const envText = fc
  .tuple(fc.array(envLine, { maxLength: 8 }), fc.constantFrom('\n', '\r\n', '\r'), fc.constantFrom('', '\uFEFF'))
  .map(([lines, end, bom]) => bom + lines.join(end));

describe('for any env file', () => {
  test('the tokenizer finds the names and values that dotenv reads', () => {
    fc.assert(
      fc.property(envText, (text) => {
        const last = Object.fromEntries(assignments(text).map(({ name, value }) => [name, value]));
        expect(last).toEqual({ ...parse(text) });
      }),
      { numRuns: 20_000 },
    );
  });

  test('assignments stand one behind the other, and a value stands within its own', () => {
    fc.assert(
      fc.property(envText, (text) => {
        let position = 0;
        for (const { start, end, valueStart, valueEnd } of assignments(text)) {
          expect([position, start, valueStart, valueEnd, end, text.length]).toEqual(
            [position, start, valueStart, valueEnd, end, text.length].sort((a, b) => a - b),
          );
          position = end;
        }
      }),
      { numRuns: 5000 },
    );
  });

  function isRefused(text: string, place: Record<string, string>): boolean {
    try {
      merge(text, place);
      return false;
    } catch (error) {
      if (error instanceof Failure && error.message.includes('is not closed')) return true;
      throw error;
    }
  }

  test('a quote that is not closed is refused when a change would close it', () => {
    expect(isRefused('A="unclosed\nPORT=\n"a b"\n"', { PORT: '3010' })).toBe(true);
  });

  test('with nothing to place and nothing to carry over, it comes over byte for byte', () => {
    fc.assert(
      fc.property(envText, (text) => {
        expect(merge(text, {}, { carry: [] }).text).toBe(text);
      }),
      { numRuns: 5000 },
    );
  });

  test('what is placed is what dotenv reads, and every other value stays or is carried over', () => {
    let refused = 0;
    fc.assert(
      fc.property(envText, (text) => {
        const place = { PORT: '3010', NEW: 'a b' };
        // A quote that is not closed can be closed by a change further down: such a file is refused, and seldom.
        if (isRefused(text, place)) {
          refused += 1;
          return;
        }
        // The block begins on a line of its own: `A:` alone is no assignment, `A:` and a line end is one.
        const before = parse(`${text}\n`);
        const after = parse(merge(text, place).text);
        const wanted = Object.fromEntries(Object.entries(before).map(([name, value]) => [name, carryOver(value, [PORT_3000])]));
        expect({ ...after }).toEqual({ ...wanted, ...place });
      }),
      { numRuns: 10_000 },
    );
    expect(refused).toBeLessThan(500);
  });

  test('a second run over its own output changes nothing', () => {
    fc.assert(
      fc.property(envText, (text) => {
        fc.pre(!isRefused(text, { PORT: '3010', NEW: 'a b' }));
        const first = merge(text, { PORT: '3010', NEW: 'a b' });
        expect(again(first, text, first.text, { PORT: '3010', NEW: 'a b' })).toEqual(first);
        // Nor does a third, after an edit that the second left as it is.
        const edited = again(first, text, `${first.text}\nMINE=1\n`, { PORT: '3010', NEW: 'a b' });
        expect(again(edited, text, edited.text, { PORT: '3010', NEW: 'a b' }).text).toBe(edited.text);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('carry-over', () => {
  test.each([
    ['http://localhost:3000', 'http://localhost:3010'],
    ['http://LOCALHOST:3000/x?y=localhost:3000', 'http://LOCALHOST:3010/x?y=localhost:3010'],
    ['ws://127.0.0.1:3000', 'ws://127.0.0.1:3010'],
    ['127.1.2.3:3000', '127.1.2.3:3010'],
    ['http://[::1]:3000', 'http://[::1]:3010'],
    ['0.0.0.0:3000', '0.0.0.0:3010'],
    ['http://app.localhost:3000', 'http://app.localhost:3010'],
    ['http://host.docker.internal:3000', 'http://host.docker.internal:3010'],
    ['https://login.example/?to=http%3A%2F%2Flocalhost%3A3000%2Fx', 'https://login.example/?to=http%3A%2F%2Flocalhost%3A3010%2Fx'],
    ['http://localhost:3000,http://localhost:5173', 'http://localhost:3010,http://localhost:5183'],
    ['http://user:pw@localhost:3000', 'http://user:pw@localhost:3010'],
  ])('%s becomes %s', (value, wanted) => {
    expect(carryOver(value, [PORT_3000, { kind: 'port', from: 5173, to: 5183 }])).toBe(wanted);
  });

  test.each([
    '3000',
    'localhost',
    'localhost:30001',
    'localhost:300',
    'http://shop.example:3000',
    'mylocalhost:3000',
    'x127.0.0.1:3000',
    'localhost.example:3000',
    '10.0.0.1:3000',
    'http://localhost/3000',
    'not-localhost:3000',
  ])('%s stays', (value) => {
    expect(carryOver(value, [PORT_3000])).toBe(value);
  });

  test('a port that becomes another’s old one is not moved twice', () => {
    const rules: CarryRule[] = [PORT_3000, { kind: 'port', from: 3010, to: 3020 }];
    expect(carryOver('localhost:3000 localhost:3010', rules)).toBe('localhost:3010 localhost:3020');
  });

  test('a path is replaced where it stands as a whole', () => {
    const rules: CarryRule[] = [{ kind: 'text', from: '/main/dev.db', to: '/x/$&.db' }];
    expect(carryOver('file:/main/dev.db?x=1', rules)).toBe('file:/x/$&.db?x=1');
    for (const value of ['/main/dev.db-wal', '/main/dev.db2', 'x/main/dev.db', '/main/devXdb']) expect(carryOver(value, rules)).toBe(value);
  });

  test('never changes anything but the digits of one of our ports behind a name of this machine', () => {
    const host = fc.constantFrom('localhost', '127.0.0.1', '[::1]', '0.0.0.0', 'a.localhost', 'example.com', '10.1.1.1', 'mylocalhost', '');
    const text = fc
      .array(
        fc.oneof(
          fc
            .tuple(host, fc.constantFrom(':', '%3A', '/', ' '), fc.constantFrom('3000', '5173', '30000', '300', '3001'))
            .map((parts) => parts.join('')),
          fc.string({ maxLength: 5 }),
        ),
        { maxLength: 6 },
      )
      .map((parts) => parts.join(''));
    const rules: CarryRule[] = [PORT_3000, { kind: 'port', from: 5173, to: 5183 }];
    fc.assert(
      fc.property(text, (value) => {
        const carried = carryOver(value, rules);
        expect(carried.length).toBe(value.length);
        for (let index = 0; index < value.length; index += 1) {
          if (value[index] === carried[index]) continue;
          const at = /(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)(?::|%3A)$/i;
          const moved = [3, 2, 1, 0].some(
            (back) => at.test(value.slice(0, index - back)) && ['3000', '5173'].includes(value.slice(index - back, index - back + 4)),
          );
          expect(moved).toBe(true);
        }
      }),
      { numRuns: 10_000 },
    );
  });
});

test('an env file with more empty lines than anybody leaves is refused at once, and read', () => {
  const text = `A=1${'\n'.repeat(150_000)}B=2\n`;
  expect(() => assignments(text)).toThrow('hundreds of empty lines in a row');
  expect({ ...readEnvText(text) }).toEqual({ A: '1', B: '2' });
});
