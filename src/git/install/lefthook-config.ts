import { isMap, isSeq, parseDocument, type YAMLMap } from 'yaml';
import { entryLine } from './entry.ts';
import { withLines, withoutLines } from './marked.ts';

const HOOK = 'post-checkout';
const RUN = entryLine('{1} {2} {3}');
/** The job, for who must write it. */
export const JOB = `{ name: coppice, run: ${JSON.stringify(RUN)} }`;

/** Whether a config of lefthook has a `post-checkout` of its own, ours left out. */
export function namesPostCheckout(text: string): boolean {
  return /^\s*\[*["']?post-checkout["']?[\].: ]/m.test(withoutLines(text));
}

/**
 * A config of lefthook with our job in it; every other byte stays. Null when its form leaves no place for a few lines.
 * @param form the file's ending
 */
export function withJob(text: string, form: string): string | null {
  const before = withoutLines(text);
  const after = form === 'toml' ? withTomlJob(before) : form === 'yml' || form === 'yaml' ? withYamlJob(before) : null;
  return after;
}

/** TOML adds to an array of tables wherever its next element is written. */
function withTomlJob(text: string): string | null {
  const [, own = ''] = /^\[post-checkout\][^\n]*\n((?:(?!\[).*\n?)*)/m.exec(text) ?? [];
  if (/^\s*jobs\s*=/m.test(own)) return null;
  return withLines(text, text.length, '', ['[[post-checkout.jobs]]', 'name = "coppice"', `run = '''${RUN}'''`]);
}

function withYamlJob(text: string): string | null {
  const document = parseDocument(text);
  if (document.errors.length > 0 || !isMap(document.contents) || document.contents.flow) return null;
  const hook = pairOf(document.contents, HOOK);
  const job = (lines: string[]) => [`- name: coppice`, '  run: |', ...lines.map((line) => `    ${line}`)];
  if (!hook) return withLines(text, text.length, '', [`${HOOK}:`, '  jobs:', ...job([RUN]).map((line) => `    ${line}`)]);
  if (!isMap(hook.value) || hook.value.flow) return null;
  const jobs = pairOf(hook.value, 'jobs');
  if (!jobs)
    return atLineOf(text, firstOf(hook.value), (at, indent) =>
      withLines(text, at, indent, ['jobs:', ...job([RUN]).map((line) => `  ${line}`)]),
    );
  if (!isSeq(jobs.value) || jobs.value.flow || jobs.value.items.length === 0) return null;
  // A sequence begins where the dash of its first item is.
  return atLineOf(text, jobs.value.range?.[0], (at, indent) => withLines(text, at, indent, job([RUN])));
}

function pairOf(map: YAMLMap, key: string) {
  return map.items.find((pair) => String(pair.key) === key);
}

function firstOf(map: YAMLMap): number | undefined {
  return map.range?.[0];
}

/** Calls with the line on which a node begins, when nothing but spaces is before it there. */
function atLineOf(text: string, offset: number | undefined, write: (at: number, indent: string) => string): string | null {
  if (offset === undefined) return null;
  const at = text.lastIndexOf('\n', offset - 1) + 1;
  const indent = text.slice(at, offset);
  return /^ *$/.test(indent) ? write(at, indent) : null;
}
