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
  /** Those of them whose branch is trusted. */
  trusted: string[];
  /** The text of the shipped `hooks/post-checkout`. */
  shipped: string;
  /** Whether the config names our hook and this git (2.54 and later) runs it: then nothing depends on a hooks folder. */
  configHook: boolean;
}

/** What an install came to. The same however often. */
export interface Installed {
  /** Files written, absolute. */
  wrote: string[];
  /** Files that are to be committed, relative to the main worktree. */
  commit: string[];
  /** What is left for the user to do, a sentence each. */
  todo: string[];
}

/** What keeps the hook from firing, and the command that mends it. */
export interface HookProblem {
  text: string;
  mend: string;
}

/** One way in which a repository's hooks are kept. One file each; the first that handles the place is taken. */
export interface HookManager {
  name: string;
  handles(place: HookPlace): boolean;
  install(place: HookPlace): Installed;
  /** Undoes it to the byte, also where the repository has gone over to another manager since. @returns the files changed */
  uninstall(place: HookPlace): string[];
  /** Why a worktree that is added would not be set up, from everywhere or from some places. Changes nothing. */
  problems(place: HookPlace): Promise<HookProblem[]>;
}

/** What mends most of it. */
export const INSTALL_AGAIN = 'npx coppice install';
