import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { recordOf } from '../commands/target.ts';
import { git, gitOutput, withoutLocalGitVars } from '../git/git.ts';
import type { Place } from '../git/worktrees.ts';
import { Failure } from '../outcome.ts';
import { type Finding, fine, problem } from './finding.ts';
import { installAgain } from './install-again.ts';

/** The launcher writes a line into the file that this names, instead of setting up. */
const PROBE = 'COPPICE_PROBE';

/**
 * Whether the hook really fires: a scratch worktree is added with plain git, from the main worktree and from a linked one, and
 * removed again. It holds what lies at the root of HEAD and the folders that begin with a dot, where hook managers keep their
 * files, so it is small in a large repository.
 * @param explained whether it was said already what keeps it from firing, and what mends that
 */
export async function examineFiring(place: Place, explained: boolean): Promise<Finding[]> {
  const { main, commonDir, linked } = place.repository;
  const { mend, fix } = installAgain(place);
  const from = [
    { name: main === null ? 'the bare repository' : 'the main worktree', path: main ?? commonDir },
    ...linked
      // git runs that worktree's own hooks: only of one that was trusted once.
      .filter((worktree) => !worktree.prunable && recordOf(commonDir, worktree) !== null)
      .slice(0, 1)
      .map((worktree) => ({ name: worktree.branch ?? worktree.path, path: worktree.path })),
  ];
  const commit = await scratchCommit(main ?? commonDir);
  if (commit === null) return [problem('hook', 'there is no commit yet, so no worktree can be added', 'git commit')];
  const findings: Finding[] = [];
  const fires: string[] = [];
  for (const { name, path: cwd } of from) {
    const { times, said } = await addScratch(cwd, commit);
    if (times > 0) fires.push(name);
    else {
      const text = `it does not fire for a worktree added from ${name}${said === '' ? '' : `: ${said}`}`;
      findings.push(explained ? problem('hook', text) : problem('hook', text, mend, fix));
    }
  }
  if (fires.length > 0) findings.unshift(fine('hook', `fires for a worktree added from ${fires.join(' and from ')}`));
  return findings;
}

/** A commit that no branch has. @returns null when there is none to make it from */
async function scratchCommit(cwd: string): Promise<string | null> {
  const list = await git(cwd, ['ls-tree', '-z', 'HEAD']);
  if (list.code !== 0) return null;
  const kept = list.stdout.split('\0').filter((entry) => /^\d+ blob /.test(entry) || /^\d+ tree \S+\t\./.test(entry));
  const tree = await git(cwd, ['mktree', '-z'], { input: kept.map((entry) => `${entry}\0`).join('') });
  if (tree.code !== 0) throw new Failure(`git mktree failed: ${tree.stderr.trim()}`);
  const who = ['-c', 'user.name=coppice', '-c', 'user.email=coppice@localhost', '-c', 'commit.gpgSign=false'];
  return (await gitOutput(cwd, [...who, 'commit-tree', tree.stdout.trim(), '-m', 'coppice doctor'])).trim();
}

/** @returns how often the hook reached the launcher, and the last line that was said */
async function addScratch(cwd: string, commit: string): Promise<{ times: number; said: string }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-doctor-'));
  const probe = path.join(folder, 'probe');
  const worktree = path.join(folder, 'coppice-doctor');
  try {
    const said = await new Promise<string>((resolve) => {
      const env = { ...withoutLocalGitVars(process.env), COPPICE: '1', [PROBE]: probe };
      execFile('git', ['worktree', 'add', '--detach', worktree, commit], { cwd, env, timeout: 120_000 }, (error, _stdout, stderr) =>
        resolve(error === null ? '' : (stderr.trim().split('\n').at(-1) ?? '')),
      );
    });
    return { times: fs.existsSync(probe) ? fs.readFileSync(probe, 'utf8').split('\n').length - 1 : 0, said };
  } finally {
    await git(cwd, ['-c', 'core.hooksPath=/dev/null', 'worktree', 'remove', '--force', worktree]);
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
