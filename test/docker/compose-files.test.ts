import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { readProject } from '../../src/resources/compose/file.ts';
import { overriding, rewriting } from '../../src/resources/compose/generate.ts';
import { readPort } from '../../src/resources/compose/ports.ts';
import { type Compose, startDocker } from '../fixtures/servers/docker.ts';
import { makeWorld, writeFiles } from '../fixtures/world.ts';

const engine = await startDocker();
const FIXTURES = path.resolve(import.meta.dirname, '../fixtures/compose');

const CORPUS: [string[], Compose[]][] = [
  [['rails.yaml'], ['v1', 'v2']],
  [['laravel.yml'], ['v1', 'v2']],
  [['long.yaml'], ['v2']],
  [['ranges.yaml'], ['v1', 'v2']],
  [['profiles.yaml'], ['v1', 'v2']],
  [['shared-things.yaml'], ['v1', 'v2']],
  [['base.yaml', 'base.override.yaml'], ['v2']],
  [['including.yaml'], ['v2']],
  [['hostile.yaml'], ['v2']],
  [['hostile-v1.yaml'], ['v1', 'v2']],
];
const cases = CORPUS.flatMap(([files, composes]) => composes.map((compose) => ({ files: files.join(' '), compose })));

interface Resolved {
  services: Record<
    string,
    { ports?: unknown[]; container_name?: string; labels?: Record<string, string>; volumes?: unknown[]; build?: { context: string } }
  >;
}

/** What Compose makes of these files. */
function config(compose: Compose, files: string[], cwd: string): Resolved {
  const [command, words] = compose === 'v1' ? ['docker-compose', []] : ['docker', ['compose', '--profile', '*']];
  const env: NodeJS.ProcessEnv = {
    HOME: '/nonexistent',
    ...engine.env(compose),
    COMPOSE_PROJECT_NAME: 'own',
    COMPOSE_FILE: files.join(':'),
  };
  const words2 = compose === 'v1' ? ['--profile', 'tools'] : words;
  // docker-compose 1 says the same in two ways.
  const text = execFileSync(path.join(env.PATH ?? '', command), [...words2, 'config'], { cwd, env, encoding: 'utf8' });
  return parse(text.replace(/^( {6}\w+:) null$/gm, '$1 {}')) as Resolved;
}

/** Every published host port, as Compose says it. */
function hostPorts({ services }: Resolved): number[] {
  return Object.values(services).flatMap(({ ports = [] }) =>
    ports.flatMap((port) => {
      const published =
        typeof port === 'string' ? /^(?:.*:)?(\d+):\d+(?:\/\w+)?$/.exec(port)?.[1] : (port as { published?: string }).published;
      return published === undefined ? [] : [Number(published)];
    }),
  );
}

test.for(cases)(
  '$files, read by Compose $compose: every host port is moved, no name is fixed, all else is as it was',
  async ({ files, compose }) => {
    const world = makeWorld();
    const root = path.join(world.root, 'app');
    fs.cpSync(FIXTURES, root, { recursive: true });
    fs.mkdirSync(path.join(root, 'vendor/laravel/sail/runtimes/8.3'), { recursive: true });
    const project = await readProject(root, files.split(' '));
    const MOVED = 20_000;
    const ports = (service: string) =>
      project.services
        .filter(({ name }) => name === service)
        .flatMap((one) => one.ports.map((entry) => readPort(entry, {}, {})))
        .map((published) => ({ published, first: published.from === null ? null : published.from + MOVED }));
    const generated = compose === 'v1' ? await rewriting(project, ports, 'id') : overriding(project, ports, 'id');
    const folder = path.join(world.root, 'generated');
    writeFiles(folder, generated.written);
    const before = config(
      compose,
      project.files.map((file) => file.path),
      root,
    );
    const after = config(
      compose,
      generated.order.map((file) => (path.isAbsolute(file) ? file : path.join(folder, file))),
      root,
    );
    expect(hostPorts(before).length).toBeGreaterThan(0);
    expect(hostPorts(after).sort()).toEqual(
      hostPorts(before)
        .map((port) => port + MOVED)
        .sort(),
    );
    for (const service of Object.values(after.services))
      expect([service.container_name, service.labels?.['coppice.worktree']]).toEqual([undefined, 'id']);
    const rest = ({ services }: Resolved) =>
      Object.fromEntries(
        Object.entries(services).map(([name, { ports: _ports, container_name: _name, labels: _labels, volumes = [], ...other }]) => [
          name,
          { ...other, volumes: volumes.map((volume) => JSON.stringify(volume)).sort() },
        ]),
      );
    expect(rest(after)).toEqual(rest(before));
  },
);
