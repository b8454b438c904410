import * as z from 'zod/mini';
import { RESOURCE_TYPES } from '../resources/table.ts';
import { configSchema, ONE_WORD_ACTIONS } from './schema.ts';

type Json = Record<string, unknown>;

/** The JSON Schema of `worktree.config.yaml`, with its short forms, for editors. Generated into `schema/`. */
export function configJsonSchema(): Json {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' }) as Json;
  const text = { type: ['string', 'number', 'boolean'] };
  const command = { type: 'string', minLength: 1, description: 'Short for `{ run: … }`.' };
  values(schema, 'resources', (full) => ({
    anyOf: [
      { type: 'integer', minimum: 1, maximum: 65_535, description: 'Short for `{ type: port, base: … }`.' },
      { enum: Object.keys(RESOURCE_TYPES), description: 'Short for `{ type: … }`.' },
      withTexts(full),
    ],
  }));
  values(schema, 'env', () => text);
  values(schema, 'files', (full) => ({
    anyOf: [
      { enum: [...ONE_WORD_ACTIONS], description: 'Short for `{ action: … }`.' },
      {
        type: 'object',
        properties: { template: { type: 'string' }, mode: { type: 'string' } },
        required: ['template'],
        additionalProperties: false,
        description: 'Short for `{ action: template, … }`.',
      },
      {
        type: 'object',
        properties: { text: { type: 'string' }, mode: { type: 'string' } },
        required: ['text'],
        additionalProperties: false,
        description: 'Short for `{ action: template, … }`.',
      },
      full,
    ],
  }));
  values(schema, 'steps', (full) => ({ anyOf: [command, loosened(full)] }));
  values(schema, 'teardown', (full) => ({ anyOf: [command, loosened(full)] }));
  return {
    $id: 'https://unpkg.com/coppice/schema/worktree.config.schema.json',
    title: 'worktree.config.yaml',
    examples: [{ resources: { PORT: 3000 }, files: { '.env': 'merge' }, steps: { install: 'npm ci' } }],
    ...schema,
  };

  function withTexts(full: unknown): unknown {
    const { oneOf } = full as { oneOf: { properties: Record<string, Json> }[] };
    for (const { properties } of oneOf) if (properties.env) properties.env.additionalProperties = text;
    return full;
  }

  function loosened(full: unknown): unknown {
    const step = structuredClone(full) as { properties: Record<string, Json> };
    const { env, when } = step.properties;
    if (env) env.additionalProperties = { type: ['string', 'number', 'boolean', 'null'] };
    if (when) (when.properties as Json).exists = { anyOf: [{ type: 'string' }, (when.properties as Json).exists] };
    return step;
  }
}

function values(schema: Json, section: string, change: (full: unknown) => unknown): void {
  const map = (schema.properties as Record<string, Json>)[section];
  if (map) map.additionalProperties = change(map.additionalProperties);
}
