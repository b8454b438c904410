import * as z from 'zod/mini';
import { RESOURCE_SCHEMAS } from '../resources/schemas.ts';
import { about, duration } from './about.ts';
import { milliseconds } from './duration.ts';

// Compiling validators pays for many values, not for one config, and costs every run its start.
z.config({ jitless: true });

/** Names of resources, variables and steps. YAML readers reorder integer-like keys, so a name cannot be one. */
export const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** What these texts must be, as a user is told. */
export const MODE = 'three octal digits in quotes, like "600"';

const name = z.string().check(z.regex(NAME, 'letters, digits, _ and -, not beginning with a digit'));
const template = z.string();
const mode = about(z.string().check(z.regex(/^0?[0-7]{3}$/, MODE)), 'Permissions of the file, e.g. "600".');
const relativePath = z.string().check(z.minLength(1));

const actions = {
  merge: about(
    z.strictObject({
      action: z.literal('merge'),
      from: about(z.optional(relativePath), 'The source in the main worktree when it has another name, e.g. `.env.example`.'),
      set: about(z.optional(z.record(z.string(), template)), 'Place exactly these variables, and add no others.'),
      mode: z.optional(mode),
    }),
    "The main worktree's env file with this worktree's values in place.",
  ),
  env: about(
    z.strictObject({
      action: z.literal('env'),
      format: about(z._default(z.enum(['dotenv', 'export']), 'dotenv'), '`export` for a file that a shell sources.'),
      set: about(z.optional(z.record(z.string(), template)), 'Write exactly these variables.'),
      mode: z.optional(mode),
    }),
    "This worktree's variables in a marked block; lines outside it are yours.",
  ),
  copy: about(
    z.strictObject({
      action: z.literal('copy'),
      from: about(z.optional(relativePath), 'The source in the main worktree when it has another name.'),
      mode: z.optional(mode),
    }),
    'A copy of the file or folder of the main worktree. The key may be a glob.',
  ),
  link: about(
    z.strictObject({
      action: z.literal('link'),
      from: about(z.optional(relativePath), 'The target in the main worktree when it has another name.'),
    }),
    "A symbolic link to the main worktree's file or folder. The key may be a glob.",
  ),
  sqlite: about(
    z.strictObject({
      action: z.literal('sqlite'),
      from: about(z.optional(relativePath), 'The source in the main worktree when it has another name.'),
    }),
    'A consistent copy of a SQLite database of the main worktree, safe while the app writes. The key may be a glob.',
  ),
  template: about(
    z.strictObject({
      action: z.literal('template'),
      template: about(z.optional(relativePath), 'A Handlebars file of the branch.'),
      text: about(z.optional(template), 'A short Handlebars template in place.'),
      mode: z.optional(mode),
    }),
    'A rendered file.',
  ),
};

const file = z.discriminatedUnion('action', [actions.merge, actions.env, actions.copy, actions.link, actions.sqlite, actions.template]);

const stepEnv = about(z.record(z.string(), z.nullable(z.string())), 'Variables to add for this command; null takes one away.');
const run = about(
  z.string().check(z.minLength(1)),
  'A command for `sh -c`. It is never templated: it gets every variable through the environment.',
);
const timeout = about(
  z._default(duration.check(z.refine((text) => milliseconds(text) > 0, 'longer than nothing')), '30m'),
  'The command is ended after this time.',
);
const cwd = about(z.optional(relativePath), 'Where it runs, relative to the worktree.');

const when = z.strictObject({
  exists: about(z.array(relativePath).check(z.minLength(1)), 'run only when all of these paths exist in the worktree.'),
});

