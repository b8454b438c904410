import { Failure } from '../../outcome.ts';
import { MARK } from './generate.ts';

/** Where a Docker engine is, as the ledger knows it; nothing here is secret. */
export interface EngineAddress {
  host?: string;
  context?: string;
}

/** Whether two words of the command line reach an engine. */
export type EngineState = { id: string } | { why: string; installed: boolean };

/** The address that this process's environment names. */
export function engineAddress(env: NodeJS.ProcessEnv): EngineAddress {
  const { DOCKER_HOST: host, DOCKER_CONTEXT: context } = env;
  return { ...(host && { host }), ...(context && { context }) };
}

/** The environment for programs that are to reach the engine of a record: once one was met, that one. */
export function towards({ engine, host, context }: EngineAddress & { engine?: string }, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (engine === undefined) return env;
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, ...rest } = env;
  return { ...rest, ...(host && { DOCKER_HOST: host }), ...(context && { DOCKER_CONTEXT: context }) };
}

/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 60_000;

interface Answer {
  ok: boolean;
  stdout: string;
  /** The program's own last words. */
  last: string;
  installed: boolean;
}

export async function ask(command: string, args: string[], env: NodeJS.ProcessEnv, signal?: AbortSignal, cwd = '/'): Promise<Answer> {
  const { execa } = await import('execa');
  const result = await execa(command, args, {
    env,
    cwd,
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    timeout: ANSWER_MS,
    ...(signal && { cancelSignal: signal }),
  });
  const last = result.timedOut ? 'it did not answer within a minute' : lastLine(result.stderr) || lastLine(result.stdout);
  return { ok: result.exitCode === 0, stdout: result.stdout, last, installed: result.code !== 'ENOENT' };
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}

