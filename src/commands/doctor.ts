import { configsIn } from '../config/find.ts';
import { examineAgents } from '../doctor/agents.ts';
import { examineConfiguration } from '../doctor/configuration.ts';
import { type Finding, note, problem } from '../doctor/finding.ts';
import { examineFiring } from '../doctor/firing.ts';
import { examineHooks } from '../doctor/hooks.ts';
import { examineInstallation } from '../doctor/installation.ts';
import { examineLeftOver } from '../doctor/left-over.ts';
import { findListeners } from '../doctor/listeners.ts';
import { examinePorts } from '../doctor/ports.ts';
import { examineServers } from '../doctor/servers.ts';
import { examineWorktrees } from '../doctor/worktrees.ts';
import { findPlace, type Place } from '../git/worktrees.ts';
import { Failure } from '../outcome.ts';
import { printJson } from '../report/print.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { approvedClosure } from '../trusted.ts';
import { recordOf } from './target.ts';

/** `coppice doctor`: what is wrong on this machine, each with what mends it. Exit code 1 when something does not work. */
export async function doctor(options: { json?: boolean; fix?: boolean }): Promise<number> {
  const report = await openReporter(process.stdout);
  const place = await findPlace(process.cwd());
  let findings = await examine(place);
  const mendable = findings.filter(({ fix }) => fix !== undefined);
  if (options.fix && mendable.length > 0) {
    // One command can mend several.
    const commands = new Map(mendable.map(({ mend = '', fix }) => [mend, fix]));
    for (const [mend, fix] of commands) {
      if (!options.json) report.text(`mending: ${mend}`);
      await fix?.();
    }
    findings = await examine(await findPlace(process.cwd()));
  }
  const ok = !findings.some(({ level }) => level === 'problem');
  if (options.json) {
    const results = findings.map(({ about, level, text, mend = null }) => ({ about, level, text, mend }));
    printJson({ version: 1, ok, results });
  } else print(findings, report);
  return ok ? 0 : 1;
}

async function examine(place: Place): Promise<Finding[]> {
  const { repository } = place;
  const installation = await examineInstallation(place);
  const installed = installation.every(({ about, level }) => about !== 'launcher' || level === 'fine');
  // Without the launcher no hook can fire, which is said already.
  const hooks = installed ? await examineHooks(place) : [];
  return [
    ...installation,
    ...hooks,
    ...(installed ? await examineFiring(place, hooks.length > 0) : []),
    ...(await examineConfig(place)),
    ...(await examineWorktrees(place)),
    ...(repository.main === null ? [] : examineAgents(repository.main)),
    ...examineLeftOver(repository),
  ];
}

/** What the config of the worktree around asks of this machine; in the main worktree it is that one's. */
async function examineConfig(place: Place): Promise<Finding[]> {
  const { repository, worktree } = place;
  const root = worktree?.path ?? repository.main;
  if (root === null) return [note('config', 'this bare repository has no worktree yet that plays the main part', 'git worktree add')];
  if (configsIn(root).length === 0) return [note('config', `there is no worktree.config.yaml in ${root}`, 'npx coppice init')];
  try {
    const closure = await approvedClosure(place, worktree ?? { path: root, branch: null, adminDir: null, id: null });
    if (closure === null) return [];
    const { config } = closure;
    const living = repository.linked.flatMap((linked) => {
      const record = recordOf(repository.commonDir, linked);
      return record === null ? [] : [{ path: linked.path, record }];
    });
    return [
      ...(await examineConfiguration(repository.main ?? root, config)),
      ...(await examineServers(closure, place, root)),
      ...examinePorts(config, living, await findListeners()),
    ];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.exitCode === 3)
      return [
        problem(
          'trust',
          'what is checked out here was not approved on this machine, so worktrees that ask for it wait',
          'git coppice trust',
        ),
      ];
    return [problem('config', error.message, 'npx coppice check')];
  }
}

function print(findings: readonly Finding[], report: Reporter): void {
  report.expect(findings.map(({ about }) => about));
  for (const { about, level, text, mend } of findings) {
    if (level === 'fine') report.done(about, text);
    else if (level === 'problem') {
      // Of a config, each problem with its line.
      const [first = '', ...more] = text.split('\n');
      report.fail(about, first);
      if (more.length > 0) report.text(more.join('\n'));
    } else report.warn(`${about}: ${text}`);
    if (mend !== undefined) report.text(`    → ${mend}`);
  }
  const problems = findings.filter(({ level }) => level === 'problem').length;
  report.text(problems === 0 ? 'all is well' : `${problems} problem${problems > 1 ? 's' : ''}`);
}
