import { type ComposeUse, portTemplate, publishedAs } from './compose.ts';
import type { DevServer } from './dev-server.ts';
import type { Environment, Variable } from './env-files.ts';
import { type Finding, type Findings, finding } from './findings.ts';
import { folderOf } from './look.ts';

/** Ports of what an app connects to: not its own. */
const CONNECTION =
  /^(.*_)?(DB|DATABASE|POSTGRES\w*|PG|MYSQL|MARIADB|SQL|REDIS|VALKEY|MAIL\w*|SMTP|EMAIL|IMAP|RABBITMQ|AMQP|MONGO\w*|ELASTIC\w*|OPENSEARCH|MEILI\w*|TYPESENSE|MEMCACHED?|KAFKA|S3|MINIO|LDAP|PUSHER|FTP|SFTP|NATS|CLICKHOUSE|STATSD|PROXY|SSH|DEBUG)_?PORT$|^PGPORT$/;

export interface Ports extends Findings {
  /** What stands for a number that an env file has for a port: `{{API_PORT}}`. */
  templateFor(variable: Variable): string | null;
}

interface Port {
  name: string;
  base: number;
  /** The variable under which the app reads it, and where, when the resource has another name. */
  export: boolean;
  why: string;
}

/** What is found while one looks through variables, then through servers. */
interface Search {
  environment: Environment;
  compose: ComposeUse | null;
  ports: Port[];
  env: Finding[];
  notes: string[];
  /** What stands for a variable of a file, by {@link keyOf}. */
  templates: Map<string, string>;
  /** The names that are given. */
  taken: Set<string>;
}

/** The ports that the app listens on: from env files, else from how it is started. */
export function portFindings(environment: Environment, servers: DevServer[], compose: ComposeUse | null): Ports {
  const search: Search = { environment, compose, ports: [], env: [], notes: [], templates: new Map(), taken: new Set() };
  for (const variable of environment.variables) lookAtVariable(variable, search);
  for (const server of servers) lookAtServer(server, search);
  const { ports, env, notes, templates } = search;
  ports.push(...fromAddresses(environment, ports, compose));
  return {
    found: [...ports.map(asFinding), ...env],
    notes,
    templateFor: (variable) => templates.get(keyOf(variable)) ?? null,
  };
}

function lookAtVariable(variable: Variable, { compose, ports, env, notes, templates, taken }: Search): void {
  const port = ownPort(variable);
  if (port === null) {
    env.push(...connectionPort(variable, compose));
    return;
  }
  const { name, file } = variable;
  const isRoot = folderOf(file) === '';
  const put = (template: string) => templates.set(keyOf(variable), template);
  const published = publishedAs(compose, port);
  const known = ports.find(({ base }) => base === port);
  if (published?.variable === name) put(`{{${name}}}`);
  else if (published?.envFile && published.target === port)
    notes.push(
      `${name} in ${file} is also the port inside the container of ${published.service}, so it stays; Compose publishes another one.`,
    );
  else if (published !== undefined) {
    put(portTemplate(published));
    if (isRoot) env.push(finding('env', name, portTemplate(published), `the port that Compose publishes ${published.service} on`));
  } else if (known !== undefined) {
    put(`{{${known.name}}}`);
    if (known.name !== name && isRoot) env.push(finding('env', name, `{{${known.name}}}`, `the same port as ${known.name}`));
  } else {
    const own = isRoot ? name : nestedName(name, file, taken);
    taken.add(own);
    ports.push({ name: own, base: port, export: own === name, why: `${port} in ${file} stays the main worktree's` });
    put(`{{${own}}}`);
  }
}

function lookAtServer(server: DevServer, search: Search): void {
  const { environment, compose, ports, env, notes, taken } = search;
  const { variable, title, port } = server;
  const published = publishedAs(compose, port);
  const known =
    portOf(server, ports, environment) ?? (published === undefined ? addServer(server, ports, taken, environment) : published.variable);
  const isRead = variable !== null && server.folder === '' && !taken.has(variable);
  if (known !== null) notes.push(...serverNotes(server, known, environment));
  if (!isRead || variable === known) return;
  if (known !== null) env.push(finding('env', variable, `{{${known}}}`, `what ${title} reads`));
  else if (published !== undefined && !published.envFile)
    env.push(finding('env', variable, portTemplate(published), `what ${title} reads where Compose does not start it`));
  taken.add(variable);
}

/** The port that a server takes: what its variable says where it reads one that is set, else its own. */
function portOf({ port, variable, folder }: DevServer, ports: Port[], { variables }: Environment): string | null {
  const said = variables.find(({ name, file }) => name === variable && (folderOf(file) === folder || folderOf(file) === ''));
  const number = said === undefined ? port : Number(said.value);
  return ports.find(({ base }) => base === number)?.name ?? null;
}

function keyOf({ name, value, file }: Variable): string {
  return `${folderOf(file)} ${name}=${value}`;
}

