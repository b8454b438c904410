/** A map as YAML and JSON have it. */
export type Data = Record<string, unknown>;

/** Whether a value is a map, and no list. */
export function isData(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
