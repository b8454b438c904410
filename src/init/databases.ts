import { type Address, isOnThisMachine, parseAddress, serverName } from '../resources/address.ts';
import type { CodeDefault } from './code-defaults.ts';
import { type ComposeUse, movedUrl, type PublishedPort, publishedAs } from './compose.ts';
import type { Environment, Variable } from './env-files.ts';
import { type Finding, type Findings, finding, nothing } from './findings.ts';
import { folderOf } from './look.ts';

export type EngineName = 'postgres' | 'mysql';
const ENGINES: Record<EngineName, { title: string; port: number; url: RegExp }> = {
  postgres: { title: 'PostgreSQL', port: 5432, url: /^(jdbc:)?(postgres|postgresql|postgis|ecto)(\+[\w+]+)?:\/\// },
  mysql: { title: 'MySQL', port: 3306, url: /^(jdbc:)?(mysql|mysql2|mariadb|ecto)(\+[\w+]+)?:\/\// },
};

/** A database that the app uses, and who names it. */
export interface Database {
  engine: EngineName;
  /** `localhost:5432/shop`. */
  key: string;
  /** The variable that names it. */
  variable: string;
  /** The resource that it became; null when Compose has it. */
  resource: string | null;
  database: string;
}

export interface DatabaseFindings extends Findings {
  databases: Database[];
  /** Whether one was found that stays the same for all worktrees: then nothing may be migrated. */
  shared: boolean;
  /** Variables that name something which belongs to the worktree's Compose project: meant to stay as they are. */
  inside: { name: string; why: string }[];
}

/** What test runners make from a database, by what the app is made with. */
export type Owns = (engine: EngineName) => string[];

export interface DatabaseInput {
  environment: Environment;
  defaults: CodeDefault[];
  compose: ComposeUse | null;
  owns: Owns;
  /** The engine that `ecto://` means. */
  ecto: EngineName;
}

/** What is found while one looks through variables. */
interface Search extends DatabaseInput {
  /** Those of the code's defaults, which no env file sets. */
  fromCode: Variable[];
  taken: Set<string>;
  result: DatabaseFindings;
}

/** A variable with the database that it names. */
interface Named {
  variable: Variable;
  engine: EngineName;
  address: Address;
  key: string;
}

/** Variables that hold a database's URL: several that name one database become one resource, the others follow by themselves. */
export function urlDatabases(input: DatabaseInput): DatabaseFindings {
  const { environment, defaults } = input;
  const result: DatabaseFindings = { ...nothing(), databases: [], inside: [], shared: false };
  const search: Search = { ...input, fromCode: unsetDefaults(environment, defaults), taken: new Set(), result };
  for (const variable of [...environment.variables, ...search.fromCode, ...environment.testVariables]) lookAt(variable, search);
  return result;
}

/** The defaults of the code that count, because no env file sets the variable. */
export function unsetDefaults({ variables }: Environment, defaults: CodeDefault[]): Variable[] {
  const set = new Set(variables.map(({ name }) => name));
  return defaults.flatMap(({ name, value, file }) => (value === null || set.has(name) ? [] : [{ name, value, file }]));
}

function lookAt(variable: Variable, search: Search): void {
  const { name, value, file } = variable;
  const { compose, result, environment, fromCode, ecto } = search;
  const engine = engineOf(value, ecto);
  if (engine === null) return;
  if (/\$\{?\w/.test(value)) {
    leaveShared(
      result,
      `${name} in ${file} is made of other variables (\`\${…}\`), which coppice does not fill in: write it out, then run \`coppice init\` again.`,
    );
    return;
  }
  const address = parseAddress(value, ENGINES[engine].port);
  if (address === null || address.database === '') return;
  const named: Named = { variable, engine, address, key: `${serverName(address)}/${address.database}` };
  const published = publishedAs(compose, address.port);
  const known = result.databases.find(({ key }) => key === named.key)?.resource;
  if (!isOnThisMachine(address.host)) elsewhere(named, search);
  else if (fromCode.includes(variable) && address.password !== '')
    leaveShared(
      result,
      `${name} is read in ${file} with a password in its default, and the config holds none. Set it in ${environment.primary}, then run \`coppice init\` again.`,
    );
  else if (published !== undefined) inCompose(named, published, search);
  else if (known == null) addResource(named, search);
  // What follows by itself stands in an env file.
  else if (fromCode.includes(variable)) result.found.push(finding('env', name, `{{${known}}}`, `names the same database as ${known}`));
  else addFollower(result.found, known, name);
}

function leaveShared(result: DatabaseFindings, note: string): void {
  result.notes.push(note);
  result.shared = true;
}

/** On another machine, or in the network of the Compose project. */
function elsewhere({ variable: { name, file }, address, engine }: Named, { compose, result }: Search): void {
  if (compose?.services.includes(address.host)) {
    result.inside.push({ name, why: `\`${address.host}\` is the service of this worktree's own Compose project` });
    return;
  }
  leaveShared(
    result,
    `${name} in ${file} names a server that is not on this machine (${serverName(address)}): all worktrees share that database. If each may have a copy there: \`${name}: { type: ${engine}, from: "{{main.env.${name}}}" }\`.`,
  );
}

/** The database of the worktree's own project. In an env file the port follows by itself; a default of the code is said again. */
function inCompose({ variable, engine, address, key }: Named, published: PublishedPort, { result, fromCode }: Search): void {
  const { name, value, file } = variable;
  const moved = movedUrl(value, published);
  if (moved === null) {
    leaveShared(result, portNote(name, file, published.host));
    return;
  }
  if (fromCode.includes(variable))
    result.found.push(finding('env', name, moved, `the default of ${file}, at the port that Compose publishes ${published.service} on`));
  if (!result.databases.some((known) => known.key === key))
    result.databases.push({ engine, key, variable: name, resource: null, database: address.database });
}

function addResource({ variable, engine, address, key }: Named, { environment, fromCode, owns, taken, result }: Search): void {
  const { name, value, file } = variable;
  const { database } = address;
  const isCode = fromCode.includes(variable);
  const ofTests = environment.testVariables.includes(variable);
  const resource = freeName(ofTests ? testName(name) : name, file, taken);
  const shadow = /shadow/i.test(name);
  const test = ofTests || /test/i.test(name);
  const patterns = shadow ? [] : owns(engine);
  const options = {
    ...((isCode || ofTests || folderOf(file) !== '') && { from: isCode ? value : fromFile(file, name) }),
    ...(test && { data: 'schema' }),
    ...(shadow && { data: 'empty' }),
    ...(patterns.length > 0 && { owns: patterns }),
    ...(resource !== name && { export: false }),
  };
  taken.add(resource);
  result.databases.push({ engine, key, variable: name, resource, database });
  const what = `${test ? 'the tables of' : 'a copy of'} the ${ENGINES[engine].title} database \`${database}\` that ${file} names`;
  const why = (shadow ? 'an empty database of its own' : what) + ownsNote(options.owns);
  result.found.push(finding('resources', resource, Object.keys(options).length === 0 ? engine : { type: engine, ...options }, why));
}

/** A variable of another env file than those that are read by default. */
export function fromFile(file: string, name: string): string {
  return `{{envfile "${file}" "${name}"}}`;
}

/** What is called `DATABASE_URL` in a file for tests. */
export function testName(name: string): string {
  return /test/i.test(name) ? name : `TEST_${name}`;
}

export function ownsNote(owns: string[] | undefined): string {
  return owns === undefined ? '' : '; `owns`: what test runners make from it, dropped with it';
}

/** A URL that leaves its port to the reader goes to the main worktree's. */
export function portNote(name: string, file: string, port: number): string {
  return `${name} in ${file} does not say its port, which Compose publishes elsewhere for each worktree: write \`:${port}\` into it, then run \`coppice init\` again.`;
}

/** Which engine a URL is of; null when it is none. */
function engineOf(value: string, ecto: EngineName): EngineName | null {
  if (/^ecto:/.test(value)) return ecto;
  for (const engine of ['postgres', 'mysql'] as const) if (ENGINES[engine].url.test(value)) return engine;
  return null;
}

/** The reason of a resource, with one more variable that follows it. */
function addFollower(found: Finding[], resource: string, name: string): void {
  const one = found.find((candidate) => candidate.section === 'resources' && candidate.name === resource);
  if (one !== undefined && name !== resource && !one.why.includes(name))
    one.why = /(; .* follows?)$/.test(one.why) ? one.why.replace(/ follows?$/, `, ${name} follow`) : `${one.why}; ${name} follows`;
}

/** A variable's own name, or one with its folder where another has it. */
export function freeName(name: string, file: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name;
  const folder = folderOf(file).split('/').at(-1) ?? '';
  const longer = `${folder.replace(/[^A-Za-z0-9]+/g, '_').toUpperCase()}_${name}`.replace(/^_+/, '');
  const start = /^[A-Z_]/.test(longer) && !taken.has(longer) ? longer : name;
  let free = start;
  for (let number = 2; taken.has(free); number += 1) free = `${start}_${number}`;
  return free;
}
