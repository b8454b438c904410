/**
 * Text from outside (branch names, paths, output of commands) made safe to print: control, escape, bidirectional and
 * zero-width characters are shown as `\u{…}`, so that nothing printed can hide or move anything else.
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]/gu, (character) =>
    character === '\t' ? ' ' : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
