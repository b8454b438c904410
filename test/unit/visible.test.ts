import fc from 'fast-check';
import { expect, test } from 'vitest';
import { visible, visibleLines } from '../../src/report/visible.ts';

/** Code points of kinds that hide, move, join or look like others; a generator each. */
const among = (first: number, last: number) => fc.integer({ min: first, max: last }).map((code) => String.fromCodePoint(code));
const HOSTILE = fc.oneof(
  { weight: 4, arbitrary: among(0, 0x10ffff) },
  among(0x00, 0x1f),
  among(0x7f, 0x9f),
  fc.constantFrom('\u001b[31m', '\u001b]8;;http://x\u0007', '\u001b[2J', '\r', '\t', ' ', '\n', '\b\b\b', '\u009b1A'),
  fc.constantFrom('\\', '\\\\', '\\u', 'u{', '\\u{', '\\u{1b}', '\\u{5c}', '{5c}u{', '}', '1b}', '\\u{5c}u{1b}'),
  among(0x202a, 0x202e),
  among(0x2066, 0x2069),
  fc.constantFrom('\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u00ad', '\u034f', '\u061c', '\u115f', '\u3164', '\uffa0', '\u2800'),
  fc.constantFrom('\u00a0', '\u2003', '\u3000', '\u2028', '\u2029', '\u0085', '\u1680'),
  among(0xd800, 0xdfff),
  among(0xe0000, 0xe007f),
  among(0xfe00, 0xfe0f),
  among(0xe0100, 0xe01ef),
  among(0xe000, 0xf8ff),
  among(0x10fff0, 0x10ffff),
  fc.constantFrom('\u0378', '\u{1fffe}', '\uffff', '\u{e0fff}'),
  fc.array(among(0x300, 0x36f), { minLength: 1, maxLength: 40 }).map((marks) => marks.join('')),
  fc.constantFrom('é', 'e\u0301', 'a\u0323\u0302', 'ậ', '\u212b', 'Å', '\u2126', 'Ω', '가', '\u1100\u1161', '\u0958', '\uf900', '豈'),
  fc.constantFrom('a', 'а', 'ɑ', 'o', 'о', 'ο', '0', 'l', 'I', 'Ⅰ', 'ﬁ', 'fi', '‐', '-', '−', ';', ';'),
  fc.constantFrom('日本', 'ünï', 'नमस्ते', 'שָׁלוֹם', 'ไทย', '🍐', '👩‍💻', '❤️'),
);
const text = fc.array(HOSTILE, { maxLength: 12 }).map((parts) => parts.join(''));

/** What was shown, read back: possible only where no two texts are shown alike. */
function readBack(shown: string): string {
  return shown.replace(/\\u\{([0-9a-f]+)\}/g, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)));
}

const RAW = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;

test('10,000 hostile texts are each shown as nothing else is, and nothing raw is left in them', () => {
  fc.assert(
    fc.property(text, (hostile) => {
      const shown = visible(hostile);
      expect(shown).not.toMatch(RAW);
      // Canonically equal texts look the same: what is shown is in the one form, so that unequal ones differ in it.
      expect(shown.normalize('NFC')).toBe(shown);
      expect(shown).not.toMatch(/\p{M}{5}|(?:^|[^\p{L}\p{N}\p{M}])\p{M}/u);
      expect(readBack(shown)).toBe(hostile);
    }),
    { numRuns: 10_000 },
  );
});

test('two texts that differ in one hostile character are shown differently', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 5 }), HOSTILE, HOSTILE, fc.string({ maxLength: 5 }), (before, one, other, after) => {
      fc.pre(one !== other);
      expect(visible(before + one + after)).not.toBe(visible(before + other + after));
    }),
    { numRuns: 10_000 },
  );
});

test.each([
  ['a literal escape and a real one', '\\u{1b}\u001b', '\\u{5c}u{1b}\\u{1b}'],
  ['a tab and a space', 'a\tb c', 'a\\u{9}b c'],
  ['a Windows path', 'C:\\users\\tab', 'C:\\users\\tab'],
  ['letters of the world', 'ünïcödé/日本語/नमस्ते/שָׁלוֹם', 'ünïcödé/日本語/नमस्ते/שָׁלוֹם'],
  ['an emoji', '🍐', '🍐'],
  ['a letter in two pieces', 'cafe\u0301', 'cafe\\u{301}'],
  ['a space that is none', 'a\u00a0b', 'a\\u{a0}b'],
  ['a mark on nothing', '\u0336x', '\\u{336}x'],
])('%s: %j is shown as %j', (_, hostile, shown) => {
  expect(visible(hostile)).toBe(shown);
});

test('in lines of a log the line ends and tabs stay, and each line is still shown as nothing else is', () => {
  fc.assert(
    fc.property(text, (hostile) => {
      const shown = visibleLines(hostile);
      expect(shown.replace(/[\n\t]/g, '')).not.toMatch(RAW);
      expect(readBack(shown)).toBe(hostile);
    }),
  );
});
