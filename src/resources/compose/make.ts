import fs from 'node:fs';
import path from 'node:path';
import { claimedNames, reservedPorts } from '../../ledger/claims.ts';
import { makeFolder } from '../../ledger/document.ts';
import { openStateDir } from '../../ledger/state-dir.ts';
import { Failure } from '../../outcome.ts';
import { allFree, listeningPorts, usable } from '../../slot.ts';
import type { Created, ResolvedResource, ResourceEffects } from '../resource.ts';
import { ask, type Compose, engineAddress, findCompose, findEngine, reachEngine, thingsOf, volumesThere } from './engine.ts';
import { type ComposeProject, findComposeFiles, readProject } from './file.ts';
import { type Generated, overriding, rewriting } from './generate.ts';
import { folderOf, hash, MAX_NAME, type Made, nameClaim, portClaims, portsMade, resolvedFrom, volumesMade, within } from './made.ts';
import { blockName, findBlock, isTaken, type PortFinder, type Published, portsIn, readPort } from './ports.ts';

/** Of a longer range than this the main worktree's ports are not kept: a claim is a file. Docker takes minutes for such a range. */
const MAX_KEPT = 1000;

interface Reading {
  generated: Generated;
  project: ComposeProject;
  published: Published[];
  /** Those that have no place yet. */
  missing: Published[];
  /** Of `made`, what the files still publish. */
  ports: Record<string, number>;
}

/** Reads the project and says what the generated files are, with the ports that are known. */
export async function generate(made: Made, effects: ResourceEffects, overrides: boolean): Promise<Reading> {
  const named = made.files === undefined ? null : (JSON.parse(made.files) as string[]);
  const own = { ...effects.mainEnv, ...effects.variables() };
  const project = await readProject(effects.worktreePath, findComposeFiles(effects.worktreePath, named), own);
  const known = portsMade(made);
  const published = project.services.flatMap(({ ports }) =>
    ports.map((entry) => {
      const port = readPort(entry, effects.mainEnv, own);
      // A variable that is computed from what was taken here makes it no less taken.
      return isTaken(port, known) ? readPort(entry, effects.mainEnv, effects.mainEnv) : port;
    }),
  );
  // Before any is taken: what one service of the main worktree has, another's here must not get.
  for (const { main } of published) if (main.length <= MAX_KEPT) for (const port of main) effects.keepForMain(port);
  const ports: Record<string, number> = {};
  for (const port of published) {
    const there = known[blockName(port)];
    if (port.from !== null && there !== undefined) ports[blockName(port)] = there;
  }
  const missing = published.filter((port) => port.from !== null && ports[blockName(port)] === undefined);
  const portsOf = (service: string) =>
    published
      .filter(({ entry }) => entry.service === service)
      .map((port) => ({ published: port, first: port.from === null ? null : (ports[blockName(port)] ?? null) }));
  const generated = overrides ? overriding(project, portsOf, effects.worktreeId) : await rewriting(project, portsOf, effects.worktreeId);
  return { generated, project, published, missing, ports };
}

/** Makes the files, with a name and ports that nobody has. */
export async function make(resolved: ResolvedResource, effects: ResourceEffects): Promise<Created> {
  const { variable = '' } = resolved.made;
  let made = resolved.made;
  const program = await findCompose(process.env);
  const overrides = program?.overrides ?? true;
  const { project, published, missing, ports } = await generate(made, effects, overrides);
  for (const warning of project.warnings) effects.say(warning);
  made = await ownProject(made, effects);
  made = { ...made, volumes: JSON.stringify(await ownVolumes(project, made, effects)) };
  const stale = portClaims(portsMade(made)).filter((name) => !portClaims(ports).includes(name));
  for (const [block, first] of Object.entries(ports)) {
    if (portClaims({ [block]: first }).every((name) => effects.claim(name))) continue;
    delete ports[block];
    missing.push(...published.filter((port) => port.from !== null && blockName(port) === block));
  }
  const finder = await portFinder(effects);
  for (const port of missing) ports[blockName(port)] ??= await findBlock(port, effects.slot, finder);
  made = { ...made, ports: JSON.stringify(ports), style: overrides ? 'override' : 'copies', compose: program?.version ?? 'none' };
  const { generated } = await generate(made, effects, overrides);
  made = { ...made, order: JSON.stringify(orderIn(generated, effects)), parts: JSON.stringify(partsOf(published, ports)) };
  effects.intend(resolvedFrom(variable, effects.worktreePath, made).made);
  for (const name of stale) effects.release(name);
  write(generated, folderOf(effects.stateFolder));
  const is = resolvedFrom(variable, effects.worktreePath, made);
  const separators = (is.variables.COMPOSE_FILE ?? '').split(path.delimiter).length - 1;
  if (separators !== generated.order.length - 1)
    throw new Failure(
      `The path of this worktree holds a \`${path.delimiter}\`, which COMPOSE_FILE cannot say. Move the worktree with \`git worktree move\`.`,
    );
  if (program !== null) await judge(program, is, effects);
  return { detail: is.detail, resolved: is };
}

