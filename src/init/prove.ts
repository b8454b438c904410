import net from 'node:net';
import { judgeConfig } from '../config/load.ts';
import { problemText } from '../config/problems.ts';
import type { ResourceSpec } from '../config/schema.ts';
import { expandShorthands } from '../config/shorthand.ts';
import { parseSource } from '../config/source.ts';
import type { Place } from '../git/worktrees.ts';
import { readRepositoryId } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { Failure } from '../outcome.ts';
import { planOf } from '../plan/gather.ts';
import type { ExamineContext, ResolvedResource } from '../resources/resource.ts';
import { resourceType } from '../resources/table.ts';
import { proposeSlot } from '../slot.ts';
import { type Closure, closureOf } from '../trust/closure.ts';
import { worktreeTree } from '../trust/tree.ts';

/** Judges a config's text as `check` does. @throws when it is wrong: it was generated here */
export async function judged(text: string, name: string, root: string): Promise<Closure> {
  const read = parseSource(text, name);
  if ('problems' in read) throw new Error(`the proposed config is wrong:\n${read.problems.map(problemText).join('\n')}`);
  const base = expandShorthands(read.source.value);
  const result = await judgeConfig(base, [read.source], root);
  if ('problems' in result) throw new Error(`the proposed config is wrong:\n${result.problems.map(problemText).join('\n')}`);
  return closureOf(result.config, base, worktreeTree(root));
}

/** What the first worktree would get, a line a resource; null beside a name: that cannot be said yet, and why. */
export interface Proof {
  slot: number;
  lines: { name: string; detail: string; ok: boolean }[];
}

/** Plans a worktree by the config, as `up --dry-run` does. Reserves and makes nothing. */
export async function planned(closure: Closure, place: Place, root: string): Promise<Proof> {
  const { commonDir } = place.repository;
  const state = openStateDir();
  const slot = proposeSlot({ state, commonDir, repository: readRepositoryId(commonDir) ?? '', branch: null, config: closure.config });
  const plan = await planOf(closure, place, { path: root, branch: 'feature' }, { slug: 'feature', slot }, null);
  const lines: Proof['lines'] = [];
  for (const { name, spec, resolved } of plan.resources) {
    if (resolved instanceof Failure) {
      lines.push({ name, detail: resolved.message, ok: false });
      continue;
    }
    const lacks = await whatItLacks({ spec, resolved }, { mainPath: root, mainEnv: plan.mainEnv });
    lines.push({ name, detail: lacks ?? `${spec.type}  ${resolved.detail}`, ok: lacks === null });
  }
  return { slot: slot.slot, lines };
}

/** Why a worktree would not get it from its server now, in a sentence; null where it would. */
async function whatItLacks(
  { spec, resolved }: { spec: ResourceSpec; resolved: ResolvedResource },
  context: ExamineContext,
): Promise<string | null> {
  const server = spec.type === 'compose' ? undefined : resolved.made.server;
  if (server === undefined) return null;
  // Asked first: a server that is not there says it at once so.
  if (!server.startsWith('unix:') && !(await isAnswering(server)))
    return `nothing answers at ${server} now: start it before the first worktree`;
  try {
    await resourceType(spec.type).examine?.(spec, resolved, context);
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.message;
  }
}

/** How long a server may take to let a connection in, in milliseconds. */
const ANSWER_MS = 2000;

/** Whether anything listens at `host:port`. */
function isAnswering(server: string): Promise<boolean> {
  const port = Number(server.slice(server.lastIndexOf(':') + 1));
  const host = server.slice(0, server.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: ANSWER_MS });
    const end = (answers: boolean) => {
      resolve(answers);
      socket.destroy();
    };
    socket.on('connect', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', () => end(false));
  });
}
