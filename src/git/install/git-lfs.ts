import { hookFile, hooksFolder, hookText } from './hooks-folder.ts';
import type { HookManager, HookPlace } from './manager.ts';

/**
 * git-lfs: our block goes above its line, and both run. Its install refuses a post-checkout hook that is not its own, and then
 * leaves out post-commit and post-merge as well.
 */
export const gitLfs: HookManager = {
  ...hooksFolder,
  name: 'git-lfs',
  handles: (place) => ['post-checkout', 'pre-push'].some((name) => callsLfs(place, name)),
  async problems(place) {
    const found = await hooksFolder.problems(place);
    if (callsLfs(place, 'post-checkout')) return found;
    const mend = 'git lfs update --force && npx coppice install';
    return [...found, { text: `git-lfs could not install its hooks beside ${hookFile(place)}: file locks are not kept read-only.`, mend }];
  },
};

function callsLfs(place: HookPlace, name: string): boolean {
  return /^git lfs /m.test(hookText(place, name) ?? '');
}
