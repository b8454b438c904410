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
    for (const root of bare ? rootsOfBare(commonDir) : []) {
      fs.mkdirSync(path.join(root, folder), { recursive: true });
      giveRunner(runner, path.join(root, folder));
      if (addToHook(path.join(root, folder, 'post-checkout'), shipped, false)) wrote.push(path.join(root, folder, 'post-checkout'));
    }
    return { wrote, commit: [path.relative(main, hook)] };
  },
  uninstall({ hooksPath, main, commonDir, bare }) {
    const folder = path.dirname(hooksPath ?? '.husky/_');
    const undone = [path.join(main, folder, 'post-checkout')].filter(removeFromHook);
    for (const root of bare ? rootsOfBare(commonDir) : []) {
      if (removeFromHook(path.join(root, folder, 'post-checkout'))) undone.push(path.join(root, folder, 'post-checkout'));
      fs.rmSync(path.join(root, folder), { recursive: true, force: true });
    }
    return undone;
  },
};

/** Where a command in a bare repository is called from: its own folder, and the one whose `.git` file points at it. */
function rootsOfBare(commonDir: string): string[] {
  const around = path.dirname(commonDir);
  const file = path.join(around, '.git');
  const pointer = fs.statSync(file, { throwIfNoEntry: false })?.isFile() && fs.readFileSync(file, 'utf8').match(/^gitdir: (.*)$/m)?.[1];
  return pointer && path.resolve(around, pointer) === commonDir ? [commonDir, around] : [commonDir];
}

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
