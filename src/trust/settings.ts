import path from 'node:path';
import { gitSettings } from '../git/git.ts';
import type { Place } from '../git/worktrees.ts';
import { realPathIfThere } from '../ledger/document.ts';

/** What git's config says that a set-up goes by. */
export interface Settings {
  /** `coppice.trust`: `strict` asks for everything that nobody approved by hand, `all` for nothing. */
  trust: 'ask' | 'strict' | 'all';
  /** `coppice.outside` is `allow`. */
  outsideAllowed: boolean;
  /** `coppice.background` is true. */
  background: boolean;
  /** `core.hooksPath` as it is written; null when it is not set. */
  hooksPath: string | null;
  /** The URLs of the remotes, by name. */
  remotes: Record<string, string>;
  /** `remote.<name>.fetch`, by remote. */
  fetches: Record<string, string[]>;
  /** `branch.<name>.remote` and `.merge`, by branch. */
  branches: Record<string, { remote?: string; merge?: string }>;
}

const KEYS = '^(core\\.hookspath|coppice\\.(trust|outside|background)|remote\\..*\\.(url|fetch)|branch\\..*\\.(remote|merge))$';

/** Asks git for the settings that hold in a folder; see {@link readSettings}. */
export async function askSettings(cwd: string): Promise<{ cwd: string; printed: string }> {
  return { cwd, printed: await gitSettings(cwd, KEYS) };
}

/** Our own settings count only from files that no branch carries: `include.path` may name one that does. */
export async function readSettings(
  { repository, worktree }: Place,
  asked = askSettings(worktree?.path ?? repository.commonDir),
): Promise<Settings> {
  const { cwd, printed } = await asked;
  const settings: Settings = {
    trust: 'ask',
    outsideAllowed: false,
    background: false,
    hooksPath: null,
    remotes: Object.create(null),
    fetches: Object.create(null),
    branches: Object.create(null),
  };
  const fields = printed.split('\0');
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [origin = '', entry = ''] = fields.slice(index);
    const at = entry.indexOf('\n');
    const [key, value] = at < 0 ? [entry, 'true'] : [entry.slice(0, at), entry.slice(at + 1)];
    if (key === 'core.hookspath') settings.hooksPath = value;
    else if (!key.startsWith('coppice.')) note(settings, key, value);
    else if (!isCarried(origin, cwd, repository)) own(settings, key, value);
  }
  return settings;
}

function own(settings: Settings, key: string, value: string): void {
  if (key === 'coppice.trust') settings.trust = value === 'all' ? 'all' : value === 'ask' ? 'ask' : 'strict';
  else if (key === 'coppice.outside') settings.outsideAllowed = value === 'allow';
  else settings.background = /^(true|yes|on|1)$/i.test(value);
}

/** git writes the sections of a key in lower case, and leaves a subsection as it is. */
function note(settings: Settings, key: string, value: string): void {
  const name = key.slice(key.indexOf('.') + 1, key.lastIndexOf('.'));
  const what = key.slice(key.lastIndexOf('.') + 1);
  if (what === 'fetch') settings.fetches[name] = [...(settings.fetches[name] ?? []), value];
  else if (key.startsWith('remote.'))
    settings.remotes[name] = [settings.remotes[name], value].filter((url) => url !== undefined).join('\n');
  else settings.branches[name] = { ...settings.branches[name], [what]: value };
}

/** Whether a setting stands in a file of a worktree. @param origin as git prints it: `file:<path>`, `command line:` */
function isCarried(origin: string, cwd: string, { commonDir, main, linked }: Place['repository']): boolean {
  if (origin.startsWith('command line:')) return false;
  if (!origin.startsWith('file:')) return true;
  const real = (name: string) => realPathIfThere(name) ?? name;
  const file = real(path.resolve(cwd, origin.slice('file:'.length)));
  const isIn = (folder: string) => file.startsWith(`${folder}${path.sep}`);
  // A worktree may lie inside the common directory, as in a bare layout, and that inside the main worktree.
  if (linked.some((worktree) => isIn(real(worktree.path)))) return true;
  const inMain = main !== null && isIn(real(main));
  return inMain && (real(main).startsWith(`${commonDir}${path.sep}`) || !isIn(commonDir));
}
