import type { Address, Origin } from '../address.ts';
import { addressIn, ownerAddress } from '../database.ts';
import type { ResolvedResource } from '../resource.ts';
import { ENGINE } from './names.ts';

/** Who one is at a server, and who said so. */
export interface Access {
  address: Address;
  /** Where the user and the password were read, for who is not let in. */
  from: string;
}

/** The app's own. */
export function appAccess(resolved: ResolvedResource): Access {
  return { address: addressIn(resolved, ENGINE), from: cameFrom(resolved.made, 'origin') };
}

/** Who makes databases. @throws {Failure} when it cannot be known */
export async function makerAccess(admin: string | undefined, resolved: ResolvedResource): Promise<Access> {
  if (admin === undefined) return appAccess(resolved);
  return { address: await ownerAddress(resolved.made, ENGINE), from: cameFrom(resolved.made, 'admin') };
}

/** Who drops databases, by the ledger. @throws {Failure} when it cannot be known any more */
export async function ownerAccess(made: Record<string, string>): Promise<Access> {
  return { address: await ownerAddress(made, ENGINE), from: cameFrom(made, made.admin === undefined ? 'origin' : 'admin') };
}

function cameFrom(made: Record<string, string>, key: 'origin' | 'admin'): string {
  const { name, options, envFiles } = JSON.parse(made[key] ?? '') as Origin;
  const files = `the main worktree's env files (${envFiles.join(', ')})`;
  const { from, vars = {} } = options;
  if (from !== undefined) {
    const variables = [...from.matchAll(/main\.env\.(\w+)/g)].map(([, variable]) => `\`${variable}\``);
    const option = key === 'admin' ? '`admin:`' : '`from:`';
    return `${option} of ${name} in the config${variables.length === 0 ? '' : `, which reads ${variables.join(' and ')} of ${files}`}`;
  }
  const variables = options.vars === undefined ? [name] : [vars.user, vars.password].filter((variable) => variable !== undefined);
  if (variables.length === 0) return `\`default:\` of ${name} in the config`;
  return `${variables.map((variable) => `\`${variable}\``).join(' and ')} of ${files}`;
}
