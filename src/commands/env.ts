import type { Config, ResourceSpec } from '../config/schema.ts';
import { quoteForAll, quoteForShell } from '../files/quote.ts';
import { git } from '../git/git.ts';
import { findPlace } from '../git/worktrees.ts';
import { Failure } from '../outcome.ts';
import { planOf, readMainEnv } from '../plan/gather.ts';
import { type PlannedResource, projectName, variablesNow } from '../plan/plan.ts';
import { resourceType } from '../resources/table.ts';
import { factsOf } from '../set-up.ts';
import type { CommandFacts } from '../steps/environment.ts';
import { approvedOf, findTarget, recordOf } from './target.ts';

/** The variables of a worktree and what its commands are told. */
export interface WorktreeEnvironment {
  variables: Record<string, string>;
  facts: CommandFacts;
}

/** Prints a worktree's variables on stdout: for a shell to source, as an env file, or as JSON. */
export async function env(argument: string | undefined, options: { json?: boolean; dotenv?: boolean }): Promise<number> {
  const { variables } = await environmentOf(argument, 'env');
  if (options.json) process.stdout.write(`${JSON.stringify(variables, null, 2)}\n`);
  else {
    // All of it or nothing: a shell must not source half of it.
    const lines = Object.entries(variables).map(([name, value]) =>
      options.dotenv ? `${name}=${forEnvFile(name, value)}` : `export ${name}=${forShell(name, value)}`,
    );
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  }
  return 0;
}

/** The environment of a worktree that was set up; the main worktree's is slot 0, the bases. @throws {Failure} when it was not */
export async function environmentOf(argument: string | undefined, verb: string): Promise<WorktreeEnvironment> {
  const place = await findPlace(process.cwd());
  if (argument === undefined && place.worktree === null && place.repository.main !== null) {
    const head = await git(place.repository.main, ['symbolic-ref', '--quiet', '--short', 'HEAD']);
    const main = { path: place.repository.main, branch: head.code === 0 ? head.stdout.replace(/\n$/, '') : null, adminDir: null, id: null };
    const whole = await approvedOf({ place, worktree: main });
    const env = readMainEnv(whole.config, place.repository.main);
    const config = { ...whole.config, resources: knownInMain(whole.config, env) };
    const closure = { ...whole, config };
    const ports = Object.fromEntries(
      Object.entries(config.resources).flatMap(([name, spec]) => (spec.type === 'port' ? [[name, spec.base]] : [])),
    );
    const slot = { slot: 0, ports };
    const { main: mainPath, commonDir, bare } = place.repository;
    const facts = factsOf({ project: projectName(config, mainPath, commonDir, bare), slug: 'main', slot }, place, main);
    const plan = await planOf(closure, place, main, { slug: 'main', slot }, null);
    return { variables: variablesNow({ ...plan, resources: plan.resources.map((planned) => asInMain(planned, env)) }), facts };
  }
  const target = await findTarget(argument, verb);
  const record = recordOf(target.place.repository.commonDir, target.worktree);
  const closure = await approvedOf(target, record === null);
  if (record === null || record.slot === null || record.state === 'down')
    throw new Failure('This worktree is not set up, so it has no variables of its own. Run `git coppice up`.');
  const slot = { slot: record.slot, ports: record.ports };
  const { config } = closure;
  const missing = Object.entries(config.resources).find(([name, spec]) => spec.type === 'port' && record.ports[name] === undefined);
  if (missing) throw new Failure(`\`${missing[0]}\` is new in the config, and this worktree has none yet. Run \`git coppice up\`.`);
  return {
    variables: variablesNow(await planOf(closure, target.place, target.worktree, { slug: record.slug, slot }, record)),
    facts: factsOf({ project: record.project, slug: record.slug, slot }, target.place, target.worktree),
  };
}

/** The main worktree's own things are as they are: a database that its env files do not name is no reason to know no port. */
function knownInMain(config: Config, env: Record<string, string>): Config['resources'] {
  return Object.fromEntries(
    Object.entries(config.resources).filter(
      ([name, spec]) =>
        spec.type === 'port' ||
        sourceOf(spec) !== undefined ||
        (spec.type !== 'compose' && variablesOf(name, spec).some((own) => Object.hasOwn(env, own))),
    ),
  );
}

/** The variables that a resource is in: the one of its name, or one for each part. */
function variablesOf(name: string, spec: ResourceSpec): string[] {
  return 'vars' in spec && spec.vars !== undefined ? Object.values(spec.vars).flatMap((own) => own ?? []) : [name];
}

/** What only a worktree's set-up would make is in the main worktree what its env files say. */
function asInMain(planned: PlannedResource, env: Record<string, string>): PlannedResource {
  const { name, resolved } = planned;
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (resolved instanceof Failure || resolved.value !== null || value === undefined) return planned;
  return { ...planned, resolved: { ...resolved, value, variables: { [name]: value } } };
}

/** What is made by commands has no source: a `from` of theirs means something else. */
function sourceOf(spec: ResourceSpec): string | undefined {
  return 'from' in spec && resourceType(spec.type).parts !== null ? spec.from : undefined;
}

function forShell(name: string, value: string): string {
  const quoted = quoteForShell(value);
  if (quoted === null) throw new Failure(`The value of ${name} has a NUL character, which no shell can read.`);
  return quoted;
}

function forEnvFile(name: string, value: string): string {
  const quoted = quoteForAll(value);
  if (quoted === null)
    throw new Failure(
      `The value of ${name} cannot be written so that every reader of env files reads it the same. Use the shell form, or --json.`,
    );
  return quoted;
}
