import * as z from 'zod/mini';
import { about } from '../config/about.ts';

const port = about(
  z.strictObject({
    type: z.literal('port'),
    base: about(z.int().check(z.minimum(1), z.maximum(65_535)), "The main worktree's port. A worktree gets `base + slot × step`."),
    step: about(z._default(z.int().check(z.minimum(1), z.maximum(1000)), 10), 'How far apart the ports of two worktrees are.'),
    export: about(z._default(z.boolean(), true), 'false: only a name for templates, not a variable of the app.'),
  }),
  'A TCP port, free now, and reserved on this machine for as long as the worktree lives. Short form: the base alone.',
);

const sqlite = about(
  z.strictObject({
    type: z.literal('sqlite'),
    from: about(
      z.optional(z.string().check(z.minLength(1))),
      "The main worktree's database, as a path or URL in the form that the app reads. Default: what the variable says in the main worktree's env files.",
    ),
    data: about(z._default(z.enum(['clone', 'empty']), 'clone'), '`clone` copies the data; `empty` leaves the file to be made by the app.'),
    export: about(z._default(z.boolean(), true), 'false: only a name for templates, not a variable of the app.'),
  }),
  'A SQLite database file of its own in the worktree, copied consistently while the app writes.',
);

/** The options of every resource type, by its name. Apart from what the types do: a set-up whose config was judged before needs no zod. */
export const RESOURCE_SCHEMAS = { port, sqlite };

/** The options of one resource type, checked. */
export type ResourceOptions<Type extends keyof typeof RESOURCE_SCHEMAS> = z.infer<(typeof RESOURCE_SCHEMAS)[Type]>;
