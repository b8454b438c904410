import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { carryOver, pointsAtMain } from '../../src/files/carry-over.ts';
import { addressOf, claimOn, isOnThisMachine, ownName, parseAddress, serverName, sourceAddress } from '../../src/resources/address.ts';
import type { ResourceContext } from '../../src/resources/resource.ts';

const ENGINE = { title: 'PostgreSQL', schemes: ['postgres', 'postgresql'], port: 5432, scheme: 'postgres' };

describe('a URL', () => {
  test.for([
    ['postgres://me:p%40ss@localhost:5433/shop?schema=public', ['me', 'p@ss', 'localhost', 5433, 'shop']],
    ['postgresql+asyncpg://me@127.0.0.1/shop', ['me', '', '127.0.0.1', 5432, 'shop']],
    ['jdbc:postgresql://localhost/shop?user=me&password=x', ['me', 'x', 'localhost', 5432, 'shop']],
    ['postgres://[::1]:5432/shop', ['', '', '::1', 5432, 'shop']],
    ['postgres:///shop?host=/var/run/postgresql', ['', '', '/var/run/postgresql', 5432, 'shop']],
    ['postgres://%2Fvar%2Frun%2Fpostgresql/shop', ['', '', '/var/run/postgresql', 5432, 'shop']],
    ['postgres://localhost', ['', '', 'localhost', 5432, '']],
    ['postgres://localhost/', ['', '', 'localhost', 5432, '']],
    ['postgres://localhost/app?dbname=shop', ['', '', 'localhost', 5432, 'shop']],
  ] as const)('%s is taken apart', ([url, [user, password, host, port, database]]) => {
    expect(parseAddress(url, 5432)).toMatchObject({ user, password, host, port, database });
  });

  test.for([
    ['postgres://me:p%40ss@localhost:5433/shop?schema=public', 'postgres://me:p%40ss@localhost:5433/shop__a?schema=public'],
    ['postgres://localhost', 'postgres://localhost/shop__a'],
    ['postgres://localhost/?x=/y', 'postgres://localhost/shop__a?x=/y'],
    ['postgres:///shop?host=/run', 'postgres:///shop__a?host=/run'],
    ['postgres://localhost/shop?dbname=shop&x=y', 'postgres://localhost/shop__a?dbname=shop__a&x=y'],
  ])('%s keeps all but the name', ([url = '', expected]) => {
    expect(parseAddress(url, 5432)?.withDatabase('shop__a')).toBe(expected);
  });

  test('what is no URL with one host is refused', () => {
    for (const text of ['', 'shop', 'postgres:/x', 'postgres://a,b/x', 'postgres://a:1,b:2/x', 'postgres://u:p/w@h/x:y']) {
      const address = parseAddress(text, 5432);
      expect(address === null || !address.host.includes(','), text).toBe(true);
    }
  });
});

test('a name fits its limit in bytes, is the same every time, and differs for different slugs', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }), fc.stringMatching(/^[a-z0-9-]{1,60}$/), (source, slug) => {
      const name = ownName(source, slug, 47, null);
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(47);
      expect(ownName(source, slug, 47, null)).toBe(name);
      expect(ownName(source, `${slug}x`, 47, null)).not.toBe(name);
      expect(ownName(source, slug, 47, 'salt')).not.toBe(name);
    }),
  );
});

test('a claim is a file of its own for every server and name', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), fc.string({ maxLength: 200 }), (one, other) => {
      const claim = claimOn('database', 'localhost:5432', one);
      expect(claim).toMatch(/^[^/\0]{1,200}$/);
      if (one !== other) expect(claimOn('database', 'localhost:5432', other)).not.toBe(claim);
    }),
  );
});

test('this machine has many names, another machine none of them', () => {
  for (const host of ['', 'localhost', 'db.localhost', '127.0.0.1', '127.8.0.1', '::1', '/var/run'])
    expect(isOnThisMachine(host), host).toBe(true);
  for (const host of ['db', '10.0.0.1', 'localhost.example.com', 'mylocalhost', '127.0.0.1.nip.io'])
    expect(isOnThisMachine(host), host).toBe(false);
  expect(serverName({ host: '127.0.0.1', port: 5432 })).toBe('localhost:5432');
  // Another loopback address can have a server of its own.
  expect(serverName({ host: '127.0.0.2', port: 5432 })).toBe('127.0.0.2:5432');
});

test('an origin holds no password, and finds it again in the env files', async () => {
  const main = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-origin-'));
  onTestFinished(() => fs.rmSync(main, { recursive: true }));
  fs.writeFileSync(path.join(main, '.env'), 'DATABASE_URL=postgres://me:secret@localhost/shop\nDB_PASSWORD=secret\n');
  const mainEnv = { DATABASE_URL: 'postgres://me:secret@localhost/shop', DB_PASSWORD: 'secret', DB_HOST: 'null' };
  const context = {
    name: 'DATABASE_URL',
    mainEnv,
    envFiles: ['.env'],
    project: 'shop',
    slug: 'a',
    mainPath: main,
  } as unknown as ResourceContext;
  const text = (template: string) => template.replace('{{main.env.DATABASE_URL}}', mainEnv.DATABASE_URL);
  for (const options of [
    {},
    { from: '{{main.env.DATABASE_URL}}' },
    { vars: { host: 'DB_HOST', password: 'DB_PASSWORD' }, default: { database: 'shop', user: 'me', host: 'localhost' } },
  ]) {
    const { origin, address } = sourceAddress(options, { ...context, text }, ENGINE);
    expect(JSON.stringify(origin)).not.toContain('secret');
    expect(address).toMatchObject({ password: 'secret', database: 'shop', user: 'me' });
    expect(await addressOf(JSON.parse(JSON.stringify(origin)), ENGINE)).toMatchObject({ password: 'secret', database: 'shop', user: 'me' });
  }
});

describe('carrying over', () => {
  const rule = { kind: 'database' as const, server: { host: 'localhost', port: 5432, usual: 5432 }, from: 'shop', to: 'shop__a' };
  test.for([
    ['postgres://me:x@localhost:5432/shop?schema=public', 'postgres://me:x@localhost:5432/shop__a?schema=public'],
    ['postgres://127.0.0.1/shop', 'postgres://127.0.0.1/shop__a'],
    ['a postgres://localhost/shop b', 'a postgres://localhost/shop__a b'],
    ['postgres://localhost:5433/shop', 'postgres://localhost:5433/shop'],
    ['postgres://localhost/shop_test', 'postgres://localhost/shop_test'],
    ['postgres://localhost/shop/more', 'postgres://localhost/shop/more'],
    ['postgres://db.example.com/shop', 'postgres://db.example.com/shop'],
    ['shop', 'shop'],
  ])('%s becomes %s', ([value = '', expected]) => {
    expect(carryOver(value, [rule])).toBe(expected);
    expect(pointsAtMain(value, [rule]).length > 0).toBe(value !== expected);
  });

  test('a URL without a port means the usual one', () => {
    const other = { ...rule, server: { ...rule.server, port: 5433 } };
    expect(carryOver('postgres://localhost/shop', [other])).toBe('postgres://localhost/shop');
    expect(carryOver('postgres://localhost:5433/shop', [other])).toBe('postgres://localhost:5433/shop__a');
  });
});
