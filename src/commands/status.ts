import { execFile } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { mergedBranches } from '../git/merged.ts';
import { findPlace, type Repository, type Worktree } from '../git/worktrees.ts';
import { readJournal } from '../ledger/journal.ts';
import { currentOwner } from '../ledger/owner.ts';
import type { WorktreeRecord } from '../ledger/record.ts';
import { readRepositoryId, worktreeFolder } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { print, printJson } from '../report/print.ts';
import { colorsFor } from '../report/reporter.ts';
import { visible } from '../report/visible.ts';
import { duration } from '../steps/run-command.ts';
import { whyUntrusted } from '../trusted.ts';
import { findVanished } from '../vanished.ts';

/** What `status` says of one worktree; the form of `status --json`. */
export interface WorktreeStatus {
  id: string | null;
  slug: string | null;
  slot: number | null;
  branch: string | null;
  path: string;
  state: 'none' | 'untrusted' | 'running' | 'ready' | 'failed' | 'down' | 'removed';
  url: string | null;
  resources: { name: string; type: string; state: string }[];
  files: { path: string; action: string; state: string }[];
  steps: { name: string; state: string; ms: number | null }[];
  warnings: string[];
  ms: number | null;
}

/** `coppice status`: every linked worktree of the repository, and those that are gone but still hold something. */
export async function status(options: { json?: boolean; watch?: boolean }): Promise<number> {
  const { repository } = await findPlace(process.cwd());
  if (options.json) {
    printJson({ version: 1, worktrees: await readStatus(repository) });
    return 0;
  }
  if (!options.watch) {
    print(await table(repository));
    return 0;
  }
  for (;;) {
    const text = await table((await findPlace(process.cwd())).repository);
    print(process.stdout.isTTY ? `\u001b[2J\u001b[H${text}` : `${text}\n`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** The state of every worktree but the main one. */
async function readStatus(repository: Repository): Promise<WorktreeStatus[]> {
  const id = readRepositoryId(repository.commonDir);
  const state = openStateDir();
  const living = repository.linked.map((worktree) => {
    const folder = id === null || worktree.id === null ? null : worktreeFolder(state, id, worktree.id);
    const record = folder === null ? null : readJournal(folder);
    return describe(worktree, record, folder === null || record === null ? null : currentOwner(folder));
  });
  const vanished = id === null ? [] : findVanished({ state, commonDir: repository.commonDir, repository: id });
  // Its slot and address may be another worktree's by now.
  const gone = vanished.map(({ record }): WorktreeStatus => ({ ...fromRecord(record), state: 'removed', slot: null, url: null }));
  const all = [...living, ...gone];
  await Promise.all(
    repository.linked.map(async (worktree) => {
      const known = all.find(({ path, state }) => path === worktree.path && state === 'none');
      const untrusted = known ? await whyUntrusted(repository, worktree, true) : null;
      if (known && untrusted !== null) Object.assign(known, { state: 'untrusted', warnings: [untrusted] });
    }),
  );
  return all.sort((one, other) => (one.slot ?? Number.POSITIVE_INFINITY) - (other.slot ?? Number.POSITIVE_INFINITY));
}

function describe(worktree: Worktree, record: WorktreeRecord | null, owner: { verb: string } | null): WorktreeStatus {
  const { path, branch } = worktree;
  if (record === null)
    return {
      id: worktree.id,
      slug: null,
      slot: null,
      branch,
      path,
      state: 'none',
      url: null,
      resources: [],
      files: [],
      steps: [],
      warnings: [],
      ms: null,
    };
  const known = fromRecord(record);
  const gone = worktree.prunable
    ? ['its folder is not there: `git worktree repair <new path>` if it was moved, `git worktree prune` if it is gone']
    : [];
  return { ...known, warnings: [...gone, ...known.warnings], branch, path, state: owner?.verb.startsWith('up') ? 'running' : known.state };
}

function fromRecord(record: WorktreeRecord): WorktreeStatus {
  return {
    id: record.id,
    slug: record.slug,
    slot: record.slot,
    branch: record.branch,
    path: record.path,
    // A set-up that was killed never wrote its end; whether one runs is told by the owner.
    state: record.state === 'running' ? 'failed' : record.state,
    url: record.state === 'down' ? null : record.url,
    resources: [
      ...Object.entries(record.resources).map(([name, { type, state }]) => ({ name, type, state })),
      // What the name meant before, and is still there.
      ...record.left.map(({ name, type }) => ({ name, type, state: 'left' })),
    ],
    files: Object.entries(record.files).map(([path, { action, state }]) => ({ path, action, state })),
    steps: Object.entries(record.steps).map(([name, { state, ms }]) => ({ name, state, ms })),
    warnings: [...record.warnings, ...failedSteps(record)],
    ms: record.ms,
  };
}

/** A step of a worktree that is ready ran in the background: nobody saw it fail. */
export function failedSteps({ state, steps }: WorktreeRecord): string[] {
  const failed = Object.entries(steps).filter(([, step]) => step.state === 'failed');
  return state === 'ready' ? failed.map(([name]) => `the step ${name} failed: \`git coppice logs ${name}\``) : [];
}

async function table(repository: Repository): Promise<string> {
  const all = await readStatus(repository);
  if (all.length === 0) return 'No linked worktree. Add one: git worktree add ../feature -b feature\n';
  const merged = await mergedBranches(repository);
  const rows = await Promise.all(
    all.map(async (worktree) => {
      const ports = Object.values(portsOf(repository, worktree));
      const running = (await Promise.all(ports.map(async (port) => ((await listens(port)) ? [port] : [])))).flat();
      const databases = worktree.resources
        .filter(({ type, state }) => type !== 'port' && state !== 'destroyed')
        .map(({ name, state }) => (state === 'left' ? `${name} (earlier)` : name));
      return [
        worktree.branch ?? worktree.slug ?? '(detached)',
        worktree.state,
        worktree.slot === null ? '' : String(worktree.slot),
        worktree.url ?? '',
        databases.join(' '),
        running.length > 0 ? `:${running.join(' :')}` : '',
        worktree.ms === null ? '' : duration(worktree.ms),
        worktree.state === 'removed' ? '' : await diskUse(worktree.path),
        worktree.state === 'removed' ? '' : lastActivity(repository, worktree),
        worktree.branch !== null && merged.has(worktree.branch) ? 'merged' : '',
      ].map(visible);
    }),
  );
  const headings = ['BRANCH', 'STATE', 'SLOT', 'URL', 'RESOURCES', 'LISTENS', 'TOOK', 'DISK', 'ACTIVE', ''];
  const used = headings.map((_, column) => rows.some((row) => row[column] !== ''));
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: string[]) =>
    cells
      .flatMap((cell, column) => (used[column] ? [cell.padEnd(widths[column] ?? 0)] : []))
      .join('  ')
      .trimEnd();
  const color = await colorsFor(process.stdout.isTTY === true && !process.env.NO_COLOR);
  const warnings = all.flatMap((worktree) =>
    worktree.warnings.map((warning) => `! ${visible(worktree.branch ?? worktree.path)}: ${visible(warning)}`),
  );
  return `${[color.dim(line(headings)), ...rows.map(line), ...warnings].join('\n')}\n`;
}

function portsOf(repository: Repository, worktree: WorktreeStatus): Record<string, number> {
  const id = readRepositoryId(repository.commonDir);
  if (id === null || worktree.id === null || worktree.state === 'removed') return {};
  return readJournal(worktreeFolder(openStateDir(), id, worktree.id))?.ports ?? {};
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: 'localhost' });
    const answer = (listening: boolean) => {
      socket.destroy();
      resolve(listening);
    };
    socket.setTimeout(300, () => answer(false));
    socket.on('connect', () => answer(true));
    socket.on('error', () => answer(false));
  });
}

