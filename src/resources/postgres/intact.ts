import type { ResolvedResource, ResourceEffects } from '../resource.ts';
import { findDatabase } from './databases.ts';
import { isMarkedAs } from './mark.ts';
import type { PostgresOptions } from './postgres.ts';
import { atServer } from './server.ts';
import { appAddress, isAnother } from './which-server.ts';

/** Whether the database that was made is there and ours. What a later `down` will say of it is said now. */
export function isThere(options: PostgresOptions, resolved: ResolvedResource, effects: ResourceEffects): Promise<boolean> {
  const { made } = resolved;
  const { database = '' } = made;
  return atServer(
    appAddress(resolved),
    async (server) => {
      const row = await findDatabase(server, database);
      if (row === null) return false;
      if (isAnother(made, server)) {
        if (row.mark === null || row.mark !== made.mark) return false;
        effects.say(
          `\`${database}\` was made on another server than the one at ${server.name}, which has it with this worktree's mark, as after an upgrade or a restored dump: it is used, and \`down\` and \`gc\` will not drop it there`,
        );
      } else if (!isMarkedAs(row.mark, made, effects.worktreeId)) return false;
      if (made.data !== undefined && made.data !== options.data)
        effects.say(`${database} was made with \`data: ${made.data}\`; \`git coppice down\`, then \`git coppice up\` makes it anew`);
      return true;
    },
    effects,
  );
}
