import { isOnThisMachine } from '../resources/address.ts';
import type { CodeDefault } from './code-defaults.ts';
import { portTemplate, publishedAs } from './compose.ts';
import { type Database, type DatabaseFindings, type DatabaseInput, type EngineName, ownsNote } from './databases.ts';
import { finding, nothing } from './findings.ts';
import { type Look, textOf } from './look.ts';

type Part = 'host' | 'port' | 'user' | 'password' | 'database';

const SUFFIXES: Record<Part, string[]> = {
  host: ['HOST', 'HOSTNAME', 'SERVER'],
  port: ['PORT'],
  user: ['USERNAME', 'USER', 'LOGIN'],
  password: ['PASSWORD', 'PASS', 'PWD'],
  database: ['DATABASE', 'DATABASE_NAME', 'NAME', 'DB', 'DB_NAME', 'DBNAME'],
};
const PREFIXES = /^(DB|DATABASE|POSTGRES|POSTGRESQL|PG|MYSQL|MARIADB|TYPEORM|SQL)$/;

/** The variables of one connection: the name of each part's variable. */
export interface PartGroup {
  prefix: string;
  vars: Partial<Record<Part, string>>;
}

/** Groups of variables that say the parts of one connection: `DB_HOST`, `DB_PORT`, `DB_DATABASE` …, `PGHOST` … */
function partGroups(names: readonly string[]): PartGroup[] {
  const groups = new Map<string, PartGroup>();
  for (const part of Object.keys(SUFFIXES) as Part[]) {
    for (const suffix of SUFFIXES[part]) {
      for (const name of names) {
        const [, prefix = '', separator = ''] = new RegExp(`^(.*?)(_?)${suffix}$`).exec(name) ?? [];
        if (prefix === '' || (separator === '' && prefix !== 'PG')) continue;
        const group = groups.get(prefix) ?? { prefix, vars: {} };
        groups.set(prefix, group);
        group.vars[part] ??= name;
      }
    }
  }
  return [...groups.values()].filter(({ prefix, vars }) => {
    if (vars.database === undefined) return false;
    return PREFIXES.test(prefix)
      ? vars.host !== undefined || vars.user !== undefined
      : /(^|_)(DB|DATABASE|POSTGRES|PG|MYSQL)$/.test(prefix) && vars.host !== undefined;
  });
}

