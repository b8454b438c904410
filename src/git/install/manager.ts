/** What installing the hook needs to know of a repository. */
export interface HookPlace {
  /** `core.hooksPath` as it is set; null when it is not. */
  hooksPath: string | null;
  /** The folder that git looks in, absolute. */
  hooksFolder: string;
  /** The main worktree, or in a bare repository the one that plays its part (the common directory when there is none). */
  main: string;
  commonDir: string;
  bare: boolean;
  /** Roots of the other worktrees. */
  linked: string[];
  /** The text of the shipped `hooks/post-checkout`. */
  shipped: string;
}

/** One way in which a repository's hooks are kept. One file each; the first that handles the place is taken. */
export interface HookManager {
  name: string;
  handles(place: HookPlace): boolean;
  /** @returns the files written, and those to commit (relative to the main worktree); the same however often */
  install(place: HookPlace): { wrote: string[]; commit: string[] };
  /** Undoes it to the byte. @returns the files changed */
  uninstall(place: HookPlace): string[];
}
