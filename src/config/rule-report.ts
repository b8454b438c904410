/** Where in a problem's text the caret stands, and what follows it. */
interface ReportDetails {
  hint?: string | null;
  want?: 'key' | 'value';
  /** The part of the value that is wrong; null for all of it. */
  part?: string | null;
}

/** Says that something at this path of keys is wrong. */
export type RuleReport = (at: readonly PropertyKey[], message: string, details?: ReportDetails) => void;
