import { command, preset } from './command.ts';
import { compose } from './compose.ts';
import { mysql } from './mysql.ts';
import { port } from './port.ts';
import { postgres } from './postgres.ts';
import { redis } from './redis.ts';
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
