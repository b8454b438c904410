import fs from 'node:fs';
import { z } from 'zod';
import { configJsonSchema } from '../src/config/json-schema.ts';
import { configSchema } from '../src/config/schema.ts';

const OPENING = '<!-- Generated from src/config/schema.ts by `npm run schema`. -->';
const CLOSING = '<!-- End of the generated part. -->';

/** A node of a JSON Schema, as far as zod's hold anything that the reference shows. */
interface Node {
  description?: string;
  type?: string;
  const?: string;
  enum?: string[];
  examples?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  items?: Node;
  oneOf?: Node[];
  properties?: Record<string, Node>;
  required?: string[];
  additionalProperties?: Node | boolean;
}

/** Every file that is made from the config's schema, by path from the repository's root, as it should be now. */
export function generatedFiles(): Record<string, string> {
  const page = fs.readFileSync('docs/config.md', 'utf8');
  const start = page.indexOf(OPENING);
  const end = page.indexOf(CLOSING);
  if (start < 0 || end < start) throw new Error('docs/config.md has lost its markers');
  return {
    'schema/worktree.config.schema.json': `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
    'docs/config.md': `${page.slice(0, start)}${OPENING}\n\n${reference()}\n${page.slice(end)}`,
  };
}

/** The reference: a table for each map of the config. */
function reference(): string {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' }) as unknown as Node;
  const entry = (section: string) => schema.properties?.[section]?.additionalProperties as Node;
  const variants = (section: string, tag: string) =>
    (entry(section).oneOf ?? []).flatMap((node) => [
      `#### \`${section}\`: \`${tag}: ${node.properties?.[tag]?.const}\``,
      node.description ?? '',
      table(node, tag),
    ]);
  return [
    '### The file',
    table(schema),
    '### `resources`',
    ...variants('resources', 'type'),
    '### `files`',
    ...variants('files', 'action'),
    '### `steps`',
    table(entry('steps')),
    '### `teardown`',
    table(entry('teardown')),
  ]
    .filter((part) => part !== '')
    .map((part) => `${part}\n`)
    .join('\n');
}

function table(node: Node, tag?: string): string {
  const rows = Object.entries(node.properties ?? {}).flatMap(([key, value]) => {
    if (key === tag) return [];
    const needed = node.required?.includes(key)
      ? 'required'
      : value.default === undefined
        ? ''
        : `\`${typeof value.default === 'string' ? value.default : JSON.stringify(value.default)}\``;
    return [`| \`${key}\` | ${typeName(value)} | ${needed} | ${meaning(value).replaceAll('|', '\\|')} |`];
  });
  return rows.length === 0 ? '' : ['| key | value | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** A map with fixed keys (`when`) is explained by its keys. */
function meaning({ description, properties }: Node): string {
  const entries = Object.entries(properties ?? {});
  const plain = entries.every(([, value]) => value.description === undefined);
  const keys = plain
    ? entries.length === 0
      ? []
      : [`Keys: ${entries.map(([key]) => `\`${key}\``).join(', ')}.`]
    : entries.map(([key, value]) => `\`${key}\`: ${value.description ?? ''}`);
  return [description ?? '', ...keys].filter((part) => part !== '').join(' ');
}

function typeName(node: Node): string {
  if (node.enum) return node.enum.map((value) => `\`${value}\``).join(' or ');
  if (node.examples) return `duration: ${node.examples.map((example) => `\`${example}\``).join(', ')}`;
  if (node.type === 'integer') return `${node.minimum} to ${node.maximum}`;
  if (node.type === 'boolean') return 'true or false';
  if (node.type === 'array') return `list of ${node.items?.type === 'string' ? 'text' : typeName(node.items ?? {})}`;
  return node.type === 'object' ? 'map' : 'text';
}
