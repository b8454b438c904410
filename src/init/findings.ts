/** A map of the config that findings are entries of. */
export type Section = 'resources' | 'env' | 'files' | 'steps' | 'teardown';

/** One line of the config, and why it is there: the comment beside it. */
export interface Finding {
  section: Section;
  name: string;
  value: unknown;
  why: string;
}

/** What a detector has found. */
export interface Findings {
  found: Finding[];
  /** What the config cannot give, and what to do about it. */
  notes: string[];
}

export function nothing(): Findings {
  return { found: [], notes: [] };
}

export function finding(section: Section, name: string, value: unknown, why: string): Finding {
  return { section, name, value, why };
}

/** All of them, in order; of two of one section and name the first counts. */
export function together(...all: Findings[]): Findings {
  const found = new Map<string, Finding>();
  for (const one of all.flatMap((findings) => findings.found)) {
    const key = `${one.section} ${one.name}`;
    if (!found.has(key)) found.set(key, one);
  }
  return { found: [...found.values()], notes: [...new Set(all.flatMap((findings) => findings.notes))] };
}
