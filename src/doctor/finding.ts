/** One line of `doctor`. */
export interface Finding {
  /** What it is about: `git`, `hook`, a resource, a worktree's branch. */
  about: string;
  /** `fine`: nothing to do; `note`: works, but a person should know; `problem`: something does not work, and the exit code is 1. */
  level: 'fine' | 'note' | 'problem';
  text: string;
  /** The command, or the edit, that mends it. */
  mend?: string;
  /** What `--fix` does, where no one needs to be asked: the same as `mend`. */
  fix?: () => Promise<unknown>;
}

/** Something works. */
export function fine(about: string, text: string): Finding {
  return { about, level: 'fine', text };
}

/** Something works, and is worth knowing. */
export function note(about: string, text: string, mend?: string): Finding {
  return { about, level: 'note', text, ...(mend !== undefined && { mend }) };
}

/** Something does not work. @param mend the command or edit that mends it, where the text does not say it already */
export function problem(about: string, text: string, mend?: string, fix?: () => Promise<unknown>): Finding {
  return { about, level: 'problem', text, ...(mend !== undefined && { mend }), ...(fix && { fix }) };
}
