/** The launcher of the repository around the folder that a hook runs in; for the inside of a shell script. */
export const LAUNCHER_HERE = '"$(git rev-parse --git-common-dir)/coppice/launch"';

/** What tells our entry from others. */
const SIGN = '/coppice/launch';

/**
 * A line of POSIX sh for a manager's own file, which is committed: it works in every clone, starts no process at an ordinary
 * checkout, and where coppice is not installed it says so once, when a worktree is added.
 * @param args the three arguments of git's post-checkout, as the manager passes them on
 */
export function entryLine(args: string): string {
  const missing = 'echo "coppice: not installed in this clone. Run npx coppice install, then git coppice up in the new worktree." >&2';
  return [
    `coppice() { case \${1-x} in *[!0]*) return 0 ;; esac; [ -f .git ] || return 0;`,
    `set -- ${LAUNCHER_HERE} checkout "$@";`,
    `if [ -x "$1" ]; then "$@"; elif [ -f worktree.config.yaml ] || [ -f worktree.config.yml ] || [ -f worktree.config.json ]; then ${missing}; fi; };`,
    `coppice ${args}`,
  ].join(' ');
}

/** Whether a hook or a manager's file calls the launcher. */
export function callsLauncher(text: string): boolean {
  return text.includes(SIGN);
}