const step = z.strictObject({
  run,
  needs: about(z.optional(z.array(name)), 'The steps and resources to wait for. Without it: the step above and everything before.'),
  timeout,
  retries: about(z._default(z.int().check(z.minimum(0), z.maximum(10)), 0), 'How often to try again after a failure.'),
  when: z.optional(when),
  env: z.optional(stepEnv),
  variables: about(
    z._default(z.boolean(), true),
    "false: the command gets none of the worktree's variables, e.g. a test run that must not use the development database.",
  ),
  cwd,
  background: about(z._default(z.boolean(), false), 'The worktree is ready without waiting for this step.'),
  inputs: about(
    z.optional(z.array(relativePath)),
    'Files (globs) that the result depends on: a later `up` runs the step again when they changed. Those that git does not ignore are a part of what is approved.',
  ),
});

const teardownStep = z.strictObject({ run, env: z.optional(stepEnv), timeout, cwd });

const resource = z.discriminatedUnion('type', [
  RESOURCE_SCHEMAS.port,
  RESOURCE_SCHEMAS.sqlite,
  RESOURCE_SCHEMAS.postgres,
  RESOURCE_SCHEMAS.command,
  RESOURCE_SCHEMAS.neon,
  RESOURCE_SCHEMAS.planetscale,
  RESOURCE_SCHEMAS.supabase,
  RESOURCE_SCHEMAS.turso,
  RESOURCE_SCHEMAS.gadget,
  RESOURCE_SCHEMAS.upsun,
  RESOURCE_SCHEMAS['k8s-namespace'],
  RESOURCE_SCHEMAS.redis,
  RESOURCE_SCHEMAS.mysql,
  RESOURCE_SCHEMAS.compose,
]);

/** The config after shorthands are expanded: the source of the TypeScript type, the JSON Schema and the reference. */
export const configSchema = z.strictObject({
  project: about(
    z.optional(
      z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'made of letters, digits, ., _ and -, beginning with a letter or a digit')),
    ),
    "The project's name. Default: the main worktree's folder name.",
  ),
  url: about(z.optional(template), 'The address that `status` and the last line of a set-up print. Default: the first port on localhost.'),
  resources: about(
    z._default(z.record(name, resource), {}),
    'What each worktree gets of its own, named after the variable that the app reads.',
  ),
  env: about(z._default(z.record(name, template), {}), 'More variables, computed from those above, in order.'),
  files: about(
    z.optional(z.record(z.string(), file)),
    "Paths in the worktree and what to put there. Default: `merge` for every git-ignored `.env*` of the main worktree's root.",
  ),
  steps: about(z._default(z.record(name, step), {}), 'Commands that run in the new worktree, in order.'),
  teardown: about(
    z._default(z.record(name, teardownStep), {}),
    'Commands that `down` and `remove` run in the worktree before its resources are destroyed.',
  ),
  envFiles: about(
    z._default(z.array(relativePath), ['.env', '.env.local']),
    "The main worktree's env files that `main.env` and sources are read from; the later wins.",
  ),
  shared: about(
    z._default(z.array(z.string()), []),
    'Variables that all worktrees are meant to share: the isolation check does not report them.',
  ),
  keep: about(
    z._default(duration, '1d'),
    "How long databases outside a vanished worktree's folder are kept before the next `git worktree add` destroys them.",
  ),
  background: about(
    z._default(z.boolean(), false),
    '`git worktree add` returns once files and ports are there; the rest goes on detached.',
  ),
});

/** A checked config. */
export type Config = z.infer<typeof configSchema>;
export type FileSpec = z.infer<typeof file>;
export type StepSpec = z.infer<typeof step>;
export type ResourceSpec = z.infer<typeof resource>;

/** The keys that each map of the config can have; those of resources and files by type and action. */
export const KEYS = {
  config: Object.keys(configSchema.shape),
  step: Object.keys(step.shape),
  teardown: Object.keys(teardownStep.shape),
  when: Object.keys(when.shape),
  resources: new Map(Object.entries(RESOURCE_SCHEMAS).map(([type, { shape }]) => [type, Object.keys(shape)])),
  files: new Map(Object.entries(actions).map(([action, { shape }]) => [action, Object.keys(shape)])),
};

/** The one-word actions of `files`. */
export const ONE_WORD_ACTIONS = ['merge', 'env', 'copy', 'link', 'sqlite'] as const;
