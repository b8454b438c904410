import { type CST, type Document, isNode, isPair, isScalar, type Node, type Pair, type Scalar } from 'yaml';
import type { Problem } from './problems.ts';

/** Makes a problem at an offset of the file. */
export type At = (offset: number, message: string, width?: number, hint?: string | null) => Problem;

/** What is wrong with a YAML file before anybody asks what it says. @param tokens all of them, in the order of the file */
export function yamlProblems(document: Document, tokens: CST.Token[], text: string, at: At): Problem[] {
  const syntax = syntaxProblems(document, tokens, text, at);
  // What the parts of a broken file look like says little about what was meant.
  return [...refusedTokens(tokens, at), ...syntax, ...(syntax.length > 0 ? [] : refusedNodes(document, text, at))];
}

/** Whether a token is one that no config may have, whatever it says. */
export function isRefused({ type }: CST.Token): boolean {
  return ['alias', 'anchor', 'tag', 'directive'].includes(type);
}

/** Aliases can make a small file large; tags build objects; a directive changes what the rest means (`%YAML 1.1`: `no` is false). */
export function refusedTokens(tokens: CST.Token[], at: At): Problem[] {
  return tokens.flatMap((token) => {
    if (!('source' in token)) return [];
    const { type, offset, source } = token;
    const [word = ''] = source.split(/\s/);
    if (type === 'alias') return [at(offset, `an alias (\`${word}\`) is not allowed`, word.length, 'Write the value out.')];
    if (type === 'anchor')
      return [at(offset, `an anchor (\`${word}\`) is not allowed`, word.length, 'Write the value out where it is needed.')];
    if (type === 'tag') return [at(offset, `a tag (\`${word}\`) is not allowed`, word.length, 'Leave it out; text goes in quotes.')];
    if (type === 'directive') return [at(offset, `a directive (\`${word}\`) is not allowed`, word.length, 'Leave the line out.')];
    return [];
  });
}

/** What the YAML library says of tokens that are refused anyway. */
const ABOUT_REFUSED = ['TAG_RESOLVE_FAILED', 'MULTIPLE_TAGS', 'MULTIPLE_ANCHORS', 'BAD_ALIAS', 'BAD_DIRECTIVE', 'BAD_PROP_ORDER'];

