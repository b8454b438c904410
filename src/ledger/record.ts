/** What the ledger knows of one worktree: the sum of its journal's events. Holds no secret. */
export interface WorktreeRecord {
  id: string;
  repository: string;
  path: string;
  branch: string | null;
  project: string;
  slug: string;
  slot: number | null;
  /** What the last set-up or `down` came to; whether one runs now is told by the owner, not by this. */
  state: 'running' | 'ready' | 'failed' | 'down';
  startedAt: string;
  /** How long the last set-up took, in milliseconds. */
  ms: number | null;
  url: string | null;
  claims: string[];
  ports: Record<string, number>;
  resources: Record<string, ResourceRecord>;
  /** What was made under a name that means another thing now. */
  left: LeftResource[];
  files: Record<string, FileRecord>;
  steps: Record<string, StepRecord>;
  teardown: TeardownStep[];
  warnings: string[];
  /** When the worktree was first found to be gone, and how long after that its databases are kept, in milliseconds. */
  goneAt: string | null;
  keepMs: number;
}

export interface ResourceRecord {
  type: string;
  /** `stopped`: the worktree is gone, and of this only the data is left. */
  state: 'creating' | 'ready' | 'stopped' | 'destroyed';
  /** What the type needs to find and destroy what it made. */
  made: Record<string, string>;
}

export interface LeftResource extends ResourceRecord {
  name: string;
}

export interface FileRecord {
  action: string;
  state: 'written' | 'unchanged' | 'missing' | 'tracked' | 'kept' | 'failed';
  /** A digest of each value that was written, by variable, and of the whole file under the empty name. */
  digests: Record<string, string>;
}

export interface StepRecord {
  state: 'running' | 'ok' | 'failed' | 'skipped' | 'waiting';
  /** A digest of the command and of what it depends on. */
  key: string;
  ms: number | null;
  /** The process group of a running step, as a process mark in JSON. */
  process: string | null;
}

export interface TeardownStep {
  name: string;
  run: string;
  env: Record<string, string | null>;
  cwd: string;
  timeoutMs: number;
}

/** One line of a journal. */
export type JournalEvent =
  | { event: 'begin'; at: string; path: string; branch: string | null; slug: string }
  | { event: 'claim'; names: string[] }
  | { event: 'release'; names: string[] }
  | { event: 'slot'; slot: number; ports: Record<string, number> }
  /** `instead`: what was meant before was not made. */
  | { event: 'resource'; name: string; resource: ResourceRecord; instead?: true }
  | { event: 'left'; left: LeftResource[] }
  | { event: 'url'; url: string | null }
  | { event: 'file'; path: string; file: FileRecord }
  | { event: 'step'; name: string; step: StepRecord }
  | { event: 'warnings'; warnings: string[] }
  | { event: 'plan'; project: string; url: string | null; keepMs: number; teardown: TeardownStep[]; steps: string[] }
  | { event: 'end'; at: string; state: 'ready' | 'failed' | 'down'; ms: number }
  | { event: 'gone'; at: string | null }
  | { event: 'snapshot'; record: WorktreeRecord };

const NOT_RUN: StepRecord = { state: 'waiting', key: '', ms: null, process: null };

/** The record of a worktree before its first event. */
export function emptyRecord(id: string, repository: string): WorktreeRecord {
  return {
    id,
    repository,
    path: '',
    branch: null,
    project: '',
    slug: '',
    slot: null,
    state: 'failed',
    startedAt: '',
    ms: null,
    url: null,
    claims: [],
    ports: {},
    resources: {},
    left: [],
    files: {},
    steps: {},
    teardown: [],
    warnings: [],
    goneAt: null,
    keepMs: 0,
  };
}

/** The record after one more event. */
export function applyEvent(record: WorktreeRecord, event: JournalEvent): WorktreeRecord {
  switch (event.event) {
    case 'begin': {
      const { at, path, branch, slug } = event;
      return { ...record, state: 'running', startedAt: at, ms: null, path, branch, slug, goneAt: null };
    }
    case 'plan': {
      const { project, url, keepMs, teardown } = event;
      // In the config's order; steps that it does not have any more are forgotten.
      const steps = Object.fromEntries(event.steps.map((name) => [name, record.steps[name] ?? NOT_RUN]));
      return { ...record, project, url, keepMs, teardown, steps };
    }
    case 'claim':
      return { ...record, claims: [...new Set([...record.claims, ...event.names])] };
    case 'release':
      return { ...record, claims: record.claims.filter((name) => !event.names.includes(name)) };
    case 'slot':
      return { ...record, slot: event.slot, ports: event.ports };
    case 'resource':
      return {
        ...record,
        left: event.instead ? record.left : [...record.left, ...replacedBy(event.name, event.resource, record.resources[event.name])],
        resources: { ...record.resources, [event.name]: event.resource },
      };
    case 'left':
      return { ...record, left: event.left };
    case 'url':
      return { ...record, url: event.url };
    case 'file':
      return { ...record, files: { ...record.files, [event.path]: event.file } };
    case 'step':
      return { ...record, steps: { ...record.steps, [event.name]: event.step } };
    case 'warnings':
      return { ...record, warnings: event.warnings };
    case 'end':
      return { ...record, state: event.state, ms: event.ms };
    case 'gone':
      return { ...record, goneAt: event.at };
    case 'snapshot':
      return event.record;
  }
}

/** What a resource's name no longer means, and is still there. */
function replacedBy(name: string, next: ResourceRecord, before: ResourceRecord | undefined): LeftResource[] {
  if (before === undefined || before.state === 'destroyed') return [];
  // `thing` names what it is, where the rest may change without making it another.
  const names = before.made.thing === undefined ? Object.entries(before.made) : [['thing', before.made.thing] as const];
  const same = before.type === next.type && names.every(([key, value]) => (next.made[key] ?? value) === value);
  return same ? [] : [{ ...before, name }];
}
