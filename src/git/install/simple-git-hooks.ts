import fs from 'node:fs';
import path from 'node:path';
import { readIfThere } from '../../ledger/document.ts';
import { callsLauncher, entryLine } from './entry.ts';
import { removeFromHook, replaceFile } from './hook-file.ts';
import { hookFile, hooksFolder, hookText } from './hooks-folder.ts';
import { addMember, prefixMember, removeMember, textMember, unprefixMember } from './json-member.ts';
import { type HookManager, type HookPlace, INSTALL_AGAIN } from './manager.ts';
import { withoutLines } from './marked.ts';
import { packageFolders } from './packages.ts';

const NAME = 'simple-git-hooks';
const HOOK = 'post-checkout';
/** As simple-git-hooks looks for them: the first that is there counts. */
const FILES = ['.cjs', '.js', '.mjs']
  .flatMap((form) => [`.${NAME}${form}`, `${NAME}${form}`])
  .concat(`.${NAME}.json`, `${NAME}.json`, 'package.json');
const ENTRY = entryLine('"$@"');
/** Before a command of the user's, which runs whatever ours comes to; a failed set-up is still the hook's exit code. */
const BEFORE = `${ENTRY} || trap 'exit 1' EXIT; `;

/**
 * simple-git-hooks writes the hooks that its config names, over what is there, and deletes every other one. So ours is an entry
 * of it, which is committed. Until its own install has run, our block is in the hooks folder as well.
 */
export const simpleGitHooks: HookManager = {
  name: NAME,
  handles: (place) => configOf(place) !== null,
  install(place) {
    const config = configOf(place);
    if (config === null) return hooksFolder.install(place);
    const next = withEntry(config);
    const wrote: string[] = [];
    if (next !== null && next !== config.text) {
      replaceFile(config.file, next, fs.statSync(config.file).mode & 0o777);
      wrote.push(config.file);
    }
    // As it is written by simple-git-hooks from our entry, it needs nothing more.
    if (!callsLauncher(withoutBlock(place))) wrote.push(...hooksFolder.install(place).wrote);
    else if (removeFromHook(hookFile(place))) wrote.push(hookFile(place));
    const name = path.relative(place.main, config.file);
    return {
      wrote,
      commit: [name],
      todo: next === null ? [`${name} is code, and its change is left to you. Add the entry "${HOOK}": ${JSON.stringify(ENTRY)}`] : [],
    };
  },
  uninstall(place) {
    const config = configOf(place);
    const undone: string[] = [];
    if (config?.keys) {
      const next = withoutEntry(config.text, config.keys);
      if (next !== config.text) {
        replaceFile(config.file, next, fs.statSync(config.file).mode & 0o777);
        undone.push(config.file);
      }
    }
    return restoreHook(place) ? [...undone, hookFile(place)] : undone;
  },
  async problems(place) {
    const config = configOf(place);
    if (place.configHook || config === null) return [];
    const name = path.relative(place.main, config.file);
    if (callsLauncher(config.text)) return hooksFolder.problems(place);
    const mend =
      withEntry(config) === null ? `add to ${name}: "${HOOK}": ${JSON.stringify(ENTRY)}` : `${INSTALL_AGAIN}, and commit ${name}`;
    return [{ text: `${name} has no entry of coppice: simple-git-hooks deletes the hook at its next install.`, mend }];
  },
};

interface Config {
  file: string;
  text: string;
  /** Where in a JSON file the entries are; null when the file is code. */
  keys: string[] | null;
}

/** The file that counts, in the folder of the package that names simple-git-hooks. */
function configOf({ main }: HookPlace): Config | null {
  for (const folder of packageFolders(main)) {
    const manifest = readIfThere(path.join(folder, 'package.json')) ?? '';
    if (!manifest.includes(`"${NAME}"`)) continue;
    for (const name of FILES) {
      const file = path.join(folder, name);
      const text = readIfThere(file);
      if (text === null) continue;
      if (name !== 'package.json') return { file, text, keys: name.endsWith('.json') ? [] : null };
      if (addMember(text, [NAME], HOOK, '') !== null) return { file, text, keys: [NAME] };
    }
  }
  return null;
}

/** The file with our entry; null when it is code that has none. */
function withEntry({ text, keys }: Config): string | null {
  if (keys === null) return callsLauncher(text) ? text : null;
  const current = textMember(text, keys, HOOK);
  if (current === undefined) return addMember(text, keys, HOOK, ENTRY);
  return callsLauncher(current) ? text : prefixMember(text, keys, HOOK, BEFORE);
}

function withoutEntry(text: string, keys: string[]): string {
  return textMember(text, keys, HOOK) === ENTRY ? removeMember(text, keys, HOOK) : unprefixMember(text, keys, HOOK, BEFORE);
}

/** The hook in the hooks folder, without the block that we put there. */
function withoutBlock(place: HookPlace): string {
  return withoutLines(hookText(place) ?? '');
}

/** The hook that simple-git-hooks wrote from our entry: as it would be without. */
function restoreHook(place: HookPlace): boolean {
  const hook = hookFile(place);
  const text = hookText(place);
  if (text === null || !text.includes(ENTRY) || !text.includes('SKIP_SIMPLE_GIT_HOOKS')) return false;
  if (text.endsWith(ENTRY)) fs.unlinkSync(hook);
  else replaceFile(hook, text.replace(BEFORE, ''), fs.statSync(hook).mode & 0o777);
  return true;
}
