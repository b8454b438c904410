import { Failure } from '../outcome.ts';
import { isMap as isData } from '../resources/compose/file.ts';
import { readPort } from '../resources/compose/ports.ts';
import type { Environment } from './env-files.ts';
import { type Finding, type Findings, finding, nothing } from './findings.ts';
import { type Look, packageFolders, packageJson } from './look.ts';

export const PROJECT = 'COMPOSE_PROJECT_NAME';

/** A host port that the compose file publishes. */
export interface PublishedPort {
  service: string;
  /** On the host, as the main worktree has it. */
  host: number;
  target: number;
  /** The variable that names it, `"${PORT:-3000}:3000"`; null: it is written out. */
  variable: string | null;
  image: string;
  /** Whether the container gets an env file: then a variable in it means the port inside. */
  envFile: boolean;
}

/** What a compose file means for the rest. */
export interface ComposeUse {
  ports: PublishedPort[];
  services: string[];
  /** The names of services whose image is a database or the like. */
  stores: string[];
}

const STORE =
  /(^|\/)(postgres|postgis|pgvector|timescaledb|mysql|mariadb|percona|redis|valkey|mongo|elasticsearch|opensearch|rabbitmq|minio|meilisearch|typesense|clickhouse)/i;

/** Reads what the compose file publishes; null when there is none. */
export function readComposeUse(look: Look, { values }: Environment): ComposeUse | null {
  if (look.compose === null) return null;
  const { project } = look.compose;
  const images = new Map<string, string>();
  const withEnvFile = new Set<string>();
  for (const { data } of project.files)
    for (const [name, spec] of Object.entries(isData(data.services) ? data.services : {}))
      if (isData(spec)) {
        if (typeof spec.image === 'string') images.set(name, spec.image);
        if (spec.env_file !== undefined) withEnvFile.add(name);
      }
  const ports = project.services.flatMap(({ name, ports: entries }) =>
    entries.flatMap((entry): PublishedPort[] => {
      try {
        const { from, target } = readPort(entry, values, values);
        return from === null
          ? []
          : [
              {
                service: name,
                host: from,
                target,
                variable: variableOf(entry.written),
                image: images.get(name) ?? '',
                envFile: withEnvFile.has(name),
              },
            ];
      } catch (error) {
        // An entry that nobody understands is said at the set-up, with its line.
        if (error instanceof Failure) return [];
        throw error;
      }
    }),
  );
  const services = project.services.map(({ name }) => name);
  return { ports, services, stores: services.filter((name) => STORE.test(images.get(name) ?? '')) };
}

function variableOf(written: unknown): string | null {
  const text = isData(written) ? String(written.published ?? '') : String(written).replace(/:[^:{}]*$/, '');
  return /\$\{?([A-Za-z_][A-Za-z0-9_]*)/.exec(text)?.[1] ?? null;
}

/** What templates call a port that Compose publishes. */
export function portTemplate({ service, target }: PublishedPort): string {
  return `{{resources.${PROJECT}.${service.replace(/[^A-Za-z0-9_]/g, '_')}_${target}}}`;
}

/** A URL whose port is the one that Compose publishes here; null when it does not say its port, so that nobody can change it. */
export function movedUrl(url: string, published: PublishedPort): string | null {
  const port = new RegExp(`^([^/]*//(?:[^/?#]*@)?[^/?#:]*:)${published.host}(?!\\d)`);
  return port.test(url) ? url.replace(port, (_match, before: string) => before + portTemplate(published)) : null;
}

/** The literal port of the compose file that a number on this machine is; undefined when it is none. */
export function publishedAs(use: ComposeUse | null, port: number): PublishedPort | undefined {
  return use?.ports.find(({ host }) => host === port);
}

/**
 * A project of the worktree's own.
 * @param starts whether steps need its databases
 */
export function composeFindings(look: Look, use: ComposeUse | null, starts: boolean): Findings {
  if (look.compose === null || use === null)
    return { ...nothing(), notes: look.unreadable.map((why) => `The compose file was left out: ${why}`) };
  const { project, named } = look.compose;
  const literal = use.ports.filter(({ variable }) => variable === null);
  const names = project.services.filter(({ containerName }) => containerName).map(({ name }) => name);
  const resets = [...literal.map(({ service, host }) => `${host} (${service})`), ...names.map((name) => `the container_name of ${name}`)];
  const options = {
    ...(named !== null && { files: named }),
    ...(starts && { up: true, services: use.stores }),
  };
  const value = Object.keys(options).length === 0 ? 'compose' : { type: 'compose', ...options };
  const file = project.files[0]?.name ?? 'the compose file';
  const why = [
    `a Compose project of its own from ${file}${resets.length > 0 ? `; each worktree gets others for ${resets.join(', ')}` : ''}`,
    ...(starts ? [`${use.stores.join(', ')} started before the steps, which need ${use.stores.length > 1 ? 'them' : 'it'}`] : []),
  ].join('; ');
  const found: Finding[] = [finding('resources', PROJECT, value, why)];
  // Compose itself moves one that needs rights to a higher one.
  for (const { variable, host, service } of use.ports)
    if (variable !== null && host >= 1024)
      found.push(finding('resources', variable, host, `the port of ${service} in ${file}, which follows this variable`));
  return { found, notes: [...project.warnings.map((warning) => `Shared by all worktrees: ${warning}.`), ...dashF(look)] };
}

/** `-f` on the command line beats COMPOSE_FILE. */
function dashF(look: Look): string[] {
  return packageFolders(look).flatMap((folder) =>
    Object.entries(packageJson(look, folder)?.scripts ?? {}).flatMap(([name, command]) =>
      /\bdocker[ -]compose\b.*\s(-f|--file|-p|--project-name)[ =]/.test(command)
        ? [
            `The script \`${name}\` calls Compose with \`-f\` or \`-p\`, which beat this worktree's COMPOSE_FILE and COMPOSE_PROJECT_NAME: leave them out, the variables say it.`,
          ]
        : [],
    ),
  );
}
