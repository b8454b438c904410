import type { Config } from '../config/schema.ts';
import type { WorktreeRecord } from '../ledger/record.ts';
import { type Finding, fine, problem } from './finding.ts';
import type { Listener } from './listeners.ts';

/** A worktree that was set up, and the root that its processes run under. */
interface Living {
  path: string;
  record: WorktreeRecord;
}

/** Above are the ports that the kernel gives out: debuggers and tests listen there. */
const FIRST_PASSING_PORT = 32_768;

/**
 * Ports that others hold, and dev servers that listen on a port that is not their worktree's: most often the command has the
 * port written out and does not look at PORT.
 */
export function examinePorts(config: Config, worktrees: readonly Living[], listeners: readonly Listener[]): Finding[] {
  const bases = new Map(
    Object.entries(config.resources).flatMap(([name, spec]) => (spec.type === 'port' ? [[spec.base, name] as const] : [])),
  );
  const findings = worktrees.flatMap(({ path, record }) => {
    const about = record.branch ?? path;
    const own = new Set(record.claims.flatMap((claim) => (claim.startsWith('port-') ? [Number(claim.slice(5))] : [])));
    const ports = Object.entries(record.ports);
    const taken = ports.flatMap(([name, port]) =>
      listeners
        .filter((listener) => listener.port === port && isElsewhere(listener, path))
        .map((listener) => problem(about, `its ${name}, ${port}, is taken by ${who(listener)}`, `end it (kill ${listener.pid})`)),
    );
    const servers = listeners.filter(({ cwd, port }) => cwd !== null && isIn(cwd, path) && port < FIRST_PASSING_PORT);
    const serves = servers.some(({ port }) => own.has(port));
    const astray = servers
      .filter(({ port }) => !own.has(port) && (bases.has(port) || !serves))
      .map((listener) => {
        const which = bases.get(listener.port);
        const what = which === undefined ? 'which is none of its own' : `the main worktree's ${which}`;
        const mine = ports.find(([name]) => name === which) ?? ports[0];
        const how =
          mine === undefined
            ? 'name the port under `resources:`'
            : `start it on ${mine[1]}: git coppice run -- <command>, and let the command read $${mine[0]}`;
        return problem(about, `${who(listener)} listens on ${listener.port}, ${what}`, how);
      });
    return [...taken, ...astray];
  });
  return findings.length > 0 || worktrees.length === 0 ? findings : [fine('ports', 'each is free, or its own worktree listens on it')];
}

/** Not in the worktree, nor in a folder around it: a server can be started from there. */
function isElsewhere({ cwd }: Listener, root: string): boolean {
  return cwd !== null && !isIn(cwd, root) && !isIn(root, cwd);
}

function isIn(folder: string, root: string): boolean {
  return folder === root || folder.startsWith(root.endsWith('/') ? root : `${root}/`);
}

function who({ program, pid, cwd }: Listener): string {
  return `${program || 'a process'} (process ${pid}${cwd === null ? '' : ` in ${cwd}`})`;
}
