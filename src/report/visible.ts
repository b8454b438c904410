/** Characters that move, hide or replace others, or show as nothing or as a space. A lone surrogate (Cs) is no character. */
const HIDDEN = /^(?:[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs})$/u;
/** More on one letter than languages need run into the lines above and below. */
const MOST_MARKS = 4;

/**
 * Text from outside (branch names, paths, a line of a command's output) made safe to print on one line: control, escape,
 * bidirectional, zero-width and blank characters are shown as `\u{…}`, so that nothing printed can hide or move anything else.
 * Two texts are never shown alike: of characters that Unicode calls the same (UAX #15) one form is shown as it is, and a `\u{`
 * that stands in the text has its backslash shown as `\u{5c}`. So what is shown must not be made visible once more.
 */
export function visible(text: string): string {
  if (/^[ -[\]-~]*$/.test(text)) return text;
  let shown = '';
  // The letter that a mark would stand on, with its marks.
  let letter = '';
  let marks = 0;
  for (const { 0: character, index } of text.matchAll(/./gsu)) {
    const isMark = /^\p{M}$/u.test(character);
    const hasPlace = !isMark || (/^[\p{L}\p{N}]/u.test(letter) && marks < MOST_MARKS);
    const isLiteral = character === '\\' && text.startsWith('u{', index + 1);
    const joined = letter + character;
    if (hasPlace && !isLiteral && !HIDDEN.test(character) && joined.normalize('NFC') === joined) {
      shown += character;
      letter = isMark ? joined : character;
      marks = isMark ? marks + 1 : 0;
    } else {
      shown += `\\u{${character.codePointAt(0)?.toString(16)}}`;
      letter = '';
      marks = 0;
    }
  }
  return shown;
}

/** Text of several lines, e.g. a log's: line ends and tabs stay what they are. */
export function visibleLines(text: string): string {
  return text
    .split(/([\n\t])/)
    .map((part) => (part === '\n' || part === '\t' ? part : visible(part)))
    .join('');
}
