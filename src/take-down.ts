import fs from 'node:fs';
import path from 'node:path';
import { tail } from './apply.ts';
import { withdrawFile } from './files/place.ts';
import type { WorktreeClaims } from './ledger/claims.ts';
import type { Journal } from './ledger/journal.ts';
import { resourceType } from './plan.ts';
import type { Reporter } from './report/reporter.ts';
import type { ResourceType } from './resources/resource.ts';
import { giveBack } from './slot.ts';
import { type CommandFacts, commandEnvironment } from './steps/environment.ts';
import { endLeftover } from './steps/process-group.ts';
import { runCommand } from './steps/run-command.ts';

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
    const result = await runCommand({
      run,
      cwd: path.join(facts.path, cwd),
      env: commandEnvironment(facts, variables, env),
      timeoutMs,
      log,
      signal,
      started: () => {},
    });
    if (result.ok) report.done(name, run, Date.now() - start);
    else {
      ok = false;
      report.fail(name, `${result.why}  (${run})`);
      report.text(tail(log) || '    (it printed nothing)');
    }
  }
  return ok;
}

/**
 * Destroys what the journal says was made, the newest first.
 * @param worktreePath null when the worktree is gone
 * @param isTracked whether git tracks a path by now: that is left
 */
export async function destroyResources(
  journal: Journal,
  worktreePath: string | null,
  report: Reporter | null,
  isTracked: (name: string) => boolean = () => false,
  types: TypeLookup = resourceType,
): Promise<void> {
  for (const [name, resource] of Object.entries(journal.record.resources).reverse()) {
    if (resource.state === 'destroyed') continue;
    if (!isTracked(resource.made.path ?? '')) await types(resource.type).destroy(resource.made, { worktreePath });
    journal.append({ event: 'resource', name, resource: { ...resource, state: 'destroyed' } });
    report?.done(
      name,
      resource.type === 'port'
        ? `${resource.made.port ?? ''} given back`
        : `${resource.made.path ?? Object.values(resource.made).join(' ')} destroyed`,
    );
  }
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
