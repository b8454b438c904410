import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findShared, type IsolationInput } from '../../src/files/isolation.ts';

function shared(files: Record<string, string>, more: Partial<IsolationInput> = {}): string[] {
  const worktree = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-isolation-'));
  onTestFinished(() => fs.rmSync(worktree, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(worktree, name)), { recursive: true });
    fs.writeFileSync(path.join(worktree, name), text);
  }
  return findShared({
    worktree,
    files: Object.keys(files),
    variables: { PORT: '3010', DATABASE_URL: 'file:./dev.db' },
    carry: [{ kind: 'port', from: 3000, to: 3010 }],
    mainPath: '/main/shop',
    shared: new Set(),
    ...more,
  });
}

describe('what still points at the main worktree is listed', () => {
  test('a variable of ours that another file gives another value', () => {
    expect(shared({ '.env': 'PORT=3010\n', '.env.development': 'PORT=3000\n' })).toEqual(['still shared: PORT in .env.development (3000)']);
  });

  test('an address of the main worktree in a variable of another name', () => {
    expect(shared({ '.env': 'STRIPE_WEBHOOK_URL=https://x.example/?to=http://localhost:3000/hook\n' })).toEqual([
      'still shared: STRIPE_WEBHOOK_URL in .env (localhost:3000)',
    ]);
  });

  test('another of this worktree’s own things in a variable of ours is none: an app beside it, the tests’ database', () => {
    const carry: IsolationInput['carry'] = [
      { kind: 'port', from: 3000, to: 3010 },
      { kind: 'port', from: 4000, to: 4010 },
      { kind: 'database', server: { host: 'localhost', port: 5432, usual: 5432 }, from: 'shop_test', to: 'shop_test__a' },
    ];
    const variables = { PORT: '3010', DATABASE_URL: 'postgres://localhost/shop__a' };
    const text = (port: number, database: string) => ({ 'apps/api/.env': `PORT=${port}\nDATABASE_URL=postgres://localhost/${database}\n` });
    expect(shared(text(4010, 'shop_test__a'), { carry, variables })).toEqual([]);
    expect(shared(text(4000, 'shop_test'), { carry, variables })).toEqual([
      'still shared: PORT in apps/api/.env (4000)',
      'still shared: DATABASE_URL in apps/api/.env (localhost:5432/shop_test)',
    ]);
  });

  test('the main worktree’s folder, but neither a longer name nor a worktree inside it', () => {
    expect(shared({ '.env': 'CACHE=/main/shop/tmp\nOTHER=/main/shopping/tmp\n' })).toEqual(['still shared: CACHE in .env (/main/shop)']);
    const inside = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-isolation-'));
    onTestFinished(() => fs.rmSync(inside, { recursive: true }));
    fs.writeFileSync(path.join(inside, '.env'), `CACHE=${inside}/tmp\n`);
    expect(
      findShared({ worktree: inside, files: ['.env'], variables: {}, carry: [], mainPath: path.dirname(inside), shared: new Set() }),
    ).toEqual([]);
  });

  test.each([
    'redis://localhost:6379/0',
    'rediss://cache.example:6380',
    'postgres://localhost/shop',
    'postgresql://db.example/shop',
    'mysql://127.0.0.1:3306/shop',
    'mongodb+srv://cluster.example/shop',
    'amqp://localhost:5672',
    'jdbc:postgresql://localhost:5432/shop',
  ])('%s, which nobody manages', (url) => {
    expect(shared({ '.env': `SERVICE_URL="${url}"\n` })).toEqual([`still shared: SERVICE_URL in .env (${url})`]);
  });

  test('in each file, in the order of their names, once', () => {
    expect(shared({ 'b/.env': 'PORT=1\n', '.env': 'PORT=2\n' }, { files: ['b/.env', '.env', '.env'] })).toEqual([
      "not this worktree's: PORT in .env (2)",
      "not this worktree's: PORT in b/.env (1)",
    ]);
  });
});

describe('what is not shared is not listed', () => {
  test.each([
    ['our own values', { '.env': 'PORT=3010\nDATABASE_URL=file:./dev.db\nURL=http://localhost:3010\n' }],
    ['a value of ours under another name', { '.env': 'DIRECT_URL=file:./dev.db\n' }],
    ['the images of services, which are no addresses', { '.env': 'DB_IMAGE=postgres:16\nCACHE_IMAGE=redis:7-alpine\n' }],
    ['a number that happens to be a port', { '.env': 'TIMEOUT=3000\n' }],
    ['other people’s addresses', { '.env': 'API=https://api.example:3000/x\n' }],
    ['what stands in a comment', { '.env': '# PORT=3000\n' }],
    ['a file that is not there', {}],
  ])('%s', (_name, files) => {
    expect(shared(files as Record<string, string>, { files: ['.env'] })).toEqual([]);
  });

  test.each([
    '.env.example',
    '.env.sample',
    '.env.template',
    '.env.dist',
    '.env.local.example',
    '.env.example.local',
    '.env-example',
    'example.env',
    '.env.bak',
  ])('%s, which is for people to copy', (name) => {
    expect(shared({ [name]: 'PORT=3000\nREDIS_URL=redis://localhost:6379\n' })).toEqual([]);
  });

  test('variables that are meant to be shared', () => {
    expect(shared({ '.env': 'REDIS_URL=redis://localhost:6379\nPORT=3000\n' }, { shared: new Set(['REDIS_URL']) })).toEqual([
      'still shared: PORT in .env (3000)',
    ]);
  });

  test('in a file for production, what is only other than ours', () => {
    expect(shared({ '.env.production': 'PORT=80\nREDIS_URL=redis://cache.example:6379\nURL=http://localhost:3000\n' })).toEqual([
      'still shared: URL in .env.production (localhost:3000)',
    ]);
  });

  test('names of Object.prototype', () => {
    expect(shared({ '.env': 'constructor=1\ntoString=2\nhasOwnProperty=3\n' })).toEqual([]);
  });
});

describe('nothing secret is printed', () => {
  test.each([
    ['redis://:hunter2@localhost:6379/0', 'redis://localhost:6379/0'],
    ['postgres://shop:hunter2@localhost:5432/shop?password=hunter2', 'postgres://localhost:5432/shop'],
    ['postgres://shop:hunter2@localhost/shop#hunter2', 'postgres://localhost/shop'],
    ['postgres://shop:a/hunter2@localhost/shop', 'postgres://…'],
    ['postgres://shop:a@hunter2@localhost/shop', 'postgres://…'],
    ['postgres://shop:a#hunter2@localhost/shop', 'postgres://localhost/shop'],
    ['postgres://shop:a?hunter2@localhost/shop', 'postgres://localhost/shop'],
    ['redis://:hunter2/x@localhost:6379', 'redis://…'],
    ['jdbc:postgresql://shop:hunter2@localhost/shop', 'jdbc:postgresql://localhost/shop'],
  ])('of %s', (url, printed) => {
    const lines = shared({ '.env': `SERVICE_URL='${url}'\n` });
    expect(lines).toEqual([`still shared: SERVICE_URL in .env (${printed})`]);
    expect(lines.join()).not.toContain('hunter2');
  });

  test('of a value of ours that is something else', () => {
    expect(shared({ '.env': 'DATABASE_URL=hunter2\nPORT=hunter2\n' })).toEqual([
      "not this worktree's: DATABASE_URL in .env (another value)",
      "not this worktree's: PORT in .env (another value)",
    ]);
  });
});
