import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Failure } from '../../src/outcome.ts';
import { findComposeFiles, readProject } from '../../src/resources/compose/file.ts';
import { blockName, findBlock, interpolate, type PortEntry, readPort } from '../../src/resources/compose/ports.ts';

const FIXTURES = path.resolve(import.meta.dirname, '../fixtures/compose');

const entry = (written: unknown): PortEntry => ({ service: 'web', written, place: 'compose.yaml:3' });
const moved = (written: unknown, first: number) => readPort(entry(written), {}, {}).withHost(first);

test.for<[unknown, unknown]>([
  ['3000:3000', '4000:3000'],
  ['127.0.0.1:3000:80/tcp', '127.0.0.1:4000:80/tcp'],
  ['[::1]:3000:80', '[::1]:4000:80'],
  ['5060:5060/udp', '4000:5060/udp'],
  ['3000-3005:3000-3005', '4000-4005:3000-3005'],
  ['3000-3001:80', '4000-4001:80'],
  [
    { target: 80, published: 8080, mode: 'host' },
    { target: 80, published: 4000, mode: 'host' },
  ],
  [
    { target: 80, published: '8080-8081', host_ip: '127.0.0.1' },
    { target: 80, published: '4000-4001', host_ip: '127.0.0.1' },
  ],
])('the host port of %j is replaced and all else is kept', ([written, expected]) => {
  expect(moved(written, 4000)).toEqual(expected);
});

test.for(['9000', 9000, '9000-9005', '0:80', '127.0.0.1::80', { target: 80 }])('%j has no fixed host port and is left', (written) => {
  expect(readPort(entry(written), {}, {}).from).toBe(null);
});

test.for(['a:b', '1:2:3:4', '70000:80', '3005-3000:80', true])('%j is refused with its place', (written) => {
  expect(() => readPort(entry(written), {}, {})).toThrow(/compose\.yaml:3.*`web`/);
});

test("a port that this worktree's variables already make another is left, one that they do not is not", () => {
  const written = entry('${PORT:-3000}:80');
  expect(readPort(written, {}, { PORT: '3010' })).toMatchObject({ from: null, own: 3010 });
  expect(readPort(written, { PORT: '3500' }, { PORT: '3500' })).toMatchObject({ from: 3500 });
  expect(readPort(written, {}, {})).toMatchObject({ from: 3000 });
});

test.for([
  ['$A-${A}-${B:-x}-${B-y}-${E:-e}-${E-f}', '1-1-x-y-e-'],
  ['${A:+set}${B:+set}$$A', 'set$A'],
  ['${B:-${C:-${A}}}', '1'],
])('%s is filled in as Compose does', ([text, expected]) => {
  expect(interpolate(text ?? '', { A: '1', E: '' })).toBe(expected);
});

test('a block is taken whole, above what is taken, and running out of ports is said with the place', async () => {
  const block = readPort(entry('3000-3011:80-91'), {}, {});
  expect(blockName(block)).toBe('3000-3011');
  const tried: number[][] = [];
  const take = (ports: number[]) => Promise.resolve(tried.push(ports) > 1);
  expect(await findBlock(block, 1, { usable: (port) => port !== 3045, take })).toBe(3060);
  expect(tried.map(([first]) => first)).toEqual([3020, 3060]);
  const high = readPort(entry('65530:80'), {}, {});
  await expect(findBlock(high, 1, { usable: () => true, take })).rejects.toThrow(/compose\.yaml:3: no port is left above 65530/);
});

test.for([
  [1, 3010],
  [7, 3070],
  [6254, 3010],
])('in slot %i the port 3000 is %i', async ([slot, expected]) => {
  const finder = { usable: () => true, take: () => Promise.resolve(true) };
  expect(await findBlock(readPort(entry('3000:80'), {}, {}), slot ?? 0, finder)).toBe(expected);
});

test('where the place of its slot is taken, a port gets the next, and after the last one the first', async () => {
  const tried: number[] = [];
  const take = ([port = 0]: number[]) => Promise.resolve(tried.push(port) > 3);
  const high = readPort(entry('65500:80'), {}, {});
  expect(await findBlock(high, 2, { usable: () => true, take: (ports) => take(ports) }).catch((error: Error) => error.message)).toMatch(
    /no port is left above 65500/,
  );
  expect(tried).toEqual([65_520, 65_530, 65_510]);
});

test('a low port gets one that needs no rights', async () => {
  const finder = { usable: () => true, take: () => Promise.resolve(true) };
  expect(await findBlock(readPort(entry('80:80'), {}, {}), 1, finder)).toBe(8090);
});

