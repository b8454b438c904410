import type { Config } from './schema.ts';

/** The steps that each step waits for, by name: those in its `needs`, else the step above it. */
export function stepOrder(config: Config): Map<string, string[]> {
  const order = new Map<string, string[]>();
  let above: string | null = null;
  for (const [name, spec] of Object.entries(config.steps)) {
    order.set(name, spec.needs ? spec.needs.filter((need) => Object.hasOwn(config.steps, need)) : above === null ? [] : [above]);
    if (!spec.background) above = name;
  }
  return order;
}