/** A variable that says which port the app itself takes. */
function ownPort({ name, value }: Variable): number | null {
  if (!/(^|_)PORT$/.test(name) || CONNECTION.test(name) || !/^\d{2,5}$/.test(value)) return null;
  const port = Number(value);
  return port >= 1024 && port <= 65_000 ? port : null;
}

/** The port of a server that the worktree's Compose project publishes elsewhere. */
function connectionPort({ name, value, file }: Variable, compose: ComposeUse | null): Finding[] {
  if (!/PORT$/.test(name) || !/^\d{2,5}$/.test(value) || folderOf(file) !== '') return [];
  const published = publishedAs(compose, Number(value));
  if (published === undefined || published.variable === name) return [];
  return [finding('env', name, portTemplate(published), `the port that Compose publishes ${published.service} on`)];
}

/** `PORT` of apps/api is `API_PORT`; another name is its own. */
function nestedName(name: string, file: string, taken: ReadonlySet<string>): string {
  const folder = (folderOf(file).split('/').at(-1) ?? '').replace(/[^A-Za-z0-9]+/g, '_').toUpperCase();
  const long = name.startsWith(`${folder}_`) ? name : `${folder}_${name}`;
  const wanted = name === 'PORT' || taken.has(name) ? long : name;
  return /^[A-Z_]/.test(wanted) ? wanted : `APP_${wanted}`;
}

function addServer(server: DevServer, ports: Port[], taken: Set<string>, environment: Environment): string {
  const { title, port, variable, folder, fixed } = server;
  const plain = variable ?? (title === 'Vite' && (taken.has('PORT') || folder !== '') ? 'VITE_PORT' : 'PORT');
  const inEnv = environment.variables.some(({ name, file }) => name === plain && folderOf(file) === '');
  const name =
    folder !== '' && (plain === 'PORT' || taken.has(plain))
      ? nestedName('PORT', `${folder}/x`, taken)
      : taken.has(plain) || inEnv
        ? freeServerName(title, taken)
        : plain;
  taken.add(name);
  const where = fixed !== null ? `in ${fixed.replace(/^in /, '')}` : folder === '' ? `of ${title}` : `of ${title} in ${folder}`;
  ports.push({ name, base: port, export: folder === '' || name !== 'PORT', why: `${port} ${where} stays the main worktree's` });
  return name;
}

function freeServerName(title: string, taken: ReadonlySet<string>): string {
  const start =
    title
      .replace(/[^A-Za-z]+/g, '_')
      .replace(/^_+|_+$/g, '')
      .toUpperCase() || 'APP';
  let name = `${start}_PORT`;
  for (let number = 2; taken.has(name); number += 1) name = `${start}_PORT_${number}`;
  return name;
}

/** Which command ignores the variable, and how to change it. */
function serverNotes({ title, folder, variable, fixed, command, instead }: DevServer, name: string, environment: Environment): string[] {
  const there = folder === '' ? '' : ` in ${folder}`;
  const own = (text: string) => text.replaceAll(/\bPORT\b/g, name);
  if (variable === null) {
    const why = fixed === null ? `${title} does not read ${name}.` : `The port is written into ${fixed}, so ${name} is ignored.`;
    const ways = [
      ...(command === null ? [] : [`start it${there} with \`git coppice run -- sh -c '${own(command)}'\``]),
      ...(instead === null
        ? []
        : [`write \`${own(instead.text)}\` into ${instead.where} and start that with \`git coppice run --\` before it`]),
    ].join(', or ');
    return [`${why} ${ways.charAt(0).toUpperCase()}${ways.slice(1)}.`];
  }
  if (variable === name || folder === '' || environment.variables.some((one) => one.name === variable && folderOf(one.file) === folder))
    return [];
  return [`${title} reads ${variable}: start it${there} with \`git coppice run -- sh -c '${variable}=$${name} …'\`.`];
}

/** An address of the app in a variable, where nothing else says its port. */
function fromAddresses(environment: Environment, ports: Port[], compose: ComposeUse | null): Port[] {
  if (ports.length > 0) return [];
  for (const { name, value, file } of environment.variables) {
    const port = Number(/^https?:\/\/(?:localhost|127\.0\.0\.1):(\d{2,5})(?:\/|$)/.exec(value)?.[1] ?? 0);
    if (!/^(APP|BASE|SITE|PUBLIC|NEXTAUTH|AUTH|SERVER|WEB|FRONTEND|HOST|ROOT|NEXT_PUBLIC_\w+)_?(URL|ORIGIN|HOST)?$/.test(name)) continue;
    if (port > 0 && publishedAs(compose, port) === undefined)
      return [{ name: 'PORT', base: port, export: true, why: `${port} in ${name} of ${file} stays the main worktree's` }];
  }
  return [];
}

function asFinding({ name, base, export: exported, why }: Port): Finding {
  return finding('resources', name, exported ? base : { type: 'port', base, export: false }, why);
}
