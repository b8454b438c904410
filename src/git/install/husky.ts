import fs from 'node:fs';
import path from 'node:path';
import { standing } from '../../files/inside.ts';
import { readIfThere } from '../../ledger/document.ts';
import { rootsOfBare } from './bare.ts';
import { callsLauncher } from './entry.ts';
import { addToHook, removeFromHook } from './hook-file.ts';
import { branchOf, hookFile } from './hooks-folder.ts';
import { giveHuskyRunner } from './husky-runner.ts';
import { type HookManager, type HookPlace, type HookProblem, INSTALL_AGAIN } from './manager.ts';
import { packageFolders } from './packages.ts';

/**
 * husky 9: `core.hooksPath` is `.husky/_`, git-ignored and made by husky's own install; its runner there calls
 * `.husky/post-checkout` of the invoking worktree, which is committed.
 */
export const husky: HookManager = {
  name: 'husky',
  handles: (place) => huskyFolder(place) !== null,
  install(place) {
    const { hooksPath, main, commonDir, bare, shipped } = place;
    const folder = huskyFolder(place) ?? '.husky';
    const hook = path.join(main, folder, 'post-checkout');
    const wrote = addToHook(hook, shipped, false) ? [hook] : [];
    // Before husky has set core.hooksPath, and where it never does (a production install), git looks in its own folder.
    if (hooksPath === null && addToHook(hookFile(place), shipped, true)) wrote.push(hookFile(place));
    for (const root of bare ? rootsOfBare(commonDir) : []) {
      fs.mkdirSync(path.join(root, folder), { recursive: true });
      giveHuskyRunner([main], root, folder);
      if (addToHook(path.join(root, folder, 'post-checkout'), shipped, false)) wrote.push(path.join(root, folder, 'post-checkout'));
    }
    return { wrote, commit: [path.relative(main, hook)], todo: [] };
  },
  uninstall(place) {
    const { main, commonDir, bare } = place;
    const folder = huskyFolder(place);
    if (folder === null) return [];
    const undone = [path.join(main, folder, 'post-checkout')].filter((hook) => removeFromHook(hook));
    for (const root of bare ? rootsOfBare(commonDir) : []) {
      if (removeFromHook(path.join(root, folder, 'post-checkout'))) undone.push(path.join(root, folder, 'post-checkout'));
      fs.rmSync(path.join(root, folder), { recursive: true, force: true });
    }
    return undone;
  },
  async problems(place) {
    if (place.configHook) return [];
    const folder = huskyFolder(place) ?? '.husky';
    const found: HookProblem[] = [];
    if (place.hooksPath === null || !fs.existsSync(path.join(place.main, folder, '_/h')))
      found.push({ text: `husky is not installed in this clone: there is no ${folder}/_.`, mend: 'npx husky && npx coppice install' });
    if (!callsLauncher(readIfThere(path.join(place.main, folder, 'post-checkout')) ?? ''))
      found.push({ text: `${folder}/post-checkout does not start coppice.`, mend: `${INSTALL_AGAIN}, and commit ${folder}/post-checkout` });
    if (found.length > 0) return found;
    for (const root of place.linked) {
      const hasRunner = fs.existsSync(path.join(root, folder, '_/h'));
      // Where nobody has trusted the branch, it is a person's to do.
      const giveRunner = `cp -R ${path.join(place.main, folder, '_')} ${path.join(root, folder)}/`;
      const isFile = standing(root, path.join(folder, 'post-checkout')) === 'file';
      if (!isFile || !callsLauncher(readIfThere(path.join(root, folder, 'post-checkout')) ?? ''))
        found.push({
          text: `A worktree that is added from ${root} is not set up: its branch has no hook of coppice in ${folder}.`,
          mend: `git -C ${root} checkout ${branchOf(place)} -- ${folder}/post-checkout${hasRunner ? '' : ` && ${giveRunner}`}`,
        });
      else if (!hasRunner)
        found.push({
          text: `No hook runs in ${root}: it has no ${folder}/_ of husky.`,
          mend: place.trusted.includes(root) ? INSTALL_AGAIN : giveRunner,
        });
    }
    return found;
  },
};

/**
 * husky's folder, relative to the main worktree; null when it does not keep the hooks. Before its own install has run in a
 * clone, its folder and its name in package.json tell.
 */
function huskyFolder({ hooksPath, hooksFolder, main }: HookPlace): string | null {
  if (hooksPath !== null) {
    const relative = path.isAbsolute(hooksPath) ? path.relative(main, hooksFolder) : hooksPath;
    return path.basename(relative) === '_' && !relative.startsWith('..') ? path.dirname(relative) : null;
  }
  const names = (folder: string) => /"husky"\s*:/.test(readIfThere(path.join(folder, 'package.json')) ?? '');
  const found = packageFolders(main).find((folder) => names(folder) && fs.existsSync(path.join(folder, '.husky')));
  return found === undefined ? null : path.join(path.relative(main, found), '.husky');
}
