import { isOnThisMachine, parseAddress } from '../resources/address.ts';
import type { CodeDefault } from './code-defaults.ts';
import { type ComposeUse, publishedAs } from './compose.ts';
import { unsetDefaults } from './databases.ts';
import type { Environment } from './env-files.ts';
import { type Findings, finding, nothing } from './findings.ts';
import { folderOf, type Look } from './look.ts';

/** URLs of services that have no resource type. */
const OTHER_STORE = /^(mongodb(\+srv)?|amqps?|nats|kafka|sqlserver|memcached?|clickhouse|elasticsearch):\/\//i;

export interface Sharing extends Findings {
  inside: { name: string; why: string }[];
}

/** What is left that two worktrees would share: services without a resource type, and paths of the main worktree. */
export function sharingFindings(look: Look, environment: Environment, defaults: CodeDefault[], compose: ComposeUse | null): Sharing {
  const result: Sharing = { ...nothing(), inside: [] };
  for (const { name, value, file } of [...environment.variables, ...unsetDefaults(environment, defaults)]) {
    const [, scheme] = OTHER_STORE.exec(value) ? (/^([a-z+]+):/i.exec(value) ?? []) : [];
    if (scheme !== undefined) {
      const address = parseAddress(value, 0);
      if (address !== null && compose?.services.includes(address.host))
        result.inside.push({ name, why: `\`${address.host}\` is the service of this worktree's own Compose project` });
      else if (address === null || !isOnThisMachine(address.host) || publishedAs(compose, address.port) === undefined)
        result.notes.push(
          `${name} in ${file} (${scheme}) is shared by all worktrees: there is no resource type for it. If that is meant, say \`shared: [${name}]\`; else make it with a \`command\` resource.`,
        );
      continue;
    }
    const rest = value.startsWith(`${look.main}/`) ? value.slice(look.main.length) : value === look.main ? '' : null;
    if (rest !== null && folderOf(file) === '' && /^[\w./-]*$/.test(rest))
      result.found.push(finding('env', name, `{{path}}${rest}`, "a path in the main worktree; here in this one's"));
  }
  return result;
}
