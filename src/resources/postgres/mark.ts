import { createHash } from 'node:crypto';

/** What the ledger has of a database. */
type Made = Record<string, string>;

function start(worktreeId: string): string {
  return `coppice worktree ${worktreeId}`;
}

/**
 * What a database bears as its COMMENT: whose it is, and which of theirs. Not by the variable that names it, which may be renamed,
 * but by what makes it another database: its server, its source, its plain name and how much of the source it holds.
 */
export function markOf(worktreeId: string, { system = '', server = '', source = '', wanted = '', data = '' }: Made): string {
  const what = [system || server, source, wanted, data];
  return `${start(worktreeId)} ${createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16)}`;
}

/** Whether what stands under a name of ours is what was made: by its mark, or by having none any more. */
export function isMarkedAs(mark: string | null, made: Made, worktreeId: string): boolean {
  // A mark of before they told more than the worktree.
  return mark === null || mark === made.mark || mark === start(worktreeId);
}

/** Whether another database of the same worktree bears it. */
export function isOfWorktree(mark: string | null, worktreeId: string): boolean {
  return mark?.startsWith(`${start(worktreeId)} `) === true;
}
