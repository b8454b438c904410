import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { git, withoutLocalGitVars } from '../git/git.ts';
import { hasAlias } from '../git/install/alias.ts';
import type { Place } from '../git/worktrees.ts';
import { VERSION } from '../version.ts';
import { type Finding, fine, note, problem } from './finding.ts';
import { installAgain } from './install-again.ts';

/** The oldest git that has what is used: `rev-parse --path-format`. */
const OLDEST_GIT = [2, 31];

/** Node, git, the launcher and the alias. */
export async function examineInstallation(place: Place): Promise<Finding[]> {
  const { repository } = place;
  const { mend, fix } = installAgain(place);
  const [version, launcher, alias] = await Promise.all([
    gitVersion(repository.commonDir),
    examineLauncher(place),
    hasAlias(repository.commonDir),
  ]);
  return [
    fine('node', process.version),
    version,
    launcher,
    alias ? fine('alias', 'git coppice') : problem('alias', '`git coppice` is not there', mend, fix),
  ];
}

async function gitVersion(cwd: string): Promise<Finding> {
  const said = (await git(cwd, ['--version'])).stdout.trim();
  const [, major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(said) ?? []).map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_GIT;
  const old = major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
  return old
    ? problem('git', `${said} is too old`, `install git ${OLDEST_GIT.join('.')} or later`)
    : fine('git', said.replace(/^git version /, ''));
}

/** Starts the launcher as a hook from a desktop program would be: with hardly a PATH. */
async function examineLauncher(place: Place): Promise<Finding> {
  const { commonDir } = place.repository;
  const { mend, fix } = installAgain(place);
  const launcher = path.join(commonDir, 'coppice', 'launch');
  if (!fs.existsSync(launcher)) return problem('launcher', 'coppice is not installed in this clone', mend, fix);
  const env = { ...withoutLocalGitVars(process.env), PATH: '/usr/bin:/bin' };
  const said = await new Promise<{ ok: boolean; text: string }>((resolve) => {
    execFile(launcher, ['git', '--version'], { env, cwd: commonDir, timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, text: (error ? stderr || error.message : stdout).trim() }),
    );
  });
  if (!said.ok) return problem('launcher', said.text, mend, fix);
  if (said.text !== VERSION) return note('launcher', `${said.text} is installed in this clone; this is ${VERSION}`, mend);
  return fine('launcher', said.text);
}
