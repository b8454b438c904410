import fs from 'node:fs';
import path from 'node:path';
import { milliseconds } from '../../config/duration.ts';
import { readIfThere } from '../../ledger/document.ts';
import { Failure } from '../../outcome.ts';
import { shellQuote } from '../../report/shell-quote.ts';
import { endLeftover } from '../../steps/process-group.ts';
import { duration, runCommand } from '../../steps/run-command.ts';
import type { ResolvedResource, ResourceEffects } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';
import {
  ask,
  type ContainerState,
  containerStates,
  findCompose,
  type Kind,
  lastLine,
  markOn,
  reachEngine,
  removeThing,
  thingsOf,
  unlabelledVolumes,
} from './engine.ts';
import { volumesMade } from './made.ts';

type Made = Record<string, string>;

/** How often containers are asked for their health, in milliseconds. */
const POLL_MS = 250;

/**
 * Starts the project and waits until every service is healthy, or runs where it has no health check. A service that did its
 * work and ended with 0 is fine.
 * @returns a line of output
 * @throws {Failure} when one is not, or the time is over
 */
export async function startProject(
  options: ResourceOptions<'compose'>,
  { made, variables }: ResolvedResource,
  effects: ResourceEffects,
): Promise<string> {
  const { name = '' } = made;
  // Its own variables are not among the environment's with `export: false`: Compose would take the main worktree's project.
  const { env, state: engine } = await reachEngine(made, { ...effects.environment(), ...variables }, effects.signal);
  if (!('id' in engine))
    throw new Failure(
      engine.installed
        ? `${name} was not started: the Docker engine does not answer (${engine.why}). Start it, then run \`git coppice up\`.${goneForGood(made)}`
        : `${name} was not started: ${engine.why}. Install Docker with Compose, then run \`git coppice up\`.`,
    );
  const program = await findCompose(env);
  if (program === null)
    throw new Failure(`${name} was not started: Compose is not there. Install Docker's Compose plugin, then run \`git coppice up\`.`);
  if (made.engine !== engine.id)
    throw new Failure(
      `${name} was not started: it was made on another Docker engine than the one that answers. Reach that one (DOCKER_HOST, \`docker context\`), then run \`git coppice up\`.${goneForGood(made)}`,
    );
  await endStarter(effects.stateFolder);
  const before = await containerStates(name, env);
  const timeoutMs = milliseconds(options.timeout);
  const deadline = Date.now() + timeoutMs;
  fs.rmSync(effects.log, { force: true });
  const result = await runCommand({
    run: `exec ${program.command} up -d ${(options.services ?? []).map((service) => shellQuote(service)).join(' ')}`,
    cwd: effects.worktreePath,
    env,
    timeoutMs,
    log: effects.log,
    signal: effects.signal,
    started: (mark) => fs.writeFileSync(starterFile(effects.stateFolder), JSON.stringify(mark), { mode: 0o600 }),
  });
  fs.rmSync(starterFile(effects.stateFolder), { force: true });
  if (!result.ok) {
    const said = readIfThere(effects.log) ?? '';
    throw new Failure(
      `${name} could not be started: ${result.why}: ${lastLine(said) || 'it said nothing'} (${effects.log})${said.includes(ALLOCATED) ? `. ${PORT_KEPT}` : ''}`,
    );
  }
  return healthy({ name, env, deadline, timeoutMs, before }, effects);
}

/** An engine's words for a port that it gave to a container: a program that listens on one is an `address already in use`. */
const ALLOCATED = 'port is already allocated';
/** Killed while it starts a container, it finds the port among its own once more. https://github.com/moby/libnetwork/issues/2448 */
const PORT_KEPT = 'If no container has that port, Docker has kept it since it was killed: restart Docker, then run `git coppice up`.';

/** What to say of an engine that was met once. */
function goneForGood({ engine, name }: Made): string {
  return engine === undefined ? '' : ` If it is gone for good, \`git coppice gc --forget ${name}\` first.`;
}

interface Start {
  name: string;
  env: NodeJS.ProcessEnv;
  deadline: number;
  timeoutMs: number;
  /** The containers that were there before. */
  before: ContainerState[];
}

