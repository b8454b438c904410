import { command, preset } from './command/command.ts';
import { compose } from './compose/compose.ts';
import { mysql } from './mysql/mysql.ts';
import { port } from './port.ts';
import { postgres } from './postgres/postgres.ts';
import { redis } from './redis/redis.ts';
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
