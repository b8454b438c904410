import fs from 'node:fs';
import path from 'node:path';
import { folderInside } from './files/inside.ts';
import { withdrawFile } from './files/place.ts';
import type { WorktreeClaims } from './ledger/claims.ts';
import type { Journal } from './ledger/journal.ts';
import type { ResourceRecord } from './ledger/record.ts';
import { stateFolder } from './ledger/repositories.ts';
import { Failure } from './outcome.ts';
import type { Reporter } from './report/reporter.ts';
import type { DestroyEffects, ResourceType } from './resources/resource.ts';
import { resourceType } from './resources/table.ts';
import { giveBack } from './slot.ts';
import { type CommandFacts, commandEnvironment } from './steps/environment.ts';
import { tail } from './steps/log-tail.ts';
import { endLeftover } from './steps/process-group.ts';
import { type CommandInput, type CommandResult, runCommand } from './steps/run-command.ts';

/** Finds a resource type by name; a seam for tests. */
export type TypeLookup = (name: string) => ResourceType;

export interface TeardownWorld {
  journal: Journal;
  report: Reporter;
  signal: AbortSignal;
  facts: CommandFacts;
  variables: Record<string, string>;
  logs: string;
}

/** Runs the recorded teardown commands in the worktree, in order. @returns whether all succeeded; it goes on after a failure */
export async function runTeardown({ journal, report, signal, facts, variables, logs }: TeardownWorld): Promise<boolean> {
  let ok = true;
  for (const { process } of Object.values(journal.record.steps)) if (process !== null) await endLeftover(process);
  for (const { name, run, env, cwd, timeoutMs } of journal.record.teardown) {
    const log = path.join(logs, `teardown-${name}.log`);
    fs.rmSync(log, { force: true });
    const start = Date.now();
    const result = await runIn(
      cwd,
      { run, env: commandEnvironment(facts, variables, env), timeoutMs, log, signal, started: () => {} },
      facts,
    );
    if (result.ok) report.done(name, run, Date.now() - start);
    else {
      ok = false;
      report.fail(name, `${result.why}  (${run})`);
      report.text(tail(log) || '    (it printed nothing)');
    }
  }
  return ok;
}

async function runIn(cwd: string, command: Omit<CommandInput, 'cwd'>, { path: root }: CommandFacts): Promise<CommandResult> {
  try {
    return await runCommand({ ...command, cwd: folderInside(root, cwd) });
  } catch (error) {
    if (error instanceof Failure) return { ok: false, why: error.message };
    throw error;
  }
}

/** What of a worktree's record to destroy, and in what world. */
export interface DestroyWorld {
  journal: Journal;
  /** Null when the worktree is gone. */
  worktreePath: string | null;
  /** The worktree's folder in the ledger. */
  folder: string;
  claims: WorktreeClaims;
  report: Reporter;
  signal: AbortSignal;
  /** Whether git tracks a path by now: that is left. */
  isTracked?(name: string): boolean;
  types?: TypeLookup;
}

/**
 * Destroys what the journal says was made, the newest first. What cannot be destroyed, or not be proven to be ours, is said,
 * and stays in the journal.
 * @param keepsData whether what holds data outside the worktree is only stopped
 * @returns whether nothing is left
 */
export async function destroyResources(world: DestroyWorld, keepsData = false): Promise<boolean> {
  const { journal, report, types = resourceType } = world;
  let whole = true;
  report.expect([...journal.record.left.map(({ name }) => name), ...Object.keys(journal.record.resources)]);
  for (const left of [...journal.record.left].reverse()) {
    if (keepsData && types(left.type).outside === 'data') whole = false;
    else {
      const end = await take(left.name, left, world);
      if (end === 'kept') whole = false;
      else {
        journal.append({ event: 'left', left: journal.record.left.filter(({ made }) => made !== left.made) });
        if (end === 'done') report.done(left.name, `${describe(left)} destroyed`);
      }
    }
  }
  for (const [name, resource] of Object.entries(journal.record.resources).reverse()) {
    if (resource.state === 'destroyed') continue;
    if (keepsData && types(resource.type).outside === 'data') {
      whole = false;
      if (resource.state !== 'stopped' && types(resource.type).stop && (await take(name, resource, world, 'stop')) !== 'kept')
        journal.append({ event: 'resource', name, resource: { ...resource, state: 'stopped' } });
      continue;
    }
    const end = await take(name, resource, world);
    if (end === 'kept') {
      whole = false;
      continue;
    }
    journal.append({ event: 'resource', name, resource: { ...resource, state: 'destroyed' } });
    if (end === 'done') report.done(name, `${describe(resource)} ${resource.type === 'port' ? 'given back' : 'destroyed'}`);
  }
  return whole;
}

