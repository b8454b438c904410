import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../src/resources/address.ts';
import { indexesIn, moveIndex, redisAddress } from '../../src/resources/redis/url.ts';

function read(url: string) {
  const address = parseAddress(url, 6379);
  if (address === null) throw new Error(`no URL: ${url}`);
  return redisAddress(address, 'REDIS_URL');
}

describe('of a Redis URL', () => {
  test.for([
    ['redis://localhost', 0, 'localhost:6379', 'redis://localhost/7'],
    ['redis://localhost/', 0, 'localhost:6379', 'redis://localhost/7'],
    ['redis://:pw@localhost:6380/0?x=y', 0, 'localhost:6380', 'redis://:pw@localhost:6380/7?x=y'],
    ['redis://user:p%40w%2F@127.0.0.1/12#f', 12, 'localhost:6379', 'redis://user:p%40w%2F@127.0.0.1/7#f'],
    ['rediss://[::1]:6390/2?ssl_cert_reqs=none', 2, 'localhost:6390', 'rediss://[::1]:6390/7?ssl_cert_reqs=none'],
    ['redis://localhost:6379/cache?db=2&timeout=3', 2, 'localhost:6379', 'redis://localhost:6379/cache?db=7&timeout=3'],
    ['redis://localhost?timeout=3&db=2', 2, 'localhost:6379', 'redis://localhost?timeout=3&db=7'],
    ['redis://localhost/?db=2', 2, 'localhost:6379', 'redis://localhost/?db=7'],
    ['redis://localhost/4?db=2', 2, 'localhost:6379', 'redis://localhost/7?db=7'],
    ['unix:///run/redis/redis.sock?db=3', 3, 'unix:/run/redis/redis.sock', 'unix:///run/redis/redis.sock?db=7'],
    ['unix://u:p@/run/redis.sock', 0, 'unix:/run/redis.sock', 'unix://u:p@/run/redis.sock?db=7'],
    ['redis+unix:///run/r.sock?a=b', 0, 'unix:/run/r.sock', 'redis+unix:///run/r.sock?a=b&db=7'],
    ['valkey://cache.internal:7000/1', 1, 'cache.internal:7000', 'valkey://cache.internal:7000/7'],
  ] as const)('%s only the index is changed', ([url, index, server, moved]) => {
    const address = read(url);
    expect(address).toMatchObject({ index, server });
    expect(address.withIndex(7)).toBe(moved);
  });

  test.for([
    ['redis://:pw@localhost:6380/0?x=y', 'redis://:pw@localhost:27100/0?x=y'],
    ['redis://localhost', 'redis://localhost:27100'],
    ['rediss://u:p@cache.internal/2', 'redis://u:p@127.0.0.1:27100/2'],
    ['redis://[::1]:6390/2', 'redis://127.0.0.1:27100/2'],
    ['unix://u:p@/run/redis.sock?db=3', 'redis://u:p@127.0.0.1:27100/3'],
  ] as const)('%s a server of its own changes host and port', ([url, moved]) => {
    expect(read(url).withPort(27_100)).toBe(moved);
  });

  test('a path that is no index is named', () => {
    expect(() => read('redis://localhost/cache')).toThrow('`REDIS_URL` names `cache` where');
  });

  test('path and parameter that differ are both the main worktree’s', () => {
    expect(read('redis://localhost/4?db=2').indexes).toEqual([2, 4]);
  });
});

describe('a value of another variable', () => {
  test.for([
    ['redis://127.0.0.1:6379/0', 'redis://127.0.0.1:6379/5'],
    ['redis://localhost', 'redis://localhost/5'],
    ['redis://:secret@localhost:6379?a=b', 'redis://:secret@localhost:6379/5?a=b'],
    ['redis://localhost:6379/?db=0', 'redis://localhost:6379/?db=5'],
    ['one redis://localhost:6379/0, two redis://localhost:6379/1', 'one redis://localhost:6379/5, two redis://localhost:6379/1'],
    ['"redis://localhost:6379/0"', '"redis://localhost:6379/5"'],
  ] as const)('%s follows', ([value, moved]) => {
    expect(moveIndex(value, 'localhost:6379', 0, 5)).toBe(moved);
  });

  test.for([
    'redis://localhost:6379/1',
    'redis://localhost:6380/0',
    'redis://localhost:6379/10',
    'redis://elsewhere:6379/0',
    'redis://localhost:6379/cache',
    'http://localhost:6379/0',
    'postgres://localhost:6379/0',
  ])('%s stays', (value) => {
    expect(moveIndex(value, 'localhost:6379', 0, 5)).toBe(value);
  });

  test('the databases that it names at a server are found', () => {
    expect(indexesIn('redis://localhost/3 redis://localhost:6379?db=4 redis://other/5', 'localhost:6379')).toEqual([3, 4]);
  });
});
