import { Failure } from '../outcome.ts';
import { isOnThisMachine, parseAddress } from '../resources/address.ts';
import { REDIS_PORT, type RedisAddress, redisAddress } from '../resources/redis/url.ts';
import type { CodeDefault } from './code-defaults.ts';
import { movedUrl, publishedAs } from './compose.ts';
import { type DatabaseInput, freeName, fromFile, portNote, testName, unsetDefaults } from './databases.ts';
import { type Findings, finding, nothing } from './findings.ts';
import { folderOf, type Look } from './look.ts';

export interface RedisFindings extends Findings {
  inside: { name: string; why: string }[];
}

const PUB_SUB = 'with pub/sub: `isolate: server`';

/** Redis, by URLs and by parts. Several variables that name one logical database become one resource. */
export function redisFindings(look: Look, input: DatabaseInput): RedisFindings {
  const { environment, defaults, compose } = input;
  const result: RedisFindings = { ...nothing(), inside: [] };
  const taken = new Set<string>();
  const seen = new Map<string, string>();
  const fromCode = unsetDefaults(environment, defaults);
  for (const variable of [...environment.variables, ...fromCode, ...environment.testVariables]) {
    const { name, value, file } = variable;
    if (!/^(rediss?|valkeys?):\/\//.test(value)) continue;
    const address = addressOf(value, name);
    if (address === null) continue;
    if (!isOnThisMachine(address.host)) {
      if (compose?.services.includes(address.host))
        result.inside.push({ name, why: `\`${address.host}\` is the service of this worktree's own Compose project` });
      else result.notes.push(`${name} in ${file} names a Redis that is not on this machine (${address.server}): all worktrees share it.`);
      continue;
    }
    const code = fromCode.includes(variable);
    const published = publishedAs(compose, address.port);
    if (published !== undefined) {
      const moved = movedUrl(value, published);
      if (moved === null) result.notes.push(portNote(name, file, published.host));
      else if (code && address.password === '')
        result.found.push(
          finding('env', name, moved, `the default of ${file}, at the port that Compose publishes ${published.service} on`),
        );
      continue;
    }
    if (code && address.password !== '') continue;
    const key = `${address.server}/${address.index}`;
    const known = seen.get(key);
    if (known !== undefined) {
      // What follows by itself stands in an env file.
      if (code) result.found.push(finding('env', name, `{{${known}}}`, `names the same database as ${known}`));
      continue;
    }
    const ofTests = environment.testVariables.includes(variable);
    const resource = freeName(ofTests ? testName(name) : name, file, taken);
    taken.add(resource);
    seen.set(key, resource);
    const elsewhere = code || ofTests || folderOf(file) !== '';
    const options = {
      ...(elsewhere && { from: code ? value : fromFile(file, name) }),
      ...(resource !== name && { export: false }),
    };
    const followers = environment.variables
      .filter((other) => other.name !== name && keyOf(other.value, other.name) === key)
      .map((other) => other.name);
    const why = `a logical database of its own${followers.length > 0 ? `; ${followers.join(', ')} follow${followers.length > 1 ? '' : 's'}` : ''} (${PUB_SUB})`;
    result.found.push(finding('resources', resource, Object.keys(options).length === 0 ? 'redis' : { type: 'redis', ...options }, why));
  }
  if (seen.size === 0) parts(look, input, defaults, result);
  return result;
}

function addressOf(value: string, name: string): RedisAddress | null {
  const address = parseAddress(value, REDIS_PORT);
  if (address === null) return null;
  try {
    return redisAddress(address, name);
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

function keyOf(value: string, name: string): string | null {
  if (!/^(rediss?|valkeys?):\/\//.test(value)) return null;
  const address = addressOf(value, name);
  return address === null ? null : `${address.server}/${address.index}`;
}

/** REDIS_HOST, REDIS_PORT …: with a variable for the index a logical database, else a server of its own. */
function parts(look: Look, { environment, compose }: DatabaseInput, defaults: CodeDefault[], result: RedisFindings): void {
  const value = (name: string) => environment.values[name] ?? defaults.find((one) => one.name === name)?.value ?? undefined;
  const known = (...names: string[]) =>
    names.find((name) => Object.hasOwn(environment.values, name) || defaults.some((one) => one.name === name));
  const host = known('REDIS_HOST');
  const port = known('REDIS_PORT');
  if (host === undefined && port === undefined) return;
  const where = (host === undefined ? undefined : value(host)) || '127.0.0.1';
  const number = Number((port === undefined ? undefined : value(port)) || REDIS_PORT);
  if (!isOnThisMachine(where)) {
    if (!compose?.services.includes(where))
      result.notes.push(`REDIS_HOST names a Redis that is not on this machine (${where}): all worktrees share it.`);
    return;
  }
  if (publishedAs(compose, number) !== undefined) return;
  const laravel = look.files.has('artisan');
  const index = known('REDIS_DB', 'REDIS_DATABASE') ?? (laravel ? 'REDIS_DB' : undefined);
  const password = known('REDIS_PASSWORD');
  const vars = {
    ...(host && { host }),
    ...(port && { port }),
    ...(password && { password }),
    ...(index && { database: index }),
  };
  const fallback = { ...(!Object.hasOwn(environment.values, 'REDIS_HOST') && { host: '127.0.0.1' }) };
  const options = { vars, ...(Object.keys(fallback).length > 0 && { default: fallback }) };
  if (index === undefined) {
    if (port === undefined) {
      result.notes.push('REDIS_HOST names a Redis of this machine, and no variable says which of its databases: all worktrees share it.');
      return;
    }
    const why = 'the app has no variable for the logical database: a redis-server of its own, which needs the program on this machine';
    result.found.push(finding('resources', 'REDIS', { type: 'redis', isolate: 'server', ...options }, why));
    return;
  }
  result.found.push(finding('resources', 'REDIS', { type: 'redis', ...options }, `a logical database of its own (${PUB_SUB})`));
  // config/database.php takes 1 for the cache, which may be another worktree's.
  if (laravel)
    result.found.push(
      finding(
        'env',
        'REDIS_CACHE_DB',
        '{{resources.REDIS.database}}',
        "the cache in this worktree's database too; keys have another prefix",
      ),
    );
}
