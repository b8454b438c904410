import fs from 'node:fs';
import path from 'node:path';
import { temporaryName } from '../ledger/document.ts';
import type { LoadedConfig } from './load.ts';
import type { Config } from './schema.ts';

/** The names a config can have, in a worktree's root. */
export const CONFIG_NAMES = ['worktree.config.yaml', 'worktree.config.yml', 'worktree.config.json'];
/** One person's own override, in the main worktree, git-ignored. */
export const LOCAL_NAME = 'worktree.config.local.yaml';

/** The config files that stand in a worktree's root, whatever they are; more than one is an error. */
export function configsIn(root: string): string[] {
  return CONFIG_NAMES.filter((name) => fs.lstatSync(path.join(root, name), { throwIfNoEntry: false }));
}

/** The texts that a judgement was made of: the same texts are judged the same by the same runner. */
interface Remembered {
  name: string;
  texts: { branch: string; local: string | null };
  config: Config;
  /** The branch's own data. */
  base: unknown;
}

/** Beside the runner in the common git directory, whose files never change, and which goes with this version. */
const MEMORY = path.basename(path.dirname(import.meta.dirname)) === 'runner' ? path.join(import.meta.dirname, 'config.json') : null;

/**
 * {@link loadConfig}, without its readers and judges (half of the start) when the same texts were right before. A config that
 * names template files is judged with them, and is not remembered.
 */
export async function loadKnownConfig(root: string, localFolder: string | null): Promise<LoadedConfig> {
  const [name, second] = configsIn(root);
  if (name === undefined) return { state: 'absent' };
  const known = second === undefined ? remembered() : null;
  if (known !== null && known.name === name) {
    const { texts, config, base } = known;
    const local = localFolder === null ? null : plainText(path.join(localFolder, LOCAL_NAME));
    if (texts.branch === plainText(path.join(root, name)) && texts.local === local) return { state: 'ok', config, file: name, base, texts };
  }
  const { loadConfig } = await import('./load.ts');
  const loaded = await loadConfig(root, localFolder);
  if (loaded.state === 'ok') {
    const { config, base, texts } = loaded;
    const alone = !Object.values(config.files ?? {}).some((spec) => spec.action === 'template' && spec.template !== undefined);
    if (alone) remember({ name, texts, config, base });
  }
  return loaded;
}

function remembered(): Remembered | null {
  const text = MEMORY === null ? null : plainText(MEMORY);
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    // A power cut can leave the name without the content.
    return null;
  }
}

function remember(judged: Remembered): void {
  if (MEMORY === null) return;
  const temporary = temporaryName(MEMORY);
  try {
    fs.writeFileSync(temporary, JSON.stringify(judged), { mode: 0o600 });
    fs.renameSync(temporary, MEMORY);
  } catch {
    // A disk that is full or read-only: the next run judges again.
  }
}

/** A file's text; null for anything but a plain file that can be read: the judges say what is wrong with it. */
function plainText(file: string): string | null {
  try {
    return fs.lstatSync(file).isFile() ? fs.readFileSync(file, 'utf8') : null;
  } catch {
    return null;
  }
}
