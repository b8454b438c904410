import { basesApart } from './bases.ts';
import { codeDefaults } from './code-defaults.ts';
import { composeFindings, PROJECT, portTemplate, readComposeUse } from './compose.ts';
import { type Database, type DatabaseInput, fromFile, urlDatabases } from './databases.ts';
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
import { hasFileDatabase, sqliteFindings } from './sqlite.ts';
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
  const sharing = sharingFindings(look, environment, defaults, compose);
  const installs = installFindings(look);
  const databases = [...urls.found, ...parts.found, ...sqlite.found].filter(isMigrated).map(({ name }) => name);
  const inFile = sqlite.found.some(({ section }) => section === 'files') || hasFileDatabase(look, environment.values);
  const inCompose = [...urls.databases, ...parts.databases].some(({ resource }) => resource === null);
  const steps = new Set(installs.found.map(({ name }) => name));
  const migrations = migrationFindings(
    look,
    { databases: [...databases, ...(inCompose ? [PROJECT] : [])], inFile, shared: urls.shared || parts.shared },
    steps,
  );
  const starts = inCompose && migrations.found.length > 0 && (compose?.stores.length ?? 0) > 0;
  const composed = composeFindings(look, compose, starts);
  const all = together(ports, composed, urls, parts, sqlite, redis, sharing);
  const detected = { ...all, found: withoutTwice(basesApart(all.found)) };
  const place = (variable: Variable) => placeOf(variable, detected.found, ports.templateFor);
  const envFiles = envFileFindings(look, environment, place);
  const own = together(detected, envFiles, ownFileFindings(look), installs, migrations);
  const whole = together(own, otherToolFindings(look, own));
  const literal = databases.length === 0 && !inCompose && !inFile ? literalNotes(look) : [];
  const insideCompose = databases.length === 0 && inCompose ? [composeNote([...urls.databases, ...parts.databases])] : [];
  return {
    found: withEnvFile(whole.found, environment.primary),
    notes: [...new Set([...insideCompose, ...whole.notes, ...literal, ...testNotes(look, environment)])],
    envFiles: environment.envFiles,
    shared: unique([...urls.inside, ...parts.inside, ...redis.inside, ...sharing.inside]),
    url: urlOf(detected.found, compose),
  };
}

/** Whether migrations bring it up to date: not a shadow database, nor that of tests. */
function isMigrated({ section, value }: Finding): boolean {
  const { type, data } = isMap(value) ? value : { type: value, data: undefined };
  return section === 'resources' && ['postgres', 'mysql', 'sqlite'].includes(String(type)) && data === undefined;
}

/** A variable is a resource or computed, not both. */
function withoutTwice(found: Finding[]): Finding[] {
  const resources = new Set(found.flatMap(({ section, name }) => (section === 'resources' ? [name] : [])));
  return found.filter(({ section, name }) => section !== 'env' || !resources.has(name));
}

function composeNote(databases: Database[]): string {
  const [one] = databases;
  return `The database \`${one?.database}\` is taken to be the one that the compose file publishes, so each worktree's Compose project has its own, empty at first. If ${one?.variable} means a server outside of Compose, see docs/resources/${one?.engine}.md of coppice.`;
}

/** What stands for a variable of an env file that is not the root's: a port's number, a part of a database, a URL read from there. */
function placeOf(variable: Variable, found: Finding[], port: (variable: Variable) => string | null): string | null {
  const template = port(variable);
  if (template !== null) return template;
  const { name, file } = variable;
  if (found.some((one) => one.section === 'env' && one.name === name)) return `{{${name}}}`;
  for (const { section, name: resource, value } of found) {
    if (section !== 'resources' || !isMap(value)) continue;
    if (value.from === fromFile(file, name)) return `{{${resource}}}`;
    if (isMap(value.vars) && value.vars.database === name) return `{{resources.${resource}.database}}`;
  }
  return null;
}

/** Where other files are named, the default for env files is not taken: the one that gets the variables is named too. */
function withEnvFile(found: Finding[], primary: string): Finding[] {
  const files = found.filter(({ section }) => section === 'files');
  const variables = found.some(
    ({ section, value }) => section === 'env' || (section === 'resources' && !(isMap(value) && value.export === false)),
  );
  if (files.length === 0 || !variables || files.some(({ name }) => /(^|\/)\.env[^/]*$/.test(name))) return found;
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
