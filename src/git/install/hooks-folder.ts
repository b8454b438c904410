import fs from 'node:fs';
import path from 'node:path';
import { readIfThere } from '../../ledger/document.ts';
import { rootsOfBare } from './bare.ts';
import { callsLauncher } from './entry.ts';
import { addToHook, removeFromHook } from './hook-file.ts';
import { type HookManager, type HookPlace, type HookProblem, INSTALL_AGAIN } from './manager.ts';

const SWITCH_ON = 'git config --unset core.hooksPath';

function switchedOff({ hooksPath }: HookPlace): string {
  return `core.hooksPath is ${hooksPath}: git runs no hook before 2.54.`;
}

/** No manager: the folder that git itself looks in, `.git/hooks` or what `core.hooksPath` names. */
export const hooksFolder: HookManager = {
  name: 'git hooks',
  handles: () => true,
  install(place) {
    if (isSwitchedOff(place))
      return { wrote: [], commit: [], todo: place.configHook ? [] : [`${switchedOff(place)} Then install again: ${SWITCH_ON}`] };
    const wrote = hooksOf(place).filter((hook) => addToHook(hook, place.shipped, true));
    const relative = relativeFolder(place);
    return { wrote, commit: relative === null ? [] : [path.join(relative, 'post-checkout')], todo: [] };
  },
  uninstall(place) {
    const hooks = new Set([...hooksOf(place), path.join(place.commonDir, 'hooks/post-checkout')]);
    return [...hooks].filter((hook) => isFolder(path.dirname(hook)) && removeFromHook(hook));
  },
  async problems(place) {
    if (place.configHook) return [];
    if (isSwitchedOff(place)) return [{ text: switchedOff(place), mend: `${SWITCH_ON} && ${INSTALL_AGAIN}` }];
    const found = problemsOfFile(hookFile(place));
    const relative = relativeFolder(place);
    const without = relative === null || found.length > 0 ? [] : place.linked.filter((root) => !fires(path.join(root, relative)));
    for (const root of without)
      found.push({
        text: `A worktree that is added from ${root} is not set up: core.hooksPath is ${place.hooksPath}, and its branch has no hook of coppice there.`,
        mend: `git -C ${root} checkout ${branchOf(place)} -- ${relative}/post-checkout`,
      });
    return found;
  },
};

/** The text of a hook of the folder that git looks in; null when there is none, also where the folder is none (`/dev/null`). */
export function hookText({ hooksFolder: folder }: HookPlace, name = 'post-checkout'): string | null {
  return isFolder(folder) ? readIfThere(path.join(folder, name)) : null;
}

function isFolder(folder: string): boolean {
  return fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Whether `core.hooksPath` names what can hold no hooks: someone wants none to run. */
function isSwitchedOff({ hooksFolder: folder }: HookPlace): boolean {
  return fs.existsSync(folder) && !isFolder(folder);
}

/** The hook that git calls in the main worktree. */
export function hookFile(place: HookPlace): string {
  return path.join(place.hooksFolder, 'post-checkout');
}

/** Whether a hooks folder's hook calls the launcher, and git would run it. */
function fires(folder: string): boolean {
  return problemsOfFile(path.join(folder, 'post-checkout')).length === 0;
}

/** Why a hook file does not start coppice. */
export function problemsOfFile(hook: string): HookProblem[] {
  const text = readIfThere(hook);
  if (text === null) return [{ text: `The hook is not installed: there is no ${hook}.`, mend: INSTALL_AGAIN }];
  if (!callsLauncher(text)) return [{ text: `${hook} does not start coppice: another program wrote it.`, mend: INSTALL_AGAIN }];
  if (!(fs.statSync(hook).mode & 0o100)) return [{ text: `git does not run ${hook}: it is not executable.`, mend: `chmod +x ${hook}` }];
  return [];
}

/** The main worktree's hook; in a bare repository with a relative `core.hooksPath`, also where git looks when called from there. */
function hooksOf(place: HookPlace): string[] {
  const relative = relativeFolder(place);
  const roots = place.bare && relative !== null ? rootsOfBare(place.commonDir) : [];
  return [hookFile(place), ...roots.map((root) => path.join(root, relative ?? '', 'post-checkout'))];
}

/** A relative `core.hooksPath` is a folder of each branch; null when it is none. */
function relativeFolder({ hooksPath, main, hooksFolder: folder }: HookPlace): string | null {
  const relative = path.relative(main, folder);
  return hooksPath !== null && !path.isAbsolute(hooksPath) && !relative.startsWith('..') ? relative : null;
}

/** A branch that has the hook: the main worktree's. */
export function branchOf({ main, commonDir }: HookPlace): string {
  const head = readIfThere(path.join(main, '.git/HEAD')) ?? readIfThere(path.join(commonDir, 'HEAD')) ?? '';
  return /^ref: refs\/heads\/(.+)$/m.exec(head)?.[1] ?? 'main';
}