/** Databases that the app reads in parts. @param found what URLs have given: a database that they name is one resource with them */
export function partDatabases(look: Look, input: DatabaseInput, found: Database[]): DatabaseFindings {
  const { environment, defaults, compose, owns } = input;
  const result: DatabaseFindings = { ...nothing(), databases: [], inside: [], shared: false };
  const inFiles = new Map(environment.variables.filter(({ file }) => !file.includes('/')).map(({ name, value }) => [name, value]));
  const inCode = new Map(defaults.map(({ name, value }) => [name, value]));
  for (const { prefix, vars } of partGroups([...new Set([...inFiles.keys(), ...inCode.keys()])])) {
    const value = (part: Part) => {
      const name = vars[part];
      return name === undefined ? undefined : (inFiles.get(name) ?? inCode.get(name) ?? undefined);
    };
    const [host = 'localhost', database, password = ''] = [value('host'), value('database'), value('password')];
    const engine = engineFor(
      look,
      prefix,
      value('port'),
      inFiles.get(`${prefix}_CONNECTION`) ?? inCode.get(`${prefix}_CONNECTION`) ?? null,
    );
    if (engine === null || database === undefined || database === '') continue;
    const port = Number(value('port') || (engine === 'postgres' ? 5432 : 3306));
    if (!isOnThisMachine(host)) {
      if (compose?.services.includes(host)) continue;
      result.shared = true;
      result.notes.push(
        `${vars.host} names a server that is not on this machine (${host}): all worktrees share the database \`${database}\` there.`,
      );
      continue;
    }
    const published = publishedAs(compose, port);
    const key = `localhost:${port}/${database}`;
    if (published !== undefined) {
      if (vars.port === undefined) {
        result.notes.push(
          `${vars.database} names a database at port ${port}, which Compose publishes elsewhere for each worktree, and no variable says the port: the app goes on to use the main worktree's. Read the port from a variable, then run \`coppice init\` again.`,
        );
        result.shared = true;
        continue;
      }
      if (!inFiles.has(vars.port))
        result.found.push(finding('env', vars.port, portTemplate(published), `the port that Compose publishes ${published.service} on`));
      if (!found.some((known) => known.key === key))
        result.databases.push({ engine, key, variable: vars.database ?? prefix, resource: null, database });
      continue;
    }
    const known = [...found, ...result.databases].find((other) => other.key === key);
    if (known !== undefined) {
      if (known.resource !== null && vars.database !== undefined)
        result.found.push(
          finding('env', vars.database, `{{resources.${known.resource}.database}}`, `names the same database as ${known.resource}`),
        );
      continue;
    }
    const resource = inFiles.has(prefix) || found.some((other) => other.resource === prefix) ? `${prefix}_PARTS` : prefix;
    const used = Object.fromEntries(
      (['host', 'port', 'user', 'password', 'database'] as const).flatMap((part) => (vars[part] ? [[part, vars[part]]] : [])),
    );
    const fallback = defaultsOf(vars, inFiles, inCode);
    if (password === '' || (vars.password !== undefined && inFiles.has(vars.password))) {
      const patterns = owns(engine);
      const options = {
        type: engine,
        vars: used,
        ...(Object.keys(fallback).length > 0 && { default: fallback }),
        ...(patterns.length > 0 && { owns: patterns }),
      };
      const where =
        vars.database !== undefined && inFiles.has(vars.database)
          ? (environment.onlySample ?? environment.primary)
          : fileOf(defaults, vars.database);
      result.found.push(
        finding(
          'resources',
          resource,
          options,
          `a copy of the database \`${database}\`, whose parts ${where} names${ownsNote(patterns.length > 0 ? patterns : undefined)}`,
        ),
      );
      result.databases.push({ engine, key, variable: vars.database ?? prefix, resource, database });
    } else {
      result.shared = true;
      result.notes.push(
        `${vars.password} has its default in code, and the config holds no password: the database \`${database}\` is left shared. Set ${vars.password} in ${environment.primary}, then run \`coppice init\` again.`,
      );
    }
  }
  return result;
}

function fileOf(defaults: CodeDefault[], name: string | undefined): string {
  return defaults.find((one) => one.name === name)?.file ?? 'the code';
}

/** What the code takes for parts that no env file sets; never a password. */
function defaultsOf(vars: PartGroup['vars'], inFiles: Map<string, string>, inCode: Map<string, string | null>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [part, name] of Object.entries(vars) as [Part, string][]) {
    const value = inCode.get(name);
    if (inFiles.has(name) || value === null || value === undefined || value === '') continue;
    if (part !== 'password') found[part] = value;
  }
  return found;
}

/** By its port, its prefix, or what the app's own config says; null when nothing tells. */
function engineFor(look: Look, prefix: string, port: string | undefined, connection: string | null): EngineName | null {
  if (connection !== null) return /^pg|postgres/.test(connection) ? 'postgres' : /mysql|maria/.test(connection) ? 'mysql' : null;
  if (/^(PG|POSTGRES)/.test(prefix) || port === '5432') return 'postgres';
  if (/^(MYSQL|MARIADB)/.test(prefix) || port === '3306') return 'mysql';
  return engineOfCode(look);
}

const ADAPTERS: [EngineName, RegExp][] = [
  [
    'postgres',
    /adapter: *["']?(postgres|postgis)|Ecto\.Adapters\.Postgres|:postgrex|backends\.postgresql|jdbc:postgresql|"(pg|postgres)": *"|gem ["']pg["']|psycopg|jackc\/pgx|lib\/pq/,
  ],
  [
    'mysql',
    /adapter: *["']?(mysql2|trilogy)|Ecto\.Adapters\.MyXQL|:myxql|backends\.mysql|jdbc:(mysql|mariadb)|"(mysql2?|mariadb)": *"|gem ["'](mysql2|trilogy)["']|mysqlclient|go-sql-driver\/mysql/,
  ],
];

/** The engine that the app's own files name. */
export function engineOfCode(look: Look): EngineName | null {
  const texts = [...look.files].map((file) => textOf(look, file)).filter((text) => text !== '');
  return ADAPTERS.find(([, pattern]) => texts.some((text) => pattern.test(text)))?.[0] ?? null;
}
