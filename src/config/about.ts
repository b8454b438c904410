import * as z from 'zod/mini';

/** A schema with its description, which editors show and the reference prints. */
export function about<Schema extends z.ZodMiniType>(schema: Schema, description: string): Schema {
  z.globalRegistry.add(schema, { description });
  return schema;
}
