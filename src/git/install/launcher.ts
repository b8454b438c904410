import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { readIfThere } from '../../ledger/document.ts';
import { VERSION } from '../../version.ts';

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
  const files = fs.readdirSync(distribution).sort();
  const hash = createHash('sha256');
  for (const name of files) hash.update(`${name}\0`).update(fs.readFileSync(path.join(distribution, name)));
  const runner = `runner/${VERSION}-${hash.digest('hex').slice(0, 12)}`;
  const text = launcherText(node, runner);
  if (readIfThere(launcher) === text && fs.existsSync(path.join(folder, runner))) return null;
  copyRunner(distribution, path.join(folder, runner), files);
  const temporary = `${launcher}.${process.pid}.tmp`;
  fs.writeFileSync(temporary, text);
  fs.chmodSync(temporary, 0o755);
  fs.renameSync(temporary, launcher);
  removeOldRunners(path.join(folder, 'runner'), path.basename(runner));
  return launcher;
}

/** Takes the launcher and the runner away. @returns whether they were there */
export function removeLauncher(commonDir: string): boolean {
  const folder = path.join(commonDir, 'coppice');
  const there = fs.existsSync(path.join(folder, 'launch'));
  fs.rmSync(path.join(folder, 'launch'), { force: true });
  fs.rmSync(path.join(folder, 'runner'), { recursive: true, force: true });
  return there;
}

function copyRunner(distribution: string, target: string, files: string[]): void {
  if (fs.existsSync(target)) return;
  const temporary = `${target}.${process.pid}.tmp`;
  fs.mkdirSync(temporary, { recursive: true, mode: 0o755 });
  for (const name of files) {
    fs.copyFileSync(path.join(distribution, name), path.join(temporary, name));
    fs.chmodSync(path.join(temporary, name), 0o644);
  }
  try {
    fs.renameSync(temporary, target);
  } catch {
    // Another install was faster with the same content.
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}

/** One older runner stays: a set-up that runs now may still load a part of it. */
function removeOldRunners(folder: string, current: string): void {
  const others = fs.readdirSync(folder).filter((name) => name !== current && !name.endsWith('.tmp'));
  const byAge = others.sort((a, b) => fs.statSync(path.join(folder, b)).mtimeMs - fs.statSync(path.join(folder, a)).mtimeMs);
  for (const name of byAge.slice(1)) fs.rmSync(path.join(folder, name), { recursive: true, force: true });
}

function isNewer(one: string, other: string): boolean {
  const parts = (version: string) => version.split(/[.-]/).map(Number);
  const [a, b] = [parts(one), parts(other)];
  for (const index of [0, 1, 2]) if ((a[index] ?? 0) !== (b[index] ?? 0)) return (a[index] ?? 0) > (b[index] ?? 0);
  return false;
}

function launcherText(node: string, runner: string): string {
  return `#!/bin/sh
# coppice ${VERSION}
# Written by \`coppice install\`. Starts the runner beside it: \`launch hook <hook> <admin directory>\` from the post-checkout
# hook, \`launch git <arguments>\` from the alias.
here=\${0%/*}
case $here in /*) ;; *) here=$PWD/$here ;; esac
door=$1
shift
if [ "$door" = hook ]; then
  # \`coppice doctor\` asks whether the hook fires.
  if [ -n "\${COPPICE_PROBE-}" ]; then
    echo fired >>"$COPPICE_PROBE"
    exit 0
  fi
  # A worktree of a husky repository has no .husky/_ until it is copied, and hooks called from it would not fire.
  if [ -d .husky ] && [ ! -L .husky ] && [ ! -e .husky/_ ] && [ ! -L .husky/_ ] && [ -f "\${1%/*}/_/h" ]; then
    /bin/cp -R "\${1%/*}/_" .husky/_ || :
  fi
  # Set up before: this is not the checkout of \`git worktree add\`.
  [ ! -e "$2/coppice" ] || exit 0
  for config in worktree.config.yaml worktree.config.yml worktree.config.json; do
    if [ -e "$config" ] || [ -L "$config" ]; then set -- hook; fi
  done
  [ $# = 1 ] || exit 0
elif [ -n "\${GIT_PREFIX-}" ]; then
  cd -- "$GIT_PREFIX" || exit 1
fi
node=${shellQuote(node)}
if [ ! -x "$node" ]; then
  node=
  IFS=:
  # Only absolute entries: husky puts the new worktree's node_modules/.bin first, which is the branch's.
  for folder in $PATH:/usr/local/bin:/opt/homebrew/bin:/usr/bin:$HOME/.volta/bin:$HOME/.local/share/mise/shims:$HOME/.asdf/shims; do
    case $folder in /*) if [ -x "$folder/node" ]; then node=$folder/node; break; fi ;; esac
  done
  unset IFS
fi
if [ -z "$node" ]; then
  for candidate in "$HOME"/.nvm/versions/node/*/bin/node; do [ -x "$candidate" ] && node=$candidate; done
fi
if [ -z "$node" ]; then
  echo 'coppice: Node.js is not where it was (${node.replaceAll("'", '')}). Run \`npx coppice install\` in the main worktree, then \`git coppice up\` here.' >&2
  [ "$door" = hook ]
  exit
fi
if [ ! -f "$here/${runner}/cli.cjs" ]; then
  echo 'coppice: its runner is gone from the git directory. Run \`npx coppice install\` in the main worktree, then \`git coppice up\` here.' >&2
  [ "$door" = hook ]
  exit
fi
exec "$node" "$here/${runner}/cli.cjs" "$@"
`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
