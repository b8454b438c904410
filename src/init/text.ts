import { stringify } from 'yaml';
import { visible } from '../report/visible.ts';
import type { Finding, Section } from './findings.ts';
import { isMap } from './look.ts';
import type { Proposal } from './propose.ts';

const SECTIONS: { section: Section; about: string }[] = [
  { section: 'resources', about: 'What each worktree gets of its own, named after the variable that the app reads.' },
  { section: 'env', about: 'More variables, computed from those above.' },
  { section: 'files', about: 'Paths in the worktree, and what to put there.' },
  { section: 'steps', about: 'Commands that run in the new worktree, with its variables in their environment.' },
  { section: 'teardown', about: 'Commands that `down` and `remove` run before the resources go.' },
];
const WIDTH = 110;
const SCHEMA = '# yaml-language-server: $schema=./node_modules/coppice/schema/worktree.config.schema.json';

/** The config as text, with the reason of each line as a comment. */
export function configText({ found, notes, envFiles, shared, url }: Proposal): string {
  const parts = SECTIONS.flatMap(({ section, about }) => {
    const entries = found.filter((one) => one.section === section);
    return entries.length === 0 ? [] : [[`# ${about}`, `${section}:`, ...entries.flatMap(entryLines)].join('\n')];
  });
  if (url !== null) parts.unshift(`# The address that \`status\` prints.\nurl: ${flow(url)}`);
  if (envFiles !== null)
    parts.push(`# The main worktree's env files that values are read from; the later wins.\nenvFiles: ${flow(envFiles)}`);
  if (shared.length > 0)
    parts.push(
      [
        '# Names of these stay as they are, and the isolation check is silent about them.',
        'shared:',
        ...shared.map(({ name, why }) => withReason(`  - ${flow(name)}`, why)),
      ].join('\n'),
    );
  if (found.length === 0)
    parts.push('# Nothing that worktrees would share was found. A web app would say `PORT: 3000`.\nresources: {}\nfiles: {}');
  if (notes.length > 0) parts.push(['# To know:', ...notes.flatMap((note) => wrapped(note, '# - ', '#   '))].join('\n'));
  const head = [SCHEMA, '# Made by `coppice init`. All keys: docs/config.md of coppice. Judge it with `npx coppice check`.'].join('\n');
  return `${[head, ...parts].join('\n\n')}\n`;
}

function entryLines({ name, value, why }: Finding): string[] {
  const line = `  ${flow(name)}: ${flow(value)}`;
  if (line.length <= WIDTH || !isMap(value)) return [withReason(line, why)];
  const block = Object.entries(value).map(([key, one]) => `    ${flow(key)}: ${flow(one)}`);
  return [...wrapped(why, '  # ', '  # '), `  ${flow(name)}:`, ...block];
}

/** Beside the line where there is room, else above it. */
function withReason(line: string, why: string): string {
  const beside = `${line}  # ${oneLine(why)}`;
  return beside.length <= WIDTH ? beside : [...wrapped(why, '  # ', '  # '), line].join('\n');
}

function wrapped(text: string, first: string, other: string): string[] {
  const lines: string[] = [];
  let line = first;
  // What stands in backticks is to be copied: it stays on one line.
  for (const word of oneLine(text).match(/[^\s`]*`[^`]*`[^\s`]*|\S+/g) ?? []) {
    const isEmpty = line === first || line === other;
    if (!isEmpty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = other + word;
    } else line += isEmpty ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** Text of the repository's files that goes into a comment must not begin a line of its own. */
function oneLine(text: string): string {
  return visible(text.replace(/\s+/g, ' ').trim());
}

/** YAML on one line, as people write it: `{ type: port, base: 3000 }`, `[package-lock.json]`. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (isMap(value)) {
    const entries = Object.entries(value).map(([key, one]) => `${flow(key)}: ${flow(one)}`);
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }
  // In a list, so that what means something in one is quoted.
  return stringify([value], { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trimEnd().slice(1, -1);
}
