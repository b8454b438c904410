import * as z from 'zod/mini';

/** A schema with its description, which editors show and the reference prints. */
export function about<Schema extends z.ZodMiniType>(schema: Schema, description: string): Schema {
  // One that several keys share has a description at each.
  const own = schema.clone() as Schema;
  z.globalRegistry.add(own, { ...z.globalRegistry.get(schema), description });
  return own;
}

/** What a duration must be, as a user is told. */
export const DURATION = 'a number and a unit, like 30s, 10m or 1d';

/** A duration like `10m`. */
export const duration = z
  .string()
  .check(z.regex(/^\d{1,9}(ms|s|m|h|d)$/, { error: DURATION, abort: true }))
  .register(z.globalRegistry, { examples: ['30s', '10m', '1d'] });
