import { codeDefaults } from './code-defaults.ts';
import { composeFindings, PROJECT, portTemplate, readComposeUse } from './compose.ts';
import { type Database, type DatabaseInput, urlDatabases } from './databases.ts';
import { devServers } from './dev-servers.ts';
import { envFileFindings, readEnvironment, type Variable } from './env-files.ts';
import { type Finding, type Findings, finding, together } from './findings.ts';
import { installFindings } from './installs.ts';
import { isMap, type Look } from './look.ts';
import { migrationFindings } from './migrations.ts';
import { otherToolFindings } from './other-tools.ts';
import { ownFileFindings } from './own-files.ts';
import { engineOfCode, partDatabases } from './parts.ts';
import { portFindings } from './ports.ts';
import { redisFindings } from './redis.ts';
import { sharingFindings } from './sharing.ts';
import { sqliteFindings } from './sqlite.ts';
import { derivedByTests, literalNotes, testNotes } from './tests.ts';

/** A config, line by line, each with its reason. */
export interface Proposal extends Findings {
  /** `envFiles:`, where it is not the usual two. */
  envFiles: string[] | null;
  /** `shared:` */
  shared: { name: string; why: string }[];
  /** `url:`, where the first port is not it. */
  url: string | null;
}

/** Proposes the config of a repository by what was looked at. Pure: the same look, the same proposal. */
export function propose(look: Look): Proposal {
  const environment = readEnvironment(look);
  const defaults = codeDefaults(look);
  const compose = readComposeUse(look, environment);
  const input: DatabaseInput = { environment, defaults, compose, owns: derivedByTests(look), ecto: engineOfCode(look) ?? 'postgres' };
  const servers = devServers(look);
  const ports = portFindings(environment, servers, compose);
  const urls = urlDatabases(input);
  const parts = partDatabases(look, input, urls.databases);
  const sqlite = sqliteFindings(look, environment, defaults);
  const redis = redisFindings(look, input);
  const sharing = sharingFindings(look, environment, compose);
  const installs = installFindings(look);
  const databases = [...urls.found, ...parts.found, ...sqlite.found].filter(isDatabase).map(({ name }) => name);
  const inCompose = [...urls.databases, ...parts.databases].some(({ resource }) => resource === null);
  const steps = new Set(installs.found.map(({ name }) => name));
  const migrations = migrationFindings(look, [...databases, ...(inCompose ? [PROJECT] : [])], steps);
  const starts = inCompose && migrations.found.length > 0 && (compose?.stores.length ?? 0) > 0;
  const composed = composeFindings(look, compose, starts);
  const detected = together(ports, composed, urls, parts, sqlite, redis, sharing);
  const place = (variable: Variable) => placeOf(variable, detected.found, ports.templateFor);
  const envFiles = envFileFindings(look, environment, place);
  const own = together(detected, envFiles, ownFileFindings(look), installs, migrations);
  const all = together(own, otherToolFindings(look, own));
  const literal = databases.length === 0 && !inCompose ? literalNotes(look) : [];
  const insideCompose = databases.length === 0 && inCompose ? [composeNote([...urls.databases, ...parts.databases])] : [];
  return {
    found: withEnvFile(all.found, environment.primary),
    notes: [...new Set([...insideCompose, ...all.notes, ...literal, ...testNotes(look, environment)])],
    envFiles: environment.envFiles,
    shared: unique([...urls.inside, ...parts.inside, ...redis.inside, ...sharing.inside]),
    url: urlOf(detected.found, compose),
  };
}

function isDatabase({ section, value }: Finding): boolean {
  const type = isMap(value) ? value.type : value;
  return section === 'resources' && ['postgres', 'mysql', 'sqlite'].includes(String(type));
}

function composeNote(databases: Database[]): string {
  const [one] = databases;
  return `The database \`${one?.database}\` is taken to be the one that the compose file publishes, so each worktree's Compose project has its own, empty at first. If ${one?.variable} means a server outside of Compose, see docs/resources/${one?.engine}.md of coppice.`;
}

/** What stands for a variable of an env file that is not the root's: a port's number, a part of a database. */
function placeOf(variable: Variable, found: Finding[], port: (variable: Variable) => string | null): string | null {
  const template = port(variable);
  if (template !== null) return template;
  const { name } = variable;
  if (found.some((one) => one.section === 'env' && one.name === name)) return `{{${name}}}`;
  for (const { section, name: resource, value } of found) {
    if (section !== 'resources' || !isMap(value) || !isMap(value.vars)) continue;
    const [part] = Object.entries(value.vars).find(([key, one]) => one === name && key === 'database') ?? [];
    if (part !== undefined) return `{{resources.${resource}.${part}}}`;
  }
  return null;
}

/** Where files are named, the default for env files is not taken: they are named too. */
function withEnvFile(found: Finding[], primary: string): Finding[] {
  const files = found.filter(({ section }) => section === 'files');
  const hasVariables = found.some(
    ({ section, name, value }) =>
      (section === 'resources' || section === 'env') && name !== '' && !(isMap(value) && value.export === false),
  );
  if (files.length === 0 || !hasVariables || files.some(({ name }) => name === primary)) return found;
  return [...found, finding('files', primary, 'env', "this worktree's variables; the main worktree has no such file")];
}

function urlOf(found: Finding[], compose: ReturnType<typeof readComposeUse>): string | null {
  const [first] = found.filter(
    ({ section, value }) => section === 'resources' && (typeof value === 'number' || (isMap(value) && value.type === 'port')),
  );
  const web = compose?.ports.find(
    ({ variable, target, service }) =>
      variable === null && compose.stores.every((store) => store !== service) && (target === 80 || (target >= 3000 && target < 10_000)),
  );
  return first === undefined && web !== undefined ? `http://localhost:${portTemplate(web)}` : null;
}

function unique(list: { name: string; why: string }[]): { name: string; why: string }[] {
  return [...new Map(list.map((one) => [one.name, one])).values()];
}
