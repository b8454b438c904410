import { readConfig, writeConfig } from '../config.ts';
import { LAUNCHER_HERE } from './entry.ts';

const COMMAND = 'hook.coppice.command';
const EVENT = 'hook.coppice.event';

/**
 * git 2.54 and later runs it beside the hooks folder's, whatever `core.hooksPath` says; earlier ones ignore it. git appends
 * `"$@"`. At an ordinary checkout it starts no process of its own.
 */
const HOOK = `coppice() { case \${1-x} in *[!0]*) return 0 ;; esac; set -- ${LAUNCHER_HERE} checkout "$@"; [ ! -x "$1" ] || "$@"; }; coppice`;

/** Names the launcher as a hook in the repository's own config. @returns whether anything was written */
export async function addConfigHook(commonDir: string): Promise<boolean> {
  const [command, event] = await Promise.all([readConfig(commonDir, COMMAND), readConfig(commonDir, EVENT)]);
  if (command === HOOK && event === 'post-checkout') return false;
  // An event without a command is fatal to every git command that calls the hook, so the command comes first.
  if (command !== HOOK) await writeConfig(commonDir, [COMMAND, HOOK]);
  if (event !== 'post-checkout') await writeConfig(commonDir, [EVENT, 'post-checkout']);
  return true;
}

/** Takes it away. @returns whether it was there */
export async function removeConfigHook(commonDir: string): Promise<boolean> {
  let was = false;
  for (const key of [EVENT, COMMAND]) {
    if ((await readConfig(commonDir, key)) === null) continue;
    await writeConfig(commonDir, ['--unset-all', key]);
    was = true;
  }
  return was;
}

/** Whether the config names the hook. */
export async function hasConfigHook(commonDir: string): Promise<boolean> {
  return (await readConfig(commonDir, EVENT)) !== null && (await readConfig(commonDir, COMMAND)) !== null;
}
