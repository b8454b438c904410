import { shellQuote } from '../../report/shell-quote.ts';
import { VERSION } from '../../version.ts';

/** The file in a worktree's admin directory by which one hook takes the worktree. */
export const HOOK_MARK = 'coppice-hook';

/** The versions that package.json's `engines` names: what the runner can be started with. */
const NODE_IS_NEW_ENOUGH =
  'const [a, b] = process.versions.node.split(".").map(Number); if (a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19))';

/** Where Node's installers put it; where there is a choice, each is asked for its version. Shims, which may choose by the folder, are last. */
const PLACES = [
  '/usr/local/bin/node',
  '/opt/homebrew/bin/node',
  '/home/linuxbrew/.linuxbrew/bin/node',
  '/usr/bin/node',
  '/snap/bin/node',
  `"\${NVM_DIR:-$HOME/.nvm}"/versions/node/*/bin/node`,
  '"$HOME"/.local/share/fnm/node-versions/*/installation/bin/node',
  '"$HOME"/.fnm/node-versions/*/installation/bin/node',
  '"$HOME/Library/Application Support"/fnm/node-versions/*/installation/bin/node',
  `"\${VOLTA_HOME:-$HOME/.volta}"/tools/image/node/*/bin/node`,
  '"$HOME"/.local/share/mise/installs/node/*/bin/node',
  `"\${ASDF_DATA_DIR:-$HOME/.asdf}"/installs/nodejs/*/bin/node`,
  '"$HOME"/.nodenv/versions/*/bin/node',
  `"\${N_PREFIX:-/usr/local}"/n/versions/node/*/bin/node`,
  '"$HOME"/.local/share/pnpm/nodejs/*/bin/node',
  '"$HOME"/Library/pnpm/nodejs/*/bin/node',
  '/opt/homebrew/opt/node@*/bin/node',
  '/usr/local/opt/node@*/bin/node',
  '"$HOME"/.nix-profile/bin/node',
  '/run/current-system/sw/bin/node',
  '"$HOME"/.local/bin/node',
  '"$HOME"/.local/share/mise/shims/node',
];

/**
 * The launcher, a script of POSIX sh.
 * @param parts.node the absolute path of Node's program
 * @param parts.runner the runner's folder, relative to the launcher's
 */
export function launcherText({ node, runner }: { node: string; runner: string }): string {
  return `#!/bin/sh
# coppice ${VERSION}
# Written by \`coppice install\`. Starts the runner beside it: \`launch hook <hook> <admin directory>\` from the block in the
# post-checkout hook, \`launch checkout <old> <new> <flag>\` from a hook that passes on git's arguments, \`launch git <arguments>\`
# from the alias.
here=\${0%/*}
case $here in /*) ;; *) here=$PWD/$here ;; esac
door=$1
shift
if [ "$door" = checkout ]; then
  case \${1-x} in *[!0]*) exit 0 ;; esac
  [ "\${3-}" = 1 ] && [ "\${COPPICE-}" != 0 ] && [ -f .git ] || exit 0
  IFS= read -r admin <.git || :
  admin=\${admin#gitdir: }
  [ -f "$admin/commondir" ] || exit 0
  set -- / "$admin"
  door=hook
fi
if [ "$door" = hook ]; then
  admin=$2
  # Set up before: this is not the checkout of \`git worktree add\`.
  [ ! -e "$admin/coppice" ] || exit 0
  # \`coppice doctor\` asks whether the hook fires.
  if [ -n "\${COPPICE_PROBE-}" ]; then
    echo fired >>"$COPPICE_PROBE"
    exit 0
  fi
  for config in worktree.config.yaml worktree.config.yml worktree.config.json; do
    if [ -e "$config" ] || [ -L "$config" ]; then set -- hook; fi
  done
  [ $# = 1 ] || exit 0
  # git 2.54 calls the hook that its config names and the hook's file: the first takes the worktree.
  set -C
  if ! { true >"$admin/${HOOK_MARK}"; } 2>/dev/null && [ -e "$admin/${HOOK_MARK}" ]; then exit 0; fi
  set +C
elif [ -n "\${GIT_PREFIX-}" ]; then
  cd -- "$GIT_PREFIX" || exit 1
fi
# What the user does when one is gone; a worktree that was added stays added.
gone() {
  echo "coppice: $1. Run \\\`npx coppice install\\\` in the main worktree, then \\\`git coppice up\\\` here." >&2
  [ "$door" = hook ]
  exit
}
runner=$here/${runner}/cli.cjs
[ -f "$runner" ] || gone 'its runner is gone from the git directory'
node=${shellQuote(node)}
if [ ! -x "$node" ]; then
  # Not in the worktree, where a shim may read the branch's files. The real path: a shim would look again.
  try() {
    [ -x "$1" ] && node=$(cd / && "$1" -e ${shellQuote(`${NODE_IS_NEW_ENOUGH} process.stdout.write(process.execPath)`)} 2>/dev/null) && [ -x "$node" ]
  }
  search() {
    IFS=:
    # Only absolute entries: husky puts the new worktree's node_modules/.bin first, which is the branch's.
    for folder in \${PATH-}; do
      case $folder in /*) unset IFS; try "$folder/node" && return; IFS=: ;; esac
    done
    unset IFS
    for candidate in ${PLACES.join(' \\\n      ')}; do
      try "$candidate" && return
    done
    return 1
  }
  HOME=\${HOME:-/}
  search || gone "Node.js is not where it was ("${shellQuote(node)}"), and no other of 20.19, 22.12 or later was found"
fi
exec "$node" "$runner" "$@"
`;
}
