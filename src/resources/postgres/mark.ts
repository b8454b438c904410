/** What the database bears as its COMMENT: whose it is. */
export function markOf(worktreeId: string): string {
  return `coppice worktree ${worktreeId}`;
}
