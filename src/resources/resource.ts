/** How a value that points at the main worktree becomes one that points at this worktree. */
export type CarryRule =
  | { kind: 'port'; from: number; to: number }
  /** `from` is a path or a URL's path that names the main worktree's thing. */
  | { kind: 'text'; from: string; to: string };

/** What a resource is resolved from. Values only: nothing here touches the world. */
export interface ResourceContext {
  /** The resource's name, the variable that the app reads. */
  name: string;
  mainPath: string;
  worktreePath: string;
  /** The main worktree's env files, read. */
  mainEnv: Record<string, string>;
  /** Their names. */
  envFiles: string[];
  /** The port reserved for this resource, if it is one. */
  port: number | null;
}

/** What a worktree gets for one resource. */
export interface ResolvedResource {
  /** The variable's value. */
  value: string;
  /** What `{{resources.NAME.part}}` gives. */
  parts: Record<string, string>;
  /** What the journal keeps: enough to find and destroy it later, and no secret. */
  made: Record<string, string>;
  /** The main worktree's thing that it is a copy of; null when it is not one. Not kept. */
  source: string | null;
  carry: CarryRule[];
  /** For a line of output: what it is. */
  detail: string;
}

/** What `create` and `destroy` may use of the world. */
export interface ResourceEffects {
  worktreePath: string;
  mainPath: string;
  signal: AbortSignal;
}

/** A kind of thing that a worktree gets of its own. One file a type, its options in `schemas.ts`, one line in `table.ts`. */
export interface ResourceType<Options = unknown> {
  /** The part names that templates may use. */
  parts: readonly string[];
  /** Whether steps fill it: when it is made again, they run again. */
  filledBySteps: boolean;
  /** True when it holds data outside the worktree: kept for `keep:` after the worktree vanished. */
  durable: boolean;
  /** @throws {Failure} when the main worktree's env files do not say enough. */
  resolve(options: Options, context: ResourceContext): ResolvedResource;
  /** Whether something stands there before anything was recorded: it is not ours, and will never be destroyed. */
  present(resolved: ResolvedResource, effects: Pick<ResourceEffects, 'worktreePath'>): boolean;
  /** Whether what an earlier run made is still there. */
  intact(options: Options, resolved: ResolvedResource): boolean;
  /**
   * Makes it, after the journal has recorded that it will. The same result however often.
   * @returns a line's worth of what was done, and what else `destroy` needs to know it again @throws {Failure}
   */
  create(options: Options, resolved: ResolvedResource, effects: ResourceEffects): Promise<{ detail: string; mark: Record<string, string> }>;
  /** Destroys what the journal says was made; nothing when it is gone. A null path: the worktree itself is gone. */
  destroy(made: Record<string, string>, effects: { worktreePath: string | null }): Promise<void>;
}
