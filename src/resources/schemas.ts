import * as z from 'zod/mini';
import { about, duration } from '../config/about.ts';
import { milliseconds } from '../config/duration.ts';
import { PRESETS } from './command/presets.ts';
import type { PresetName } from './command/recipe.ts';

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

const text = z.string().check(z.minLength(1));
const parts = z.strictObject({
  host: z.optional(text),
  port: z.optional(text),
  user: z.optional(text),
  password: z.optional(text),
  database: z.optional(text),
});
const exported = about(z._default(z.boolean(), true), 'false: only a name for templates, not a variable of the app.');

/** PostgreSQL and MySQL have the same face. */
function database<Type extends string, More extends Record<string, z.core.$ZodType>>(type: Type, title: string, more: More) {
  return about(
    z.strictObject({
      type: z.literal(type),
      from: about(
        z.optional(text),
        `The database to clone, as a URL or a template. Default: the one that this variable names in the main worktree's env files. Needed when its server is not on this machine.`,
      ),
      vars: about(z.optional(parts), 'The variables that the app reads, where it reads parts and not a URL.'),
      default: about(
        z.optional(parts),
        "What the app takes for a part that the main worktree's env files do not set. No password: that belongs into an env file.",
      ),
      data: about(
        z._default(z.enum(['clone', 'schema', 'empty']), 'clone'),
        '`clone` copies everything, `schema` the tables without their rows, `empty` makes a database with nothing in it.',
      ),
      name: about(z.optional(text), "The database's name (a template). Default: `<source>__<slug>`, cut with a hash where it is too long."),
      admin: about(z.optional(text), "A URL (a template) of a user who may create databases, where the app's own may not."),
      seed: about(
        z.optional(text),
        'A `.sql` file of the branch, or a command, run in the new database before it is used; also after a clone.',
      ),
      owns: about(
        z._default(z.array(text), []),
        'Names of databases that test runners make from ours, e.g. `test_{database}*`: they are dropped with it.',
      ),
      ...more,
      export: exported,
    }),
    `A ${title} database of its own on the same server. Short form: the type alone.`,
  );
}

const postgres = database('postgres', 'PostgreSQL', {
  refresh: about(z._default(duration, '1d'), 'How old a copy may be that is kept to clone from while the source is in use.'),
});

const mysql = database('mysql', 'MySQL or MariaDB', {});

const script = (description: string) =>
  about(text, `${description} For \`sh -c\`, never templated: it gets everything through the environment.`);
const running = {
  timeout: about(
    z._default(duration.check(z.refine((written) => milliseconds(written) > 0, 'longer than nothing')), '10m'),
    'A command is ended after this time.',
  ),
  retries: about(z._default(z.int().check(z.minimum(0), z.maximum(10)), 0), 'How often `create` is tried again after a failure.'),
  export: exported,
};

const command = about(
  z.strictObject({
    type: z.literal('command'),
    create: script('Makes it under the name `$COPPICE_NAME`, and prints what it is on stdout. The same result however often it runs.'),
    check: z.optional(script('Exit code 0: it is still there. Without it, what was made is taken to be there.')),
    destroy: z.optional(script('Removes it. Succeeds when it is gone already. Runs in an empty folder.')),
    output: about(
      z._default(z.enum(['text', 'json', 'env']), 'text'),
      'What `create` prints: the value itself, a JSON object, or `NAME=value` lines that become variables of the app.',
    ),
    value: about(z.optional(text), 'Which key of the output is the value. Default: `value` of `json`, the variable of this name of `env`.'),
    keep: about(
      z._default(z.array(text), []),
      'Parts of the output that `destroy` needs and that are no secret: `id` is its `$COPPICE_OUTPUT_ID`.',
    ),
    env: about(z._default(z.record(z.string(), z.string()), {}), 'Variables to add for the commands. They are in the ledger: no secrets.'),
    ...running,
  }),
  'Whatever a command makes and another removes.',
);

/** The options of a preset are those that its YAML file names. */
function preset<Name extends PresetName>(name: Name) {
  const { description, options } = PRESETS[name];
  const entries = Object.entries(options).map(([option, { description: says, required, default: value }]) => {
    const schema = required ? text : value === undefined ? z.optional(text) : z._default(text, value);
    return [option, about(schema, says)] as const;
  });
  const shape = { type: z.literal(name), ...Object.fromEntries(entries), ...running };
  return about(z.strictObject(shape as unknown as { type: z.ZodMiniLiteral<Name> } & typeof running), description);
}

const redis = about(
  z.strictObject({
    type: z.literal('redis'),
    isolate: about(
      z._default(z.enum(['index', 'server']), 'index'),
      '`index`: a logical database of its own on the same server. `server`: a process of its own on this machine, also for pub/sub.',
    ),
    from: about(
      z.optional(text),
      "The main worktree's Redis, as a URL or a template. Default: the one that this variable names in its env files. Needed when its server is not on this machine.",
    ),
    vars: about(z.optional(parts), 'The variables that the app reads, where it reads parts and not a URL; `database` is the index.'),
    default: about(
      z.optional(parts),
      "What the app takes for a part that the main worktree's env files do not set. No password: that belongs into an env file.",
    ),
    export: exported,
  }),
  'A Redis database of its own, or a server of its own. Short form: the type alone.',
);

const compose = about(
  z.strictObject({
    type: z.literal('compose'),
    files: about(
      z.optional(z.array(text).check(z.minLength(1))),
      "The compose files, relative to the worktree. Default: those that COMPOSE_FILE in the main worktree's env files names, else those that Compose itself would find.",
    ),
    up: about(
      z._default(z.boolean(), false),
      'Start it, after the env files are written and before the steps, and wait until it is healthy.',
    ),
    services: about(
      z.optional(z.array(z.string().check(z.regex(/^[A-Za-z0-9._][A-Za-z0-9._-]*$/, "a service's name"))).check(z.minLength(1))),
      'The services to start with `up: true`. Default: all.',
    ),
    timeout: about(
      z._default(duration.check(z.refine((value) => milliseconds(value) > 0, 'longer than nothing')), '5m'),
      'How long it may take until all is healthy.',
    ),
    export: exported,
  }),
  'A Compose project of its own: its name, its host ports, its containers, networks and volumes. Short form: the type alone.',
);

/** The options in which templates are filled in, by type: with names that are known before any resource, not those of resources. */
export const TEMPLATE_OPTIONS: Record<string, readonly string[]> = {
  postgres: ['from', 'name', 'admin'],
  mysql: ['from', 'name', 'admin'],
  redis: ['from'],
};

/** The options of every resource type, by its name. Apart from what the types do: a set-up whose config was judged before needs no zod. */
export const RESOURCE_SCHEMAS = {
  port,
  sqlite,
  postgres,
  mysql,
  redis,
  compose,
  command,
  neon: preset('neon'),
  planetscale: preset('planetscale'),
  supabase: preset('supabase'),
  turso: preset('turso'),
  gadget: preset('gadget'),
  upsun: preset('upsun'),
  'k8s-namespace': preset('k8s-namespace'),
};

/** The options of one resource type, checked. */
export type ResourceOptions<Type extends keyof typeof RESOURCE_SCHEMAS> = z.infer<(typeof RESOURCE_SCHEMAS)[Type]>;
