import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { git } from '../git.ts';
import type { Place, Worktree } from '../worktrees.ts';
import { hasConfigHook } from './config-hook.ts';
import { gitLfs } from './git-lfs.ts';
import { hooksFolder } from './hooks-folder.ts';
import { husky } from './husky.ts';
import { lefthook } from './lefthook.ts';
import type { HookManager, HookPlace } from './manager.ts';
import { preCommit } from './pre-commit.ts';
import { simpleGitHooks } from './simple-git-hooks.ts';

/** In order; the last handles everything. */
export const MANAGERS: readonly HookManager[] = [husky, lefthook, simpleGitHooks, preCommit, gitLfs, hooksFolder];

/** The one that keeps this repository's hooks. */
export function managerOf(place: HookPlace): HookManager {
  return MANAGERS.find((candidate) => candidate.handles(place)) ?? hooksFolder;
}

/** Where git looks for a repository's hooks, and what else the managers need to know. @param trusted the worktrees that are */
export async function describeHooks({ repository }: Place, trusted: readonly Worktree[] = []): Promise<HookPlace> {
  const { commonDir, bare, linked } = repository;
  const main = repository.main ?? commonDir;
  const [hooksPath, folder, version, named] = await Promise.all([
    git(main, ['config', '--type=path', '--get', 'core.hooksPath']),
    git(main, ['rev-parse', '--path-format=absolute', '--git-path', 'hooks']),
    git(main, ['version']),
    hasConfigHook(commonDir),
  ]);
  const [, major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(version.stdout) ?? []).map(Number);
  return {
    hooksPath: hooksPath.code === 0 ? hooksPath.stdout.replace(/\n$/, '') : null,
    hooksFolder: folder.stdout.replace(/\n$/, ''),
    main,
    commonDir,
    bare,
    linked: linked.filter(({ prunable }) => !prunable).map(({ path }) => path),
    trusted: trusted.map(({ path }) => path),
    shipped: fs.readFileSync(path.join(distribution(), 'post-checkout'), 'utf8'),
    configHook: named && (major > 2 || (major === 2 && minor >= 54)),
  };
}

/** The folder of the built package. */
export function distribution(): string {
  return path.dirname(fileURLToPath(import.meta.url));
}
