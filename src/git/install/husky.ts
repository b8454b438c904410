import fs from 'node:fs';
import path from 'node:path';
import { addToHook, removeFromHook } from './hook-file.ts';
import type { HookManager } from './manager.ts';

/**
 * husky 9: `core.hooksPath` is `.husky/_`, git-ignored and made by husky's own install; its runner there calls
 * `.husky/post-checkout` of the invoking worktree, which is committed.
 */
export const husky: HookManager = {
  name: 'husky',
  handles: ({ hooksPath }) => hooksPath !== null && path.basename(hooksPath) === '_' && !path.isAbsolute(hooksPath),
  install({ hooksPath, main, commonDir, bare, linked, shipped }) {
    const folder = path.dirname(hooksPath ?? '.husky/_');
    const wrote: string[] = [];
    const hook = path.join(main, folder, 'post-checkout');
    if (addToHook(hook, shipped, false)) wrote.push(hook);
    const runner = path.join(main, folder, '_');
    // Git finds a relative hooksPath from the invoking worktree: one without husky's runner calls no hook, silently.
    for (const worktree of linked) giveRunner(runner, path.join(worktree, folder));
    if (bare) {
      // From a bare repository, the path is relative to its own folder.
      const inBare = path.join(commonDir, folder);
      fs.mkdirSync(inBare, { recursive: true });
      giveRunner(runner, inBare);
      if (addToHook(path.join(inBare, 'post-checkout'), shipped, false)) wrote.push(path.join(inBare, 'post-checkout'));
    }
    return { wrote, commit: [path.relative(main, hook)] };
  },
  uninstall({ hooksPath, main, commonDir, bare }) {
    const folder = path.dirname(hooksPath ?? '.husky/_');
    const files = [path.join(main, folder, 'post-checkout'), ...(bare ? [path.join(commonDir, folder, 'post-checkout')] : [])];
    const undone = files.filter((file) => removeFromHook(file));
    if (bare) fs.rmSync(path.join(commonDir, folder), { recursive: true, force: true });
    return undone;
  },
};

function giveRunner(runner: string, folder: string): void {
  const target = path.join(folder, '_');
  if (
    !fs.lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() ||
    !fs.existsSync(runner) ||
    fs.lstatSync(target, { throwIfNoEntry: false })
  )
    return;
  fs.cpSync(runner, target, { recursive: true });
}
