import { Failure } from '../outcome.ts';
import { command, preset } from './command/command.ts';
import { compose } from './compose/compose.ts';
import { mysql } from './mysql/mysql.ts';
import { port } from './port.ts';
import { postgres } from './postgres/postgres.ts';
import { redis } from './redis/redis.ts';
import type { ResourceType } from './resource.ts';
import { sqlite } from './sqlite.ts';

/** Every resource type by its name in the config. */
export const RESOURCE_TYPES = {
  port,
  sqlite,
  postgres,
  mysql,
  redis,
  compose,
  command,
  neon: preset,
  planetscale: preset,
  supabase: preset,
  turso: preset,
  gadget: preset,
  upsun: preset,
  'k8s-namespace': preset,
};

/** A resource type by name. Its options are those of its own schema, which the config's schema has checked. */
export function resourceType(name: string): ResourceType {
  const type = Object.entries(RESOURCE_TYPES).find(([known]) => known === name)?.[1];
  if (!type)
    throw new Failure(
      `The ledger names a resource of type \`${name}\`, which this version of coppice does not know: a newer one made it, and is needed here.`,
    );
  return type as unknown as ResourceType;
}
