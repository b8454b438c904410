import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { slugify } from '../../config/templates.ts';
import { claimedNames, reservedPorts } from '../../ledger/claims.ts';
import { makeFolder, readIfThere } from '../../ledger/document.ts';
import { openStateDir } from '../../ledger/state-dir.ts';
import { Failure } from '../../outcome.ts';
import { allFree, listeningPorts, usable } from '../../slot.ts';
import type { CarryRule, Created, DestroyEffects, ResolvedResource, ResourceContext, ResourceEffects, ResourceType } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';
import { type Compose, engineAddress, findCompose, findEngine, thingsOf, towards } from './engine.ts';
import { type ComposeProject, findComposeFiles, readProject } from './file.ts';
import { type Generated, overriding, rewriting } from './generate.ts';
import { blockName, findBlock, isTaken, type PortFinder, type Published, portsIn, readPort } from './ports.ts';
import { endStarter, forgetProject, removeProject, startProject } from './run.ts';

type Options = ResourceOptions<'compose'>;
type Made = Record<string, string>;

/** Room for what Compose adds for services: names of containers are host names, of 63 characters at most. */
const MAX_NAME = 40;

/** Of a longer range than this the main worktree's ports are not kept: a claim is a file. Docker takes minutes for such a range. */
const MAX_KEPT = 1000;

/**
 * A Compose project of the worktree's own. All of it is in two variables, which Compose reads from `.env` by itself:
 * COMPOSE_PROJECT_NAME, and COMPOSE_FILE with a generated file that gives ports and names of the worktree's own.
 */
export const compose: ResourceType<Options> = {
  parts: null,
  filledBySteps: true,
  outside: 'data',
  resolve(options, context) {
    const files = options.files ?? filesOfMain(context);
    const made: Made = {
      ...context.before,
      ...(context.mainEnv.COMPOSE_PATH_SEPARATOR && { separator: path.delimiter }),
      thing: 'a Compose project',
      name: context.before?.name ?? projectName(context.project, context.slug),
    };
    delete made.files;
    return resolvedFrom(context.name, context.worktreePath, files === null ? made : { ...made, files: JSON.stringify(files) });
  },
  async examine(options, { made }, context) {
    const { examine } = await import('./examine.ts');
    return examine(options, made.files === undefined ? null : (JSON.parse(made.files) as string[]), context);
  },
  async intact(_options, { made }, effects) {
    if (made.order === undefined || !claimsOf(made).every((name) => effects.claim(name))) return false;
    // Nobody could ask yet whether another's project has this name.
    if (made.checked === undefined && 'id' in (await findEngine(towards(made, process.env)))) return false;
    const { generated, missing, ports } = await generate(made, effects, made.style === 'override');
    const folder = folderOf(effects.stateFolder);
    const same = Object.entries(generated.written).every(([name, text]) => readIfThere(path.join(folder, name)) === text);
    const leftover = Object.keys(ports).length !== Object.keys(portsMade(made)).length;
    // Its files were made for no Compose in particular.
    if (made.compose === 'none' && (await findCompose(process.env)) !== null) return false;
    return same && missing.length === 0 && !leftover && JSON.stringify(orderIn(generated, effects)) === made.order;
  },
  create: (_options, resolved, effects) => make(resolved, effects),
  async start(options, resolved, effects) {
    if (!options.up) return null;
    return startProject(options, resolved, effects);
  },
  async stop(made, effects) {
    await endStarter(effects.stateFolder);
    await removeProject(made, effects.worktreeId, ['container', 'network']);
  },
  async destroy(made, effects) {
    await endStarter(effects.stateFolder);
    await removeProject(made, effects.worktreeId, ['container', 'network', 'volume']);
    giveBackAll(made, effects);
  },
  nameOf: ({ name }) => name,
  async forget(made, effects) {
    const line = await forgetProject(made);
    await endStarter(effects.stateFolder);
    giveBackAll(made, effects);
    return line;
  },
};

/** What this machine keeps of a project beside its engine. */
function giveBackAll(made: Made, { stateFolder, release }: DestroyEffects): void {
  fs.rmSync(folderOf(stateFolder), { recursive: true, force: true });
  for (const name of claimsOf(made)) release(name);
}

/** The files that Compose is told of in the main worktree, where it does not look for them. */
function filesOfMain({ mainEnv, mainPath }: ResourceContext): string[] | null {
  const { COMPOSE_FILE: named, COMPOSE_PATH_SEPARATOR: separator = ':' } = mainEnv;
  if (!named) return null;
  return named.split(separator || ':').map((file) => {
    const inside = path.isAbsolute(file) ? path.relative(mainPath, file) : file;
    return path.isAbsolute(file) && inside.split(path.sep)[0] === '..' ? file : inside;
  });
}

