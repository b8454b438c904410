import fs from 'node:fs';
import path from 'node:path';
import { readIfThere } from '../../ledger/document.ts';
import { callsLauncher } from './entry.ts';
import { addToHook, removeFromHook, replaceFile } from './hook-file.ts';
import { hookFile, hooksFolder, hookText, problemsOfFile } from './hooks-folder.ts';
import { JOB, namesPostCheckout, withJob } from './lefthook-config.ts';
import { type HookManager, type HookPlace, INSTALL_AGAIN } from './manager.ts';
import { OPENING, withoutLines } from './marked.ts';

const NAMES = ['lefthook', '.lefthook', '.config/lefthook'].flatMap((name) =>
  ['yml', 'yaml', 'toml', 'json'].map((form) => `${name}.${form}`),
);
/** lefthook takes a hook with this word in it for its own and replaces it; another it moves to `post-checkout.old`. */
const ITS_WORD = '# LEFTHOOK replaces this file.\n';

/**
 * lefthook 2 writes the hooks that its config names, whenever the config has changed. Without a `post-checkout` there, ours is a
 * hook like any, which it leaves alone. With one, ours is a job of it.
 */
export const lefthook: HookManager = {
  name: 'lefthook',
  handles: (place) => (place.hooksPath === null || isLefthooks(place)) && configOf(place) !== null,
  install(place) {
    const config = configOf(place);
    if (config === null || !keepsHook(place, config.text)) return hooksFolder.install(place);
    const next = withJob(config.text, path.extname(config.name).slice(1));
    if (next === null) {
      const there = callsLauncher(config.text);
      const todo = there
        ? []
        : [`${config.name} is written in a way that leaves its change to you. Add to the jobs of post-checkout: ${JOB}`];
      return { wrote: [], commit: [config.name], todo };
    }
    const wrote: string[] = [];
    if (next !== config.text) {
      replaceFile(config.file, next, fs.statSync(config.file).mode & 0o777);
      wrote.push(config.file);
    }
    if (stepIn(place)) wrote.push(hookFile(place));
    return { wrote, commit: [config.name], todo: [] };
  },
  uninstall(place) {
    const config = configOf(place);
    if (config === null || withoutLines(config.text) === config.text) return [];
    replaceFile(config.file, withoutLines(config.text), fs.statSync(config.file).mode & 0o777);
    const hook = hookFile(place);
    return removeFromHook(hook, `#!/bin/sh\n${ITS_WORD}`) ? [config.file, hook] : [config.file];
  },
  async problems(place) {
    const config = configOf(place);
    if (place.configHook || config === null) return [];
    if (!keepsHook(place, config.text)) return hooksFolder.problems(place);
    if (!callsLauncher(config.text))
      return [
        withJob(config.text, path.extname(config.name).slice(1)) === null
          ? { text: `${config.name} has no job of coppice.`, mend: `add to the jobs of post-checkout in ${config.name}: ${JOB}` }
          : { text: `${config.name} has no job of coppice.`, mend: `${INSTALL_AGAIN}, and commit ${config.name}` },
      ];
    return isLefthooks(place) ? [] : problemsOfFile(hookFile(place)).map(({ text }) => ({ text, mend: 'npx lefthook install' }));
  },
};

/** Until lefthook's own install has written its hook, ours is in its place. @returns whether anything was written */
function stepIn(place: HookPlace): boolean {
  const hook = hookFile(place);
  const text = readIfThere(hook);
  if (isLefthooks(place) || text?.endsWith(ITS_WORD)) return text?.includes(OPENING) === true && addToHook(hook, place.shipped, true);
  if (text !== null && !removeFromHook(hook)) return addToHook(hook, place.shipped, true);
  if (fs.existsSync(hook)) return addToHook(hook, place.shipped, true);
  addToHook(hook, place.shipped, true);
  fs.appendFileSync(hook, ITS_WORD);
  return true;
}

function configOf({ main }: HookPlace): { name: string; file: string; text: string } | null {
  for (const name of NAMES) {
    const text = readIfThere(path.join(main, name));
    if (text !== null) return { name, file: path.join(main, name), text };
  }
  return null;
}

/** Whether lefthook keeps the post-checkout hook: by its config, or by one that this extends. */
function keepsHook(place: HookPlace, text: string): boolean {
  return namesPostCheckout(text) || isLefthooks(place);
}

function isLefthooks(place: HookPlace): boolean {
  return (hookText(place) ?? '').includes('call_lefthook');
}
