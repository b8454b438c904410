import { createHash } from 'node:crypto';
import path from 'node:path';
import type { CarryRule, ResolvedResource } from '../resource.ts';
import { portsIn } from './ports.ts';

/** What the ledger keeps of a project. */
export type Made = Record<string, string>;

/** Room for what Compose adds for services: names of containers are host names, of 63 characters at most. */
export const MAX_NAME = 40;

/** A name with room for what is added. */
export function within(name: string): string {
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 9).replace(/[-_]+$/, '')}-${hash(name)}`;
}

export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** What is known from what was made; before it is made, nothing that an app could use. */
export function resolvedFrom(variable: string, worktree: string, made: Made): ResolvedResource {
  const { name = '', order, separator } = made;
  const ports = portsMade(made);
  const composeFile =
    order === undefined ? null : (JSON.parse(order) as string[]).map((file) => path.resolve(worktree, file)).join(path.delimiter);
  const carry: CarryRule[] = Object.entries(ports).flatMap(([block, to]) => {
    const [from = 0, last = from] = block.split('-').map(Number);
    return portsIn(from, last - from + 1).map((port, index) => ({ kind: 'port' as const, from: port, to: to + index }));
  });
  return {
    value: composeFile === null ? null : name,
    variables:
      composeFile === null
        ? {}
        : {
            COMPOSE_PROJECT_NAME: name,
            COMPOSE_FILE: composeFile,
            // The main worktree's own would follow into this one's env file.
            ...(separator && { COMPOSE_PATH_SEPARATOR: separator }),
          },
    parts: { project: name, ...(JSON.parse(made.parts ?? '{}') as Record<string, string>) },
    made: { ...made, variable, shown: `Compose project ${name}` },
    source: null,
    carry,
    detail: describePorts(name, ports),
  };
}

/** How many ports a line of output has room for. */
const MAX_SHOWN = 20;

function describePorts(name: string, ports: Record<string, number>): string {
  const list = Object.entries(ports).map(([block, to]) => `${block} → ${to}`);
  const more = list.length > MAX_SHOWN ? ` and ${list.length - MAX_SHOWN} more` : '';
  return list.length === 0 ? name : `${name}, ports ${list.slice(0, MAX_SHOWN).join(', ')}${more}`;
}

/** The main worktree's host ports and what they are here: `{ "5432": 5442, "3000-3005": 3010 }`. */
export function portsMade(made: Made): Record<string, number> {
  return JSON.parse(made.ports ?? '{}') as Record<string, number>;
}

/** The names of volumes that were free when they became the project's. */
export function volumesMade(made: Made): string[] {
  return (JSON.parse(made.volumes ?? '[]') as string[]).filter((volume) => volume.startsWith(`${made.name}_`));
}

export function nameClaim(name: string): string {
  return `compose-${name}`;
}

export function portClaims(ports: Record<string, number>): string[] {
  return Object.entries(ports).flatMap(([block, first]) => {
    const [from = 0, last = from] = block.split('-').map(Number);
    return portsIn(first, last - from + 1).map((port) => `port-${port}`);
  });
}

export function claimsOf(made: Made): string[] {
  return [...(made.name === undefined ? [] : [nameClaim(made.name)]), ...portClaims(portsMade(made))];
}

export function folderOf(stateFolder: string): string {
  return path.join(stateFolder, 'compose');
}