/** `<project>-<slug>` as Compose wants it: `[a-z0-9][a-z0-9_-]*`. */
function projectName(project: string, slug: string): string {
  return within(`${slugify(project) || 'app'}-${slug}`);
}

function within(name: string): string {
  return name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 9).replace(/[-_]+$/, '')}-${hash(name)}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** What is known from what was made; before it is made, nothing that an app could use. */
function resolvedFrom(variable: string, worktree: string, made: Made): ResolvedResource {
  const { name = '', order, separator } = made;
  const ports = portsMade(made);
  const composeFile =
    order === undefined ? null : (JSON.parse(order) as string[]).map((file) => path.resolve(worktree, file)).join(path.delimiter);
  const carry: CarryRule[] = Object.entries(ports).flatMap(([block, to]) => {
    const [from = 0, last = from] = block.split('-').map(Number);
    return portsIn(from, last - from + 1).map((port, index) => ({ kind: 'port' as const, from: port, to: to + index }));
  });
  return {
    value: composeFile === null ? null : name,
    variables:
      composeFile === null
        ? {}
        : {
            COMPOSE_PROJECT_NAME: name,
            COMPOSE_FILE: composeFile,
            // The main worktree's own would follow into this one's env file.
            ...(separator && { COMPOSE_PATH_SEPARATOR: separator }),
          },
    parts: { project: name, ...(JSON.parse(made.parts ?? '{}') as Record<string, string>) },
    made: { ...made, variable, shown: `Compose project ${name}` },
    source: null,
    carry,
    detail: describePorts(name, ports),
  };
}

/** How many ports a line of output has room for. */
const MAX_SHOWN = 20;

function describePorts(name: string, ports: Record<string, number>): string {
  const list = Object.entries(ports).map(([block, to]) => `${block} → ${to}`);
  const more = list.length > MAX_SHOWN ? ` and ${list.length - MAX_SHOWN} more` : '';
  return list.length === 0 ? name : `${name}, ports ${list.slice(0, MAX_SHOWN).join(', ')}${more}`;
}

/** The main worktree's host ports and what they are here: `{ "5432": 5442, "3000-3005": 3010 }`. */
function portsMade(made: Made): Record<string, number> {
  return JSON.parse(made.ports ?? '{}') as Record<string, number>;
}

function nameClaim(name: string): string {
  return `compose-${name}`;
}

function portClaims(ports: Record<string, number>): string[] {
  return Object.entries(ports).flatMap(([block, first]) => {
    const [from = 0, last = from] = block.split('-').map(Number);
    return portsIn(first, last - from + 1).map((port) => `port-${port}`);
  });
}

function claimsOf(made: Made): string[] {
  return [...(made.name === undefined ? [] : [nameClaim(made.name)]), ...portClaims(portsMade(made))];
}

function folderOf(stateFolder: string): string {
  return path.join(stateFolder, 'compose');
}

/** The files that COMPOSE_FILE names: those of the worktree relative to it, since it can be moved. */
function orderIn({ order, written }: Generated, { stateFolder, worktreePath }: ResourceEffects): string[] {
  return order.map((file) =>
    Object.hasOwn(written, file) ? path.join(folderOf(stateFolder), file) : path.relative(worktreePath, file) || file,
  );
}

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
async function generate(made: Made, effects: ResourceEffects, overrides: boolean): Promise<Reading> {
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

async function make(resolved: ResolvedResource, effects: ResourceEffects): Promise<Created> {
  const { variable = '' } = resolved.made;
  let made = resolved.made;
  const program = await findCompose(process.env);
  const overrides = program?.overrides ?? true;
  const { project, published, missing, ports } = await generate(made, effects, overrides);
  for (const warning of project.warnings) effects.say(warning);
  made = await ownProject(made, effects);
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
  const { ask } = await import('./engine.ts');
  const [command = '', ...words] = program.command.split(' ');
  const env = { ...effects.mainEnv, ...effects.environment(), ...variables };
  const answer = await ask(command, [...words, 'config', '-q'], env, effects.signal, effects.worktreePath);
  if (!answer.ok && !/env.?file/i.test(answer.last))
    throw new Failure(`Compose ${program.version} refuses the compose file: ${answer.last.replace(/\.$/, '')}.`);
}
