import { z } from 'zod';
import { RESOURCE_SCHEMAS } from '../resources/table.ts';

// Compiling validators pays for many values, not for one config, and costs every run its start.
z.config({ jitless: true });

/** Names of resources, variables and steps. YAML readers reorder integer-like keys, so a name cannot be one. */
export const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** What these texts must be, as a user is told. */
export const DURATION = 'a number and a unit, like 30s, 10m or 1d';
export const MODE = 'three octal digits in quotes, like "600"';

const name = z.string().regex(NAME, 'letters, digits, _ and -, not beginning with a digit');
const template = z.string();
const duration = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h|d)$/, { error: DURATION, abort: true })
  .meta({ examples: ['30s', '10m', '1d'] });
const mode = z
  .string()
  .regex(/^0?[0-7]{3}$/, MODE)
  .describe('Permissions of the file, e.g. "600".');
const relativePath = z.string().min(1);

const actions = {
  merge: z
    .strictObject({
      action: z.literal('merge'),
      from: relativePath.optional().describe('The source in the main worktree when it has another name, e.g. `.env.example`.'),
      set: z.record(z.string(), template).optional().describe('Place exactly these variables, and add no others.'),
      mode: mode.optional(),
    })
    .describe("The main worktree's env file with this worktree's values in place."),
  env: z
    .strictObject({
      action: z.literal('env'),
      format: z.enum(['dotenv', 'export']).default('dotenv').describe('`export` for a file that a shell sources.'),
      set: z.record(z.string(), template).optional().describe('Write exactly these variables.'),
      mode: mode.optional(),
    })
    .describe("This worktree's variables in a marked block; lines outside it are yours."),
  copy: z
    .strictObject({
      action: z.literal('copy'),
      from: relativePath.optional().describe('The source in the main worktree when it has another name.'),
      mode: mode.optional(),
    })
    .describe('A copy of the file or folder of the main worktree. The key may be a glob.'),
  link: z
    .strictObject({
      action: z.literal('link'),
      from: relativePath.optional().describe('The target in the main worktree when it has another name.'),
    })
    .describe("A symbolic link to the main worktree's file or folder. The key may be a glob."),
  sqlite: z
    .strictObject({
      action: z.literal('sqlite'),
      from: relativePath.optional().describe('The source in the main worktree when it has another name.'),
    })
    .describe('A consistent copy of a SQLite database of the main worktree, safe while the app writes. The key may be a glob.'),
  template: z
    .strictObject({
      action: z.literal('template'),
      template: relativePath.optional().describe('A Handlebars file of the branch.'),
      text: template.optional().describe('A short Handlebars template in place.'),
      mode: mode.optional(),
    })
    .describe('A rendered file.'),
};

const file = z.discriminatedUnion('action', [actions.merge, actions.env, actions.copy, actions.link, actions.sqlite, actions.template]);

const stepEnv = z.record(z.string(), z.string().nullable()).describe('Variables to add for this command; null takes one away.');
const run = z.string().min(1).describe('A command for `sh -c`. It is never templated: it gets every variable through the environment.');
const timeout = duration
  .refine((text) => milliseconds(text) > 0, 'longer than nothing')
  .default('30m')
  .describe('The command is ended after this time.');
const cwd = relativePath.optional().describe('Where it runs, relative to the worktree.');

const when = z.strictObject({ exists: z.array(relativePath).min(1).describe('run only when all of these paths exist in the worktree.') });

const step = z.strictObject({
  run,
  needs: z.array(name).optional().describe('The steps and resources to wait for. Without it: the step above and everything before.'),
  timeout,
  retries: z.number().int().min(0).max(10).default(0).describe('How often to try again after a failure.'),
  when: when.optional(),
  env: stepEnv.optional(),
  variables: z
    .boolean()
    .default(true)
    .describe("false: the command gets none of the worktree's variables, e.g. a test run that must not use the development database."),
  cwd,
  background: z.boolean().default(false).describe('The worktree is ready without waiting for this step.'),
  inputs: z
    .array(relativePath)
    .optional()
    .describe('Files (globs) that the result depends on: a later `up` runs the step again when they changed.'),
});

const teardownStep = z.strictObject({ run, env: stepEnv.optional(), timeout, cwd });

const resource = z.discriminatedUnion('type', RESOURCE_SCHEMAS);

/** The config after shorthands are expanded: the source of the TypeScript type, the JSON Schema and the reference. */
export const configSchema = z.strictObject({
  project: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'made of letters, digits, ., _ and -, beginning with a letter or a digit')
    .optional()
    .describe("The project's name. Default: the main worktree's folder name."),
  url: template.optional().describe('The address that `status` and the last line of a set-up print. Default: the first port on localhost.'),
  resources: z
    .record(name, resource)
    .default({})
    .describe('What each worktree gets of its own, named after the variable that the app reads.'),
  env: z.record(name, template).default({}).describe('More variables, computed from those above, in order.'),
  files: z
    .record(z.string(), file)
    .optional()
    .describe("Paths in the worktree and what to put there. Default: `merge` for every git-ignored `.env*` of the main worktree's root."),
  steps: z.record(name, step).default({}).describe('Commands that run in the new worktree, in order.'),
  teardown: z
    .record(name, teardownStep)
    .default({})
    .describe('Commands that `down` and `remove` run in the worktree before its resources are destroyed.'),
  envFiles: z
    .array(relativePath)
    .default(['.env', '.env.local'])
    .describe("The main worktree's env files that `main.env` and sources are read from; the later wins."),
  shared: z
    .array(z.string())
    .default([])
    .describe('Variables that all worktrees are meant to share: the isolation check does not report them.'),
  keep: duration
    .default('1d')
    .describe("How long databases outside a vanished worktree's folder are kept before the next `git worktree add` destroys them."),
  background: z.boolean().default(false).describe('`git worktree add` returns once files and ports are there; the rest goes on detached.'),
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
  resources: new Map(RESOURCE_SCHEMAS.map(({ shape }) => [String(shape.type.value), Object.keys(shape)])),
  files: new Map(Object.entries(actions).map(([action, { shape }]) => [action, Object.keys(shape)])),
};

/** The one-word actions of `files`. */
export const ONE_WORD_ACTIONS = ['merge', 'env', 'copy', 'link', 'sqlite'] as const;

/** Milliseconds of a duration like `10m`. */
export function milliseconds(text: string): number {
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  const [, number = '0', unit = 's'] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(number) * (units[unit] ?? 1000);
}
