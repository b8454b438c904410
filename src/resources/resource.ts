/** How a value that points at the main worktree becomes one that points at this worktree. */
export type CarryRule =
  | { kind: 'port'; from: number; to: number }
  /** `from` is a path or a URL's path that names the main worktree's thing. */
  | { kind: 'text'; from: string; to: string }
  /** A URL's path that names a database, where its host and port are the server's. The engine's usual port may be left out. */
  | { kind: 'database'; server: { host: string; port: number; usual: number }; from: string; to: string }
  /** A URL that names a logical database of a Redis server, by path, by parameter or by neither. */
  | { kind: 'redis'; server: string; from: number; to: number };

/** What a resource is resolved from. Values only: nothing here touches the world. */
export interface ResourceContext {
  /** The resource's name, the variable that the app reads. */
  name: string;
  project: string;
  slug: string;
  mainPath: string;
  worktreePath: string;
  /** It is the main worktree's own thing that is asked for, which nobody makes. */
  isMain: boolean;
  /** The main worktree's env files, read. */
  mainEnv: Record<string, string>;
  /** Their names. */
  envFiles: string[];
  /** The port reserved for this resource, if it is one. */
  port: number | null;
  /** What the journal says was made for this name before; null when nothing was, or it was destroyed. */
  before: Record<string, string> | null;
  /** What an earlier `create` gave to keep out of the ledger; null when there is none. */
  kept: Record<string, string> | null;
  /** Whether a path is in the main worktree. */
  mainHas(relative: string): boolean;
  /** Fills in a template of the options. @throws {Failure} when a name has no value */
  text(template: string): string;
}

/** What a worktree gets for one resource. */
export interface ResolvedResource {
  /** What `{{NAME}}` gives; null while it is not made and cannot be known. */
  value: string | null;
  /** The variables that the app reads, by name. */
  variables: Record<string, string>;
  /** What `{{resources.NAME.part}}` gives. */
  parts: Record<string, string>;
  /**
   * What the journal keeps: enough to find and destroy it later, and no secret. `thing` tells it from others, where not all of
   * it does; `shown` is what it is called when it goes.
   */
  made: Record<string, string>;
  /** The main worktree's thing that it is a copy of; null when it is not one. Not kept. */
  source: string | null;
  carry: CarryRule[];
  /** For a line of output: what it is. */
  detail: string;
}

/** What `create` may use of the world. */
export interface ResourceEffects {
  worktreePath: string;
  mainPath: string;
  /** The worktree's id, a UUID: what is made can bear it as a mark. */
  worktreeId: string;
  repositoryId: string;
  /** The worktree's number in its repository. */
  slot: number;
  signal: AbortSignal;
  /** A file for what commands print. */
  log: string;
  /** The folder of the ledger (0700) that holds what this worktree's resources keep on this machine; made when needed. */
  stateFolder: string;
  /** The environment for commands: the worktree's variables as far as they are known, and COPPICE_*. */
  environment(): NodeJS.ProcessEnv;
  /** The worktree's variables as far as they are known. */
  variables(): Record<string, string>;
  /** The main worktree's env files, read. */
  mainEnv: Record<string, string>;
  /**
   * Writes down, on the disk, what is about to be made instead of what `resolve` said.
   * @param leaves what was made before is there, is not it, and stays in the ledger until it can be destroyed
   */
  intend(made: Record<string, string>, leaves?: boolean): void;
  /** What was made for this name and means another thing now: it is listed, and destroyed later. */
  left(): Record<string, string>[];
  /** Writes down, on the disk, that these are left. */
  leave(left: Record<string, string>[]): void;
  /** What the ledger has of this type in this worktree, whichever name it was made for. */
  recorded(): Record<string, string>[];
  /** Takes a name that is exclusive on this machine, e.g. `database-localhost_5432-shop`. @returns whether it is this worktree's now */
  claim(name: string): boolean;
  release(name: string): void;
  /** Keeps a port for the main worktree: no worktree of any repository gets it from now on. */
  keepForMain(port: number): void;
  /**
   * A file of the branch that the config names, with the bytes that were approved, whatever stands in the worktree by now.
   * @returns the path of a copy; null when the branch has no such file
   */
  approvedFile(name: string): string | null;
  /** A line for the user, about what takes long or is not as expected. */
  say(text: string): void;
}