/** Whether an engine answers, and which. */
export async function findEngine(env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<EngineState> {
  // On an engine that is down, docker 20 prints the client's half and exits with 0.
  const answer = await ask('docker', ['info', '--format', '{{.ServerVersion}} {{.ID}}'], env, signal);
  const [version, id = ''] = answer.stdout.trim().split(' ');
  if (answer.ok && version) return { id };
  return { why: answer.installed ? answer.last : 'there is no `docker` on PATH', installed: answer.installed };
}

/** The engine of a record: where it was met, else where this process's environment points when that is it. */
export async function reachEngine(
  made: EngineAddress & { engine?: string },
  env: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<{ env: NodeJS.ProcessEnv; state: EngineState }> {
  const there = towards(made, env);
  const state = await findEngine(there, signal);
  const same = there.DOCKER_HOST === env.DOCKER_HOST && there.DOCKER_CONTEXT === env.DOCKER_CONTEXT;
  if (same || ('id' in state && state.id === made.engine)) return { env: there, state };
  const here = await findEngine(env, signal);
  return 'id' in here && here.id === made.engine ? { env, state: here } : { env: there, state };
}

/** Compose, as it is there. */
export interface Compose {
  command: 'docker compose' | 'docker-compose';
  version: string;
  /** From 2.24, a later file can take away what an earlier one says. */
  overrides: boolean;
}

/** Takes whichever Compose is there, the plugin first; null when there is none. */
export async function findCompose(env: NodeJS.ProcessEnv): Promise<Compose | null> {
  for (const command of ['docker compose', 'docker-compose'] as const) {
    const [program = '', ...words] = command.split(' ');
    const { ok, stdout } = await ask(program, [...words, 'version', '--short'], env);
    const [version, major, minor] = /(\d+)\.(\d+)\.\d+/.exec(stdout) ?? [];
    if (ok && version !== undefined) return { command, version, overrides: Number(major) * 1000 + Number(minor) >= 2024 };
  }
  return null;
}

export type Kind = 'container' | 'network' | 'volume';

/** A container, network or volume that bears a project's label. */
export interface Thing {
  kind: Kind;
  id: string;
  name: string;
  labels: Record<string, string>;
}

const PROJECT = 'com.docker.compose.project';

/** All that bears a Compose project's label. @throws {Failure} when the engine cannot say */
export async function thingsOf(project: string, env: NodeJS.ProcessEnv, kinds: readonly Kind[]): Promise<Thing[]> {
  const things: Thing[] = [];
  for (const kind of kinds) {
    const list = kind === 'container' ? ['ps', '-a', '--no-trunc'] : [kind, 'ls', ...(kind === 'network' ? ['--no-trunc'] : [])];
    const ids = (await mustAsk([...list, '-q', '--filter', `label=${PROJECT}=${project}`], env)).split('\n').filter(Boolean);
    for (const id of ids) {
      const thing = await inspect(kind, id, env);
      if (thing?.labels[PROJECT] === project) things.push(thing);
    }
  }
  return things;
}

/** Null when it went meanwhile. */
async function inspect(kind: Kind, id: string, env: NodeJS.ProcessEnv): Promise<Thing | null> {
  const inspected = await ask('docker', [kind, 'inspect', id], env);
  if (!inspected.ok && /no such/i.test(inspected.last)) return null;
  if (!inspected.ok) throw new Failure(`The Docker engine did not say what ${kind} ${id.slice(0, 12)} is: ${inspected.last}.`);
  const [found] = JSON.parse(inspected.stdout) as [
    { Name: string; Labels?: Record<string, string>; Config?: { Labels?: Record<string, string> } },
  ];
  return { kind, id, name: found.Name.replace(/^\//, ''), labels: found.Config?.Labels ?? found.Labels ?? {} };
}

/** Which of these volumes are there. @throws {Failure} when the engine cannot say */
export async function volumesThere(names: readonly string[], env: NodeJS.ProcessEnv): Promise<string[]> {
  if (names.length === 0) return [];
  return (await mustAsk(['volume', 'ls', '-q'], env)).split('\n').filter((name) => names.includes(name));
}

/**
 * Of volumes by these names, those that bear no label of Compose's or ours. Docker makes a volume and then writes down its labels:
 * killed in between, it has it without them. @throws {Failure} when the engine cannot say
 */
export async function unlabelledVolumes(names: readonly string[], env: NodeJS.ProcessEnv): Promise<Thing[]> {
  const things: Thing[] = [];
  for (const name of await volumesThere(names, env)) {
    const thing = await inspect('volume', name, env);
    if (thing && thing.labels[PROJECT] === undefined && markOn(thing) === undefined) things.push(thing);
  }
  return things;
}

async function mustAsk(args: string[], env: NodeJS.ProcessEnv): Promise<string> {
  const answer = await ask('docker', args, env);
  if (!answer.ok) throw new Failure(`The Docker engine does not answer (${answer.last}).`);
  return answer.stdout;
}

const REMOVE: Record<Kind, string[]> = {
  container: ['rm', '-f', '-v'],
  network: ['network', 'rm'],
  volume: ['volume', 'rm'],
};

/** Removes one. What is gone already is fine. @throws {Failure} when it stays */
export async function removeThing({ kind, id, name }: Thing, env: NodeJS.ProcessEnv): Promise<void> {
  const answer = await ask('docker', [...REMOVE[kind], id], env);
  if (!answer.ok && !/no such|not found|already in progress/i.test(answer.last))
    throw new Failure(`The ${kind} ${name} could not be removed: ${answer.last}.`);
}

/** Whose a thing is, as it says itself. */
export function markOn({ labels }: Thing): string | undefined {
  return labels[MARK];
}

/** How a container of a project is. */
export interface ContainerState {
  id: string;
  name: string;
  service: string;
  status: string;
  exitCode: number;
  /** Null when it has no health check. */
  health: string | null;
  /** When it was last started, as the engine writes it. */
  startedAt: string;
}

/** The containers of a project that belong to its services. */
export async function containerStates(project: string, env: NodeJS.ProcessEnv): Promise<ContainerState[]> {
  const filters = ['--filter', `label=${PROJECT}=${project}`, '--filter', 'label=com.docker.compose.oneoff=False'];
  const ids = (await mustAsk(['ps', '-aq', '--no-trunc', ...filters], env)).split('\n').filter(Boolean);
  if (ids.length === 0) return [];
  const inspected = await ask('docker', ['container', 'inspect', ...ids], env);
  // Of those that went between the two questions it says so, and tells the others.
  if (!inspected.ok && !/no such/i.test(inspected.last)) throw new Failure(`The Docker engine does not answer (${inspected.last}).`);
  const found = JSON.parse(inspected.stdout) as {
    Id: string;
    Name: string;
    Config: { Labels: Record<string, string> };
    State: { Status: string; ExitCode: number; StartedAt: string; Health?: { Status: string } };
  }[];
  return found.map(({ Id, Name, Config, State }) => ({
    id: Id,
    name: Name.replace(/^\//, ''),
    service: Config.Labels['com.docker.compose.service'] ?? '',
    status: State.Status,
    exitCode: State.ExitCode,
    health: State.Health && State.Health.Status !== 'none' ? State.Health.Status : null,
    startedAt: State.StartedAt,
  }));
}