/** The syntax errors of the YAML library, in plainer words where it matters and at the place where the mistake was made. */
function syntaxProblems(document: Document, tokens: CST.Token[], text: string, at: At): Problem[] {
  const unclosed = tokens.find(
    (token) =>
      (token.type === 'double-quoted-scalar' && !/^"(?:\\.|[^"\\])*"$/s.test(token.source)) ||
      (token.type === 'single-quoted-scalar' && !/^'(?:''|[^'])*'$/s.test(token.source)),
  );
  if (unclosed && 'source' in unclosed)
    return [at(unclosed.offset, `a ${unclosed.source[0] === '"' ? 'double' : 'single'} quote is opened here and never closed`)];
  const bare = /:[ \t]+(?=\{\{)/.exec(text);
  const start = bare === null ? 0 : bare.index + bare[0].length;
  if (document.errors.length > 0 && bare && document.errors[0] && start <= document.errors[0].pos[0])
    return [at(start, 'a value that begins with `{{` must be in quotes', 2, 'Like this: `"{{PORT}}"`.')];
  return (
    [...document.errors, ...document.warnings]
      .filter(({ code }) => !ABOUT_REFUSED.includes(code))
      // What it is then called follows from what it is told of first.
      .filter(({ code }, _, all) => code !== 'MULTILINE_IMPLICIT_KEY' || all.length === 1)
      .map(({ code, message, pos: [start, end] }) => {
        const { sentence, hint } = plainly(code, message, text.slice(start));
        return at(start, sentence, Math.max(1, end - start), hint);
      })
  );
}

function plainly(code: string, message: string, rest: string): { sentence: string; hint: string | null } {
  const [first = message] = message.split(/ at line \d+/);
  if (code === 'TAB_AS_INDENT') return { sentence: 'a tab stands where spaces should', hint: 'YAML is indented with spaces.' };
  if (code === 'DUPLICATE_KEY')
    return {
      sentence: `\`${
        /^[^:\r\n]*/
          .exec(rest)?.[0]
          .trim()
          .replace(/^(['"])(.*)\1$/, '$2') ?? ''
      }\` stands here a second time`,
      hint: 'Keep one of them.',
    };
  if (/^Nested mappings/.test(first)) {
    const [line = ''] = rest.split('\n', 1);
    return line.includes(': ')
      ? { sentence: 'there are two `: ` in one line', hint: 'Put a value that holds `: ` in quotes.' }
      : { sentence: 'goes on in the next line, which is indented too far', hint: 'Entries of one map begin in the same column.' };
  }
  if (/^All mapping items/.test(first)) return { sentence: 'is indented in another way than the entries above it', hint: null };
  if (/^Implicit map keys need/.test(first)) return { sentence: 'a `:` is missing after this key', hint: null };
  if (code === 'BAD_SCALAR_START') return { sentence: first.replace(/\s+/g, ' '), hint: 'Put the value in quotes.' };
  return { sentence: first.replace(/\s+/g, ' '), hint: null };
}

/** Keys that are no names of anything, and text that no file, command or variable can hold. */
function refusedNodes(document: Document, text: string, at: At): Problem[] {
  const problems: Problem[] = [];
  const walk = (node: unknown): void => {
    if (isPair(node)) {
      walkKey(node);
      walk(node.value);
    } else if (isScalar(node)) walkText(node);
    else if (isNode(node) && 'items' in node && Array.isArray(node.items)) node.items.forEach(walk);
  };
  const walkText = ({ value, range }: Scalar): void => {
    if (typeof value !== 'string') return;
    if (value.includes('\0')) problems.push(at(range?.[0] ?? 0, 'has a NUL character in it, which nothing can hold'));
    if (/\p{Cs}/u.test(value)) problems.push(at(range?.[0] ?? 0, 'has half of a character in it (a lone surrogate)'));
  };
  const walkKey = (pair: Pair): void => {
    const key = pair.key as Node | null;
    const start = key?.range?.[0] ?? 0;
    if (!isScalar(key) || key.value === null) {
      const bare = text.startsWith('{{', start - 1);
      problems.push(
        bare
          ? at(start - 1, 'a value that begins with `{{` must be in quotes', 2, 'Like this: `"{{PORT}}"`.')
          : at(start, 'a key must be plain text'),
      );
    } else if (['__proto__', 'constructor', 'prototype'].includes(String(key.value)))
      problems.push(at(start, `\`${String(key.value)}\` cannot be used as a key`, String(key.value).length));
    else walkText(key);
  };
  walk(document.contents);
  return problems;
}

/** What is right in YAML and not in JSON, and where. */
export function jsonProblems(text: string, tokens: CST.Token[], at: At): Problem[] {
  try {
    JSON.parse(text);
    return [];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    for (const token of tokens) {
      if (token.type === 'comment') return [at(token.offset, 'JSON has no comments', token.source.length)];
      if (token.type === 'block-map' || token.type === 'block-seq')
        return [at(token.offset, 'is YAML, in a file that is called .json', 1, 'Write it as JSON, or call it worktree.config.yaml.')];
      if (
        token.type === 'single-quoted-scalar' ||
        (token.type === 'scalar' && !/^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)$/.test(token.source))
      )
        return [at(token.offset, 'text in JSON is in double quotes', token.source.length)];
    }
    const offset = Number(/position (\d+)/.exec(error.message)?.[1] ?? 0);
    return [at(offset, `is not valid JSON: ${error.message.replace(/ in JSON at position.*/s, '')}`)];
  }
}