function diskUse(folder: string): Promise<string> {
  return new Promise((resolve) => {
    execFile('du', ['-sk', folder], { timeout: 3000 }, (error, stdout) => {
      const kilobytes = Number.parseInt(stdout, 10);
      if (error || Number.isNaN(kilobytes)) return resolve('');
      resolve(
        kilobytes < 1024
          ? `${kilobytes}K`
          : kilobytes < 1024 * 1024
            ? `${Math.round(kilobytes / 1024)}M`
            : `${(kilobytes / 1024 / 1024).toFixed(1)}G`,
      );
    });
  });
}

/** When git last wrote the worktree's index or HEAD log: a checkout, add or commit. */
function lastActivity({ linked }: Repository, { id }: WorktreeStatus): string {
  const adminDir = linked.find((worktree) => worktree.id === id)?.adminDir;
  if (!adminDir) return '';
  const times = ['index', 'logs/HEAD', 'HEAD'].flatMap(
    (name) => fs.statSync(path.join(adminDir, name), { throwIfNoEntry: false })?.mtimeMs ?? [],
  );
  const minutes = Math.floor((Date.now() - Math.max(...times)) / 60_000);
  if (minutes < 1) return 'just now';
  return minutes < 60 ? `${minutes}m ago` : minutes < 48 * 60 ? `${Math.floor(minutes / 60)}h ago` : `${Math.floor(minutes / 1440)}d ago`;
}