async function healthy({ name, env, deadline, timeoutMs, before }: Start, effects: ResourceEffects): Promise<string> {
  // What did not run and was not started is of a service that was not asked for.
  const untouched = new Set(
    before.filter(({ status }) => ['created', 'exited', 'dead'].includes(status)).map(({ id, startedAt }) => `${id} ${startedAt}`),
  );
  for (;;) {
    const states = (await containerStates(name, env)).filter(({ id, startedAt }) => !untouched.has(`${id} ${startedAt}`));
    const failed = states.find((state) => hasFailed(state));
    if (failed) throw new Failure(`${failed.service} of ${name} ${await whatFailed(failed, env)}`);
    if (states.every(isUp)) {
      const running = states.filter(({ status }) => status === 'running').map(({ service }) => service);
      return `${[...new Set(running)].sort().join(', ') || 'nothing'} up`;
    }
    if (effects.signal.aborted) throw new Failure(`${name}: interrupted`);
    if (Date.now() > deadline) {
      const waiting = states.filter((state) => !isUp(state)).map(({ service, health, status }) => `${service} is ${health ?? status}`);
      throw new Failure(`${name} was not healthy within ${duration(timeoutMs)}: ${waiting.join(', ')}. \`docker compose logs\` says more.`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function isUp({ status, health, exitCode }: ContainerState): boolean {
  if (status === 'exited') return exitCode === 0;
  return status === 'running' && (health === null || health === 'healthy');
}

function hasFailed({ status, health, exitCode }: ContainerState): boolean {
  return (status === 'exited' && exitCode !== 0) || status === 'dead' || health === 'unhealthy';
}

async function whatFailed({ id, status, exitCode }: ContainerState, env: NodeJS.ProcessEnv): Promise<string> {
  const logs = await ask('docker', ['logs', '--tail', '5', id], env);
  const said = logs.last === '' ? 'It said nothing.' : `Its last line: ${logs.last}`;
  return `${status === 'running' ? 'is unhealthy' : `ended with exit code ${exitCode}`}. ${said}`;
}

/** Where the process that starts a project is written down, for when this one is killed meanwhile. */
function starterFile(stateFolder: string): string {
  return path.join(stateFolder, 'compose', 'starter.json');
}

/** Ends a `docker compose up` that a killed set-up left running. */
export async function endStarter(stateFolder: string): Promise<void> {
  const file = starterFile(stateFolder);
  const mark = readIfThere(file);
  if (mark === null) return;
  if (mark !== '' && mark !== 'null') await endLeftover(mark);
  fs.rmSync(file, { force: true });
}

/** How often what appears meanwhile is looked for. */
const ROUNDS = 5;

/**
 * Removes what bears the project's label, containers first. All is looked at before any of it goes: a mark of another worktree
 * on one of them means that the record is wrong.
 * @throws {Failure} when the engine cannot be asked, is another one, or something stays
 */
export async function removeProject(made: Made, worktreeId: string, kinds: readonly Kind[]): Promise<void> {
  const { name } = made;
  if (name === undefined) return;
  const { env, state: engine } = await reachEngine(made, process.env);
  if (!('id' in engine)) {
    // Where there never was an engine there is nothing.
    if (!engine.installed && made.engine === undefined) return;
    throw new Failure(
      `Whether the Compose project ${name} is still there cannot be told: ${engine.installed ? `the Docker engine does not answer (${engine.why})` : engine.why}. It is kept; run \`git coppice gc\` when Docker is there.${goneForGood(made)}`,
    );
  }
  if (made.engine !== undefined && made.engine !== engine.id)
    throw new Failure(
      `The Compose project ${name} is on another Docker engine than the one that answers. It is kept; run \`git coppice gc\` where that one is reached (DOCKER_HOST, \`docker context\`).${goneForGood(made)}`,
    );
  for (let round = 0; ; round += 1) {
    const things = (await thingsOf(name, env, kinds)).filter((thing) => markOn(thing) === worktreeId || isOurs(thing.name, made));
    const foreign = things.find((thing) => markOn(thing) !== undefined && markOn(thing) !== worktreeId);
    if (foreign)
      throw new Failure(
        `The ${foreign.kind} ${foreign.name} has the label of the Compose project ${name}, and the mark of another worktree. Nothing of the project was removed; look at it with \`docker ${foreign.kind} inspect ${foreign.name}\`.`,
      );
    if (kinds.includes('volume')) things.push(...(await unlabelledVolumes(volumesMade(made), env)));
    if (things.length === 0) return;
    if (round === ROUNDS)
      throw new Failure(`The Compose project ${name} comes back while it is removed. End what starts it, then run \`git coppice gc\`.`);
    for (const thing of things) await removeThing(thing, env);
  }
}

/**
 * Whether a thing of our project's label that bears no mark is ours: the name was free when it became ours, and the thing is
 * called after it. A volume or network with a fixed `name:` belongs to all.
 */
function isOurs(thing: string, made: Made): boolean {
  return made.checked !== undefined && /^[-_]/.test(thing.slice(made.name?.length)) && thing.startsWith(made.name ?? '');
}

/**
 * Gives up a project whose engine is gone for good.
 * @returns how to remove what may still be somewhere
 * @throws {Failure} when its engine answers
 */
export async function forgetProject(made: Made): Promise<string> {
  const { name = '', engine } = made;
  const { state } = await reachEngine(made, process.env);
  if ('id' in state && (engine === undefined || engine === state.id))
    throw new Failure(
      `The Docker engine of the Compose project ${name} answers, so it need not be given up: \`git coppice down\` in its worktree removes it, or \`git coppice gc\` when that is gone.`,
    );
  return `nothing was removed on any engine; where something of ${name} is left, \`docker compose -p ${name} down -v\` removes it`;
}
