import { isOnThisMachine, parseAddress, serverName } from '../resources/address.ts';
import type { CodeDefault } from './code-defaults.ts';
import { type ComposeUse, movedUrl, publishedAs } from './compose.ts';
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

/** Variables that hold a database's URL: several that name one database become one resource, the others follow by themselves. */
export function urlDatabases({ environment, defaults, compose, owns, ecto }: DatabaseInput): DatabaseFindings {
  const result: DatabaseFindings = { ...nothing(), databases: [], inside: [], shared: false };
  const set = new Set(environment.variables.map(({ name }) => name));
  const fromCode = defaults.flatMap(({ name, value, file }): Variable[] =>
    value === null || set.has(name) ? [] : [{ name, value, file }],
  );
  const taken = new Set<string>();
  for (const variable of [...environment.variables, ...fromCode, ...environment.testVariables]) {
    const engine = engineOf(variable.value, ecto);
    if (engine === null) continue;
    const { name, value, file } = variable;
    const { title, port } = ENGINES[engine];
    if (/\$\{?\w/.test(value)) {
      result.notes.push(
        `${name} in ${file} is made of other variables (\`\${…}\`), which coppice does not fill in: write it out, then run \`coppice init\` again.`,
      );
      result.shared = true;
      continue;
    }
    const address = parseAddress(value, port);
    if (address === null || address.database === '') continue;
    if (!isOnThisMachine(address.host)) {
      if (compose?.services.includes(address.host))
        result.inside.push({ name, why: `\`${address.host}\` is the service of this worktree's own Compose project` });
      else {
        result.shared = true;
        result.notes.push(
          `${name} in ${file} names a server that is not on this machine (${serverName(address)}): all worktrees share that database. If each may have a copy there: \`${name}: { type: ${engine}, from: "{{main.env.${name}}}" }\`.`,
        );
      }
      continue;
    }
    const published = publishedAs(compose, address.port);
    const key = `${serverName(address)}/${address.database}`;
    const known = result.databases.find((database) => database.key === key);
    const code = fromCode.includes(variable);
    const isSecret = code && !isWellKnown(address.password, [address.user, address.database]);
    if (isSecret) {
      result.notes.push(
        `${name} is read in ${file} with a password as its default. Set it in ${environment.primary}, then run \`coppice init\` again.`,
      );
      result.shared = true;
      continue;
    }
    if (published !== undefined) {
      const moved = movedUrl(value, published);
      if (moved === null) {
        result.notes.push(portNote(name, file, published.host));
        result.shared = true;
        continue;
      }
      // In an env file it follows by itself.
      if (code)
        result.found.push(
          finding('env', name, moved, `the default of ${file}, at the port that Compose publishes ${published.service} on`),
        );
      if (known === undefined) result.databases.push({ engine, key, variable: name, resource: null, database: address.database });
      continue;
    }
    if (known !== undefined) {
      if (known.resource !== null) addFollower(result.found, known.resource, name);
      continue;
    }
    const ofTests = environment.testVariables.includes(variable);
    const resource = freeName(ofTests ? testName(name) : name, file, taken);
    const fromElsewhere = code || ofTests || folderOf(file) !== '';
    const from = code ? value : fromFile(file, name);
    const test = ofTests || /test/i.test(name);
    const shadow = /shadow/i.test(name);
    const patterns = owns(engine);
    const options = {
      ...(fromElsewhere && { from }),
      ...(test && { data: 'schema' }),
      ...(shadow && { data: 'empty' }),
      ...(patterns.length > 0 && !shadow && { owns: patterns }),
      ...(resource !== name && { export: false }),
    };
    taken.add(resource);
    result.databases.push({ engine, key, variable: name, resource, database: address.database });
    const what = shadow ? 'an empty database of its own' : test ? 'the tables of' : 'a copy of';
    const why = shadow ? what : `${what} the ${title} database \`${address.database}\` that ${file} names`;
    result.found.push(
      finding(
        'resources',
        resource,
        Object.keys(options).length === 0 ? engine : { type: engine, ...options },
        why + ownsNote(options.owns),
      ),
    );
  }
  return result;
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
function engineOf(value: string, ecto: EngineName = 'postgres'): EngineName | null {
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

/** Passwords that are no secret where code that git has says them: those of every tutorial, and the user's own name. */
export function isWellKnown(password: string, names: string[]): boolean {
  return (
    ['', 'postgres', 'password', 'root', 'secret', 'mysql', 'admin', 'dev', 'development', 'app'].includes(password) ||
    names.includes(password)
  );
}
