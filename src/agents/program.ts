/** A program that adds worktrees and may not run git's hooks, and the file in which it is told what to run in a new one. */
export interface AgentProgram {
  /** As `--agents` takes it. */
  name: string;
  title: string;
  /** Paths below the main worktree that show that the repository uses the program. */
  evidence: string[];
  /** Its file, below the main worktree. */
  file: string;
  /** What a person still has to do, once, in the program itself. */
  note?: string;
  /** Whether the file runs `coppice up` already, ours or another's. @throws {Failure} when the file cannot be read */
  has(text: string): boolean;
  /**
   * The file with our command in it, all else as it is.
   * @param text null when there is no file @param project for a name that the file has to have
   * @throws {Failure} when it cannot be put in without rewriting the file; the sentence goes on from the file's name
   */
  add(text: string | null, project: string): string;
  /** The file without our command; null when nothing else is in it. */
  remove(text: string, project: string): string | null;
}

const INSTALLED = 'git config alias.coppice >/dev/null';

/**
 * Sets the worktree up, from the folder where it is called: sh, bash and zsh. In a clone without coppice it says so in a new
 * worktree, and lets whatever called it go on.
 */
export const UP = `if ${INSTALLED}; then git coppice up --quiet; elif [ -f .git ]; then echo 'coppice: not installed in this clone. Run \`npx coppice install\` in the main worktree, then \`git coppice up\` here.' >&2; fi`;

/** Takes the worktree down, before its folder goes. */
export const DOWN = `if ${INSTALLED}; then git coppice down; fi`;

/** Whether a command of somebody's, ours or not, sets the worktree up. */
export function setsUp(command: string): boolean {
  return /\bcoppice up\b/.test(command);
}
