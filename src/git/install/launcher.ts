import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { listFolder, readIfThere, statIfThere, temporaryName } from '../../ledger/document.ts';
import { VERSION } from '../../version.ts';
import { HOOK_MARK, launcherText } from './launcher-text.ts';

const HOUR_MS = 3_600_000;
/** What V8 made of the code while a runner ran (src/cli.ts): of use to every copy of it. */
const COMPILED = '.cache';
/** What a runner keeps beside itself, and is no part of the package: that, and the last config (src/config/find.ts). */
const KEPT_BY_RUNNER = /(\.cache|\.tmp|^config\.json)$/;

/**
 * The launcher and a copy of the runner in the common git directory: the hook and the alias start it from any worktree,
 * without PATH, without node_modules, and after the worktree that it was installed from is gone.
 * @param distribution the folder of the built package
 * @param node the absolute path of Node's program
 * @returns what was written; null when all was there. A newer version is left alone.
 */
export function installLauncher(commonDir: string, distribution: string, node: string): string | null {
  const folder = path.join(commonDir, 'coppice');
  const launcher = path.join(folder, 'launch');
  const installed = /^# coppice (\S+)$/m.exec(readIfThere(launcher) ?? '')?.[1];
  if (installed !== undefined && isNewer(installed, VERSION)) return null;
  const names = fs.readdirSync(distribution).sort();
  const files = names.filter((name) => !KEPT_BY_RUNNER.test(name));
  const hash = createHash('sha256');
  for (const name of files) hash.update(`${name}\0`).update(fs.readFileSync(path.join(distribution, name)));
  const runner = `runner/${VERSION}-${hash.digest('hex').slice(0, 12)}`;
  const text = launcherText({ node, runner });
  if (readIfThere(launcher) === text && fs.existsSync(path.join(folder, runner))) return null;
  copyRunner(distribution, path.join(folder, runner), [...files, ...names.filter((name) => name.endsWith(COMPILED))]);
  const temporary = temporaryName(launcher);
  fs.writeFileSync(temporary, text);
  fs.chmodSync(temporary, 0o755);
  fs.renameSync(temporary, launcher);
  removeOldRunners(path.join(folder, 'runner'), path.basename(runner));
  return launcher;
}

/** Whether there is a launcher, of any version. */
export function isInstalled(commonDir: string): boolean {
  return fs.existsSync(path.join(commonDir, 'coppice', 'launch'));
}

/** Takes the launcher and the runner away, and the marks that it left in worktrees. @returns whether they were there */
export function removeLauncher(commonDir: string): boolean {
  const folder = path.join(commonDir, 'coppice');
  const there = isInstalled(commonDir);
  fs.rmSync(path.join(folder, 'launch'), { force: true });
  fs.rmSync(path.join(folder, 'runner'), { recursive: true, force: true });
  for (const name of listFolder(path.join(commonDir, 'worktrees')))
    fs.rmSync(path.join(commonDir, 'worktrees', name, HOOK_MARK), { force: true });
  return there;
}

function copyRunner(distribution: string, target: string, files: string[]): void {
  if (fs.existsSync(target)) return;
  const temporary = temporaryName(target);
  try {
    fs.mkdirSync(temporary, { recursive: true, mode: 0o755 });
    for (const name of files) {
      fs.copyFileSync(path.join(distribution, name), path.join(temporary, name));
      fs.chmodSync(path.join(temporary, name), 0o644);
    }
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { recursive: true, force: true });
    // Another install was faster with the same content.
    if (!fs.existsSync(target)) throw error;
  }
}

/** One older runner stays: a set-up that runs now may still load a part of it. What an install that was killed has left goes. */
function removeOldRunners(folder: string, current: string): void {
  const names = fs.readdirSync(folder).filter((name) => name !== current);
  const others = names.filter((name) => !name.endsWith('.tmp'));
  const madeAt = (name: string) => statIfThere(path.join(folder, name))?.mtimeMs ?? 0;
  // A runner that is about to end may write into its folder meanwhile.
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 20 };
  const killed = names.filter((name) => name.endsWith('.tmp') && madeAt(name) < Date.now() - HOUR_MS);
  for (const name of [...others.sort((a, b) => madeAt(b) - madeAt(a)).slice(1), ...killed]) fs.rmSync(path.join(folder, name), options);
}

function isNewer(one: string, other: string): boolean {
  const parts = (version: string) => version.split(/[.-]/).map(Number);
  const [a, b] = [parts(one), parts(other)];
  for (const index of [0, 1, 2]) if ((a[index] ?? 0) !== (b[index] ?? 0)) return (a[index] ?? 0) > (b[index] ?? 0);
  return false;
}