test('what cannot be isolated is said with its line', async () => {
  const project = await readProject(FIXTURES, ['shared-things.yaml']);
  expect(project.warnings).toEqual([
    expect.stringMatching(/^shared-things\.yaml:4: the service `app` .*network_mode: host/),
    expect.stringMatching(/^shared-things\.yaml:13: all worktrees share the volume `data` \(`external: true`\)/),
    expect.stringMatching(/^shared-things\.yaml:15: all worktrees share the volume `pg`: its `name:` is fixed/),
    expect.stringMatching(/^shared-things\.yaml:21: the network `back` has a fixed subnet/),
    expect.stringMatching(/^shared-things\.yaml:25: all worktrees share the network `outside`/),
  ]);
  expect([project.volumes, project.networks]).toEqual([['mine'], ['default', 'back']]);
  expect(project.plainVolumes).toEqual([]);
  expect((await readProject(FIXTURES, ['rails.yaml'])).plainVolumes).toEqual(['pg', 'bundle']);
});

test('ports come from merged, extended and included files, and tags of Compose undo them', async () => {
  const ports = async (...files: string[]) =>
    Object.fromEntries((await readProject(FIXTURES, files)).services.map(({ name, ports }) => [name, ports.map(({ written }) => written)]));
  expect(await ports('base.yaml', 'base.override.yaml')).toEqual({
    web: ['3000:3000', '3001:3001', '9229:9229'],
    mail: [],
    extra: ['3000:80'],
  });
  expect(await ports('profiles.yaml')).toEqual({
    api: ['9229:9229', '4000:4000'],
    tools: ['4983:4983'],
    worker: ['9229:9229', '4000:4000'],
  });
  expect(await ports('including.yaml')).toEqual({ db: ['5432:5432'], web: ['3000:3000'] });
});

test('the files are those that Compose would find, its override among them', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-compose-'));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  for (const name of ['docker-compose.yml', 'docker-compose.override.yml']) fs.writeFileSync(path.join(folder, name), '');
  expect(findComposeFiles(folder, null)).toEqual(['docker-compose.yml', 'docker-compose.override.yml']);
  fs.writeFileSync(path.join(folder, 'compose.yaml'), '');
  expect(findComposeFiles(folder, null)[0]).toBe('compose.yaml');
});

test.for([
  ['services: { a: { <<: 3 } }', /^compose\.yaml: Merge sources must be maps/],
  ['services: { a: *nope }', /^compose\.yaml: Unresolved alias/],
  ['services: &all { a: *all }', /^compose\.yaml: an alias stands inside of what it names/],
  ['services: {}\n---\nservices: {}', /^compose\.yaml:2: a second YAML document/],
  ['include: [other.yaml]', /^compose\.yaml is included by what it includes/],
  ['services: { a: { extends: { file: none.yaml, service: a } } }', /^There is no none\.yaml/],
] as const)('%j fails with a sentence', async ([text, message]) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-compose-'));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, 'compose.yaml'), text);
  fs.writeFileSync(path.join(folder, 'other.yaml'), 'include: [compose.yaml]\n');
  const read = readProject(folder, ['compose.yaml']);
  await expect(read).rejects.toThrow(message);
  await expect(read).rejects.toBeInstanceOf(Failure);
});

test('a circle of `extends` ends, and what comes from elsewhere or is one for all is said', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-compose-'));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  const text = `include: ["https://example.com/compose.git", oci://example.com/x]
services:
  a: { extends: b, ports: ["1:1"] }
  b: { extends: a, build: ., image: shop }
  c: { network_mode: "container:shop_db" }
`;
  fs.writeFileSync(path.join(folder, 'compose.yaml'), text);
  const { services, warnings } = await readProject(folder, ['compose.yaml']);
  expect(services.map(({ ports }) => ports.length)).toEqual([1, 1, 0]);
  expect(warnings).toEqual([
    expect.stringMatching(/^compose\.yaml:1: https:\/\/example\.com\/compose\.git is not on this machine/),
    expect.stringMatching(/^compose\.yaml:1: oci:/),
    expect.stringMatching(/^compose\.yaml:4: the service `b` is built as `shop`/),
    expect.stringMatching(/^compose\.yaml:5: the service `c` uses the network of one certain container/),
  ]);
});

test('no compose file, or one that is none, is a sentence', async () => {
  expect(() => findComposeFiles(FIXTURES, null)).toThrow(/no compose file in this worktree/);
  expect(() => findComposeFiles(FIXTURES, ['nope.yaml'])).toThrow(/no nope\.yaml/);
  await expect(readProject(FIXTURES, ['README.md'])).rejects.toThrow(/README\.md/);
});