/** What `examine` may know. */
export interface ExamineContext {
  mainPath: string;
  mainEnv: Record<string, string>;
}

/** What `create` came to. */
export interface Created {
  /** For a line of output. */
  detail: string;
  /** What else `destroy` needs to know it again; added to `made`. */
  mark?: Record<string, string>;
  /** What it is, now that it is made, where `resolve` could not know. */
  resolved?: ResolvedResource;
  /** What `resolve` needs another time and the ledger must not know (values that may be secret). */
  kept?: Record<string, string>;
}

/** What `destroy` may use of the world. The config may be gone: all else is in `made`. */
export interface DestroyEffects {
  /** Null: the worktree itself is gone. */
  worktreePath: string | null;
  worktreeId: string;
  stateFolder: string;
  signal: AbortSignal;
  /** The environment for commands: COPPICE_* as far as the ledger knows them. */
  environment(): NodeJS.ProcessEnv;
  /** Whether a claim is still this worktree's. One that is not was given back, which is done when the thing is gone. */
  holds(name: string): boolean;
  release(name: string): void;
}

/** A kind of thing that a worktree gets of its own. One file a type, its options in `schemas.ts`, one line in `table.ts`. */
export interface ResourceType<Options = unknown> {
  /** The part names that templates may use; null when only what is made tells. */
  parts: readonly string[] | null;
  /** Whether steps fill it: when it is made again, they run again. */
  filledBySteps: boolean;
  /**
   * What it has outside the worktree's folder. When the worktree has vanished, `data` is kept for `keep:`; a `service`, which can
   * be made again, goes at once.
   */
  outside: 'nothing' | 'service' | 'data';
  /** @throws {Failure} when the main worktree's env files do not say enough. */
  resolve(options: Options, context: ResourceContext): ResolvedResource;
  /**
   * For `doctor`: asks whether a worktree that is added now would get one, and changes nothing.
   * @returns what is there, e.g. the server's version, and what cannot be isolated
   * @throws {Failure} when it would not get one
   */
  examine?(options: Options, resolved: ResolvedResource, about: ExamineContext): Promise<{ text: string; notes: string[] }>;
  /** Whether something stands there before anything was recorded: it is not ours, and will never be destroyed. */
  present?(resolved: ResolvedResource, effects: Pick<ResourceEffects, 'worktreePath'>): boolean;
  /**
   * Whether what an earlier run made is still there and works.
   * @returns for true, what it is by now, where `resolve` could not know that
   * @throws {Failure} when that cannot be told
   */
  intact(options: Options, resolved: ResolvedResource, effects: ResourceEffects): Promise<boolean | ResolvedResource>;
  /** Makes it, after the journal has recorded that it will. The same result however often. @throws {Failure} */
  create(options: Options, resolved: ResolvedResource, effects: ResourceEffects): Promise<Created>;
  /**
   * Starts it, at every set-up, once the env files are written; the steps that need it wait.
   * @returns a line of output; null when there is nothing to start
   * @throws {Failure}
   */
  start?(options: Options, resolved: ResolvedResource, effects: ResourceEffects): Promise<string | null>;
  /** Gives back at once what can be made again, and keeps the data, when the worktree is found to be gone. */
  stop?(made: Record<string, string>, effects: DestroyEffects): Promise<void>;
  /**
   * Destroys what the journal says was made; nothing when it is gone.
   * @returns `nothing` when it was never made, or stands there no more
   * @throws {Failure} when it cannot be done, or not be proven to be ours: it is kept and listed
   */
  destroy(made: Record<string, string>, effects: DestroyEffects): Promise<void> | Promise<'nothing' | undefined>;
  /** What a person calls a thing of this type that is to be given up; only where `forget` is. */
  nameOf?(made: Record<string, string>): string | undefined;
  /**
   * Gives up what a person says is out of reach for good: destroys nothing but what this machine keeps of it.
   * @returns a line of output: how to remove it should it come back
   * @throws {Failure} when it is within reach, so that it can be destroyed
   */
  forget?(made: Record<string, string>, effects: DestroyEffects): Promise<string>;
}
