import path from 'node:path';
import { addToHook, removeFromHook } from './hook-file.ts';
import type { HookManager } from './manager.ts';

/** No manager: the folder that git itself looks in, `.git/hooks` or what `core.hooksPath` names. */
export const hooksFolder: HookManager = {
  name: 'git hooks',
  handles: () => true,
  install(place) {
    const hook = path.join(place.hooksFolder, 'post-checkout');
    const relative = path.relative(place.main, hook);
    const committed = place.hooksPath !== null && !path.isAbsolute(place.hooksPath) && !relative.startsWith('..');
    return { wrote: addToHook(hook, place.shipped, true) ? [hook] : [], commit: committed ? [relative] : [] };
  },
  uninstall(place) {
    const hook = path.join(place.hooksFolder, 'post-checkout');
    return removeFromHook(hook) ? [hook] : [];
  },
};
