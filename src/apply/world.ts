import type { PathFacts } from '../files/exclude.ts';
import type { WorktreeClaims } from '../ledger/claims.ts';
import type { Journal } from '../ledger/journal.ts';
import type { Reporter } from '../report/reporter.ts';
import type { ResolvedResource } from '../resources/resource.ts';
import type { CommandFacts } from '../steps/environment.ts';
import type { Closure } from '../trust/closure.ts';

/** What a plan is carried out in. */
export interface World {
  worktreePath: string;
  adminDir: string;
  mainPath: string | null;
  commonDir: string;
  journal: Journal;
  report: Reporter;
  signal: AbortSignal;
  facts: CommandFacts;
  /** Folder of the worktree's logs. */
  logs: string;
  /** What was approved. */
  approved: Pick<Closure, 'files' | 'content'>;
  /** What git knows of the paths of the plan's files. */
  paths: Promise<PathFacts>;
  /** Variables that the worktrees are meant to share. */
  shared: ReadonlySet<string>;
  claims: WorktreeClaims;
  /** The folder of the ledger that holds what this worktree's resources keep on this machine. */
  stateFolder: string;
  /** What is known of the resources by now. */
  resolved: Map<string, ResolvedResource>;
  /** The resources that this run has made and that steps fill. */
  fresh: Set<string>;
}
