import { compose } from './compose.ts';
import { port } from './port.ts';
import { postgres } from './postgres.ts';
import { sqlite } from './sqlite.ts';

/** Every resource type by its name in the config. */
export const RESOURCE_TYPES = { port, sqlite, postgres, compose };