/** @returns `nothing` when it was never made; `kept` when it could not be done, which was said */
async function take(
  name: string,
  { type, made }: ResourceRecord,
  world: DestroyWorld,
  how: 'stop' | 'destroy' = 'destroy',
): Promise<'done' | 'nothing' | 'kept'> {
  const { report, isTracked = () => false, types = resourceType } = world;
  if (isTracked(made.path ?? '')) return 'nothing';
  try {
    return (await types(type)[how]?.(made, effectsOf(world))) ?? 'done';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report.fail(name, error.message);
    if (error.output !== '') report.text(error.output);
    return 'kept';
  }
}

function effectsOf({ journal, worktreePath, folder, claims, signal }: DestroyWorld): DestroyEffects {
  const { record } = journal;
  const facts = { ...record, slot: record.slot ?? 0, main: null };
  return {
    worktreePath,
    worktreeId: record.id,
    stateFolder: stateFolder(folder),
    signal,
    environment: () => commandEnvironment(facts, {}),
    holds: (claim) => claims.holds(claim),
    release: (claim) => giveBack([claim], journal, claims),
  };
}

/** Whether a person who gives up what is called this means a resource: its own name, or what it is called when it goes. */
export function isCalled({ type, made, state }: ResourceRecord, name: string, types: TypeLookup = resourceType): boolean {
  return state !== 'destroyed' && [types(type).nameOf?.(made), made.shown].includes(name);
}

/**
 * Gives up what is called this and is out of reach for good. What was left at a server that is gone may be called as what was made
 * instead: then it is the one that is meant.
 * @throws {Failure} when it is within reach
 */
export async function forgetResources(world: DestroyWorld, name: string): Promise<void> {
  const { journal, report, types = resourceType } = world;
  const forget = async (resource: ResourceRecord) =>
    (await types(resource.type).forget?.(resource.made, effectsOf(world))) ??
    'It was not touched: if it is still there, remove it by hand.';
  const lines = new Set<string>();
  const lost = journal.record.left.filter((resource) => isCalled(resource, name, types));
  for (const left of lost) {
    lines.add(await forget(left));
    journal.append({ event: 'left', left: journal.record.left.filter((other) => other !== left) });
  }
  for (const [key, resource] of Object.entries(journal.record.resources)) {
    if (lost.length > 0 || !isCalled(resource, name, types)) continue;
    lines.add(await forget(resource));
    journal.append({ event: 'resource', name: key, resource: { ...resource, state: 'destroyed' } });
  }
  report.done(name, 'forgotten');
  for (const line of lines) report.text(line);
}

/** What a resource is called when it goes. */
export function describe({ made }: ResourceRecord): string {
  return made.shown ?? made.port ?? made.path ?? Object.values(made).join(' ');
}

/** Takes our block out of the worktree's env files; everything else stays. */
export function withdrawFiles(journal: Journal, worktreePath: string, report: Reporter): void {
  for (const [file, { action, state }] of Object.entries(journal.record.files)) {
    if ((action === 'merge' || action === 'env') && (state === 'written' || state === 'unchanged') && withdrawFile(worktreePath, file))
      report.done(file, 'our block taken out');
  }
}

/** Gives back a worktree's ports; its slot and slug stay until it is removed. */
export function releasePorts(journal: Journal, claims: WorktreeClaims): void {
  giveBack(
    journal.record.claims.filter((name) => name.startsWith('port-')),
    journal,
    claims,
  );
}

/** Gives back everything that a worktree has claimed. */
export function releaseAll(journal: Journal, claims: WorktreeClaims): void {
  giveBack(journal.record.claims, journal, claims);
}

/** Gives back slot, ports and slug: what is named after them and still there keeps its own claim. */
export function releasePlace(journal: Journal, claims: WorktreeClaims): void {
  giveBack(
    journal.record.claims.filter((name) => /^(port|slot|slug)-/.test(name)),
    journal,
    claims,
  );
}