/** Takes a name that no project on this machine has, and writes it down. */
async function ownProject(made: Made, effects: ResourceEffects): Promise<Made> {
  const { name: wanted = '' } = made;
  if (made.checked !== undefined && effects.claim(nameClaim(wanted))) return made;
  const engine = await findEngine(process.env, effects.signal);
  const { checked: _checked, ...rest } = made;
  for (const salt of ['', '1', '2', '3']) {
    const name = salt === '' ? wanted : within(`${wanted.slice(0, MAX_NAME - 9)}-${hash(effects.worktreeId + salt)}`);
    if (!effects.claim(nameClaim(name))) continue;
    if (!('id' in engine)) return { ...rest, name };
    const things = await thingsOf(name, process.env, ['container', 'network', 'volume']);
    if (things.every(({ labels }) => labels['coppice.worktree'] === effects.worktreeId))
      return { ...rest, ...engineAddress(process.env), name, checked: 'yes', engine: engine.id };
    effects.release(nameClaim(name));
  }
  throw new Failure(
    `Every name that the Compose project could have is taken, \`${wanted}\` first. \`docker compose ls -a\` shows whose they are.`,
  );
}

/** The names of its volumes: of those that were not its own yet, the ones that nobody has. */
async function ownVolumes({ plainVolumes }: ComposeProject, made: Made, effects: ResourceEffects): Promise<string[]> {
  const known = volumesMade(made);
  const more = plainVolumes.map((volume) => `${made.name}_${volume}`).filter((name) => !known.includes(name));
  if (more.length === 0) return known;
  const { env, state } = await reachEngine(made, process.env, effects.signal);
  if (!('id' in state) || state.id !== made.engine) return known;
  const there = await volumesThere(more, env);
  return [...known, ...more.filter((name) => !there.includes(name))];
}

async function portFinder(effects: ResourceEffects): Promise<PortFinder> {
  const listening = await listeningPorts();
  const reserved = reservedPorts(claimedNames(openStateDir()));
  return {
    // One that another reserves meanwhile cannot be claimed.
    usable: (port) => usable(port) && !reserved.has(port),
    async take(block) {
      const taken: string[] = [];
      for (const port of block) {
        if (!effects.claim(`port-${port}`)) break;
        taken.push(`port-${port}`);
      }
      // Claimed first, probed then: of two of us only the one that has it asks.
      if (taken.length === block.length && (await allFree(block, listening))) {
        // To claim it again would succeed.
        for (const port of block) reserved.add(port);
        return true;
      }
      for (const name of taken) effects.release(name);
      return false;
    },
  };
}

/** What templates call the ports: `web_80`. */
function partsOf(published: Published[], ports: Record<string, number>): Record<string, string> {
  return Object.fromEntries(
    published.flatMap((port) => {
      const first = port.from === null ? port.own : (ports[blockName(port)] ?? null);
      if (first === null) return [];
      const service = port.entry.service.replace(/[^A-Za-z0-9_]/g, '_');
      return portsIn(first, port.count).map((host, index) => [`${service}_${port.target + index}`, String(host)]);
    }),
  );
}

function write({ written }: Generated, folder: string): void {
  makeFolder(folder);
  for (const [name, text] of Object.entries(written)) {
    const temporary = path.join(folder, `.${name}`);
    fs.writeFileSync(temporary, text, { mode: 0o600 });
    fs.renameSync(temporary, path.join(folder, name));
  }
}

/** Compose itself reads the result. What it says of env files that are not there yet is no matter. */
async function judge(program: Compose, { variables }: ResolvedResource, effects: ResourceEffects): Promise<void> {
  const [command = '', ...words] = program.command.split(' ');
  const env = { ...effects.mainEnv, ...effects.environment(), ...variables };
  const answer = await ask(command, [...words, 'config', '-q'], env, effects.signal, effects.worktreePath);
  if (!answer.ok && !/env.?file/i.test(answer.last))
    throw new Failure(`Compose ${program.version} refuses the compose file: ${answer.last.replace(/\.$/, '')}.`);
}

/** The files that COMPOSE_FILE names: those of the worktree relative to it, since it can be moved. */
export function orderIn({ order, written }: Generated, { stateFolder, worktreePath }: ResourceEffects): string[] {
  return order.map((file) =>
    Object.hasOwn(written, file) ? path.join(folderOf(stateFolder), file) : path.relative(worktreePath, file) || file,
  );
}
