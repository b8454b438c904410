import { type DatabaseRow, identifier, literal } from './databases.ts';
import type { Server } from './server.ts';

/** A role's name in SQL. */
export function quotedRole(role: string): string {
  return `"${role.replaceAll('"', '""')}"`;
}

/**
 * Gives a copy what a copy does not bring along: what is granted on the source itself, and what `ALTER DATABASE … SET` and
 * `ALTER ROLE … IN DATABASE … SET` have set. The session's role owns the copy.
 * @param say what is left out, because it takes a superuser
 */
export async function copyRules(server: Server, source: DatabaseRow, target: string, say: (text: string) => void): Promise<void> {
  if (source.granted) await copyGrants(server, source, target);
  if (source.hasSettings) await copySettings(server, source, target, say);
}

async function copyGrants(server: Server, { oid }: DatabaseRow, target: string): Promise<void> {
  const grants = await server.rows<{ role: string | null; privilege: string; grantable: boolean }>(
    `select rolname as role, privilege_type as privilege, is_grantable as grantable
       from pg_database d cross join aclexplode(datacl) acl left join pg_roles on pg_roles.oid = acl.grantee
       where d.oid = $1::oid and (acl.grantee = 0 or rolname is not null) and rolname is distinct from current_user`,
    [oid],
  );
  const database = identifier(target);
  await server.run(`revoke all on database ${database} from public`);
  for (const { role, privilege, grantable } of grants) {
    const to = role === null ? 'public' : quotedRole(role);
    await server.run(`grant ${privilege} on database ${database} to ${to}${grantable ? ' with grant option' : ''}`);
  }
}

async function copySettings(
  server: Server,
  { oid, name: source }: DatabaseRow,
  target: string,
  say: (text: string) => void,
): Promise<void> {
  // Who is no superuser may set what a session may, for all and for itself.
  const rows = await server.rows<{ role: string | null; setting: string; allowed: boolean }>(
    `select rolname as role, pair as setting, $2::boolean or ((setrole = 0 or rolname = current_user)
         and coalesce(context, 'user') not in ('superuser', 'superuser-backend')) as allowed
       from pg_db_role_setting cross join unnest(setconfig) pair left join pg_roles on pg_roles.oid = setrole
       left join pg_settings on lower(pg_settings.name) = lower(split_part(pair, '=', 1))
       where setdatabase = $1::oid and (setrole = 0 or rolname is not null) order by pair`,
    [oid, server.user.superuser],
  );
  const left: string[] = [];
  for (const { role, setting, allowed } of rows) {
    const at = setting.indexOf('=');
    const [name, value] = [setting.slice(0, at), setting.slice(at + 1)];
    const whose = role === null ? '' : quotedRole(role);
    if (!allowed) {
      left.push(`${name} = ${value}${whose && ` of ${whose}`}`);
      continue;
    }
    // Lists are kept as they are written in SQL; anything else is one text.
    const written = LISTS.has(name) ? value : literal(value);
    const subject = role === null ? `database ${identifier(target)}` : `role ${whose} in database ${identifier(target)}`;
    await server.run(`alter ${subject} set ${name.split('.').map(quotedRole).join('.')} to ${written || "''"}`);
  }
  if (left.length > 0) say(`settings of ${source} that take a superuser are not copied: ${left.join(', ')}`);
}

const LISTS = new Set(['search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries']);
