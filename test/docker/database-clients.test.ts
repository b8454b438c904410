import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { setup as installServers } from '../fixtures/programs.ts';
import { startDocker } from '../fixtures/servers/docker.ts';
import { packImage } from '../fixtures/servers/server-image.ts';
import { makeWorld, read, until, type World } from '../fixtures/world.ts';

installServers();
const engine = await startDocker({ bridge: true });
let root: string;
beforeAll(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-images-'));
  return () => fs.rmSync(root, { recursive: true });
});
const PASSWORD = 'S3cret-of-the-test';

/** Runs coppice's part where the containers' ports are, and the database programs of this machine are not. */
async function withoutPrograms(world: World, cwd: string, hide: string, command: string) {
  const script = `${hide}; exec ${command}`;
  const [program = '', ...args] = [...engine.inNetwork(), 'unshare', '--mount', 'sh', '-ec', script];
  return world.run(cwd, program, args, { env: { ...engine.env('none'), PATH: world.env.PATH ?? '' } });
}

async function giveBack(world: World, main: string, hide: string): Promise<void> {
  await world.git(main, 'worktree', 'remove', '--force', '../x');
  const gc = await withoutPrograms(world, main, hide, 'git coppice gc');
  expect(gc.code, gc.stderr).toBe(0);
  expect(records(world)).toEqual([]);
}

/** Whether a command in a container succeeds. */
function succeeds(...args: string[]): boolean {
  try {
    engine.docker('exec', ...args);
    return true;
  } catch {
    return false; // it is not up yet, or says why in the log of the container
  }
}

test('PostgreSQL in a container, and no pg_dump here: a database that is in use is cloned by the programs in the container', async () => {
  const [version] = fs.readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  const bin = `/usr/lib/postgresql/${version}/bin`;
  const programs = ['postgres', 'initdb', 'pg_dump', 'psql'].map((name) => `${bin}/${name}`);
  const archive = packImage(path.join(root, 'postgres'), programs, [
    `/usr/lib/postgresql/${version}/lib`,
    `/usr/share/postgresql/${version}`,
    '/usr/share/zoneinfo',
  ]);
  engine.docker('import', archive, 'postgres-test:1');
  const start = `echo ${PASSWORD} > /tmp/password && initdb -D /data/pg -U boss -A scram-sha-256 --pwfile=/tmp/password --no-sync &&
    echo 'host all all all scram-sha-256' >> /data/pg/pg_hba.conf &&
    exec postgres -D /data/pg -F -p 5544 -c jit=off -c 'listen_addresses=*' -c unix_socket_directories=/tmp`;
  const place = ['-e', `PATH=${bin}:/bin`, '-e', `PGPASSWORD=${PASSWORD}`, '-u', '1000:1000', '-p', '127.0.0.1:25432:5544'];
  const [container = ''] = engine.docker('run', '-d', ...place, 'postgres-test:1', 'sh', '-c', start);
  const psql = (database: string, sql: string) =>
    engine.docker('exec', container, 'psql', '-h', 'localhost', '-p', '5544', '-U', 'boss', '-d', database, '-Atc', sql);
  await until(
    () => succeeds(container, 'psql', '-h', 'localhost', '-p', '5544', '-U', 'boss', '-d', 'postgres', '-c', 'select 1'),
    'it',
    60_000,
  );
  psql('postgres', 'create database shop');
  psql('shop', 'create table item as select generate_series(1, 1000) as n');
  engine.docker('exec', '-d', container, 'psql', '-h', 'localhost', '-p', '5544', '-U', 'boss', '-d', 'shop', '-c', 'select pg_sleep(600)');
  await until(() => psql('postgres', "select count(*) from pg_stat_activity where datname = 'shop'")[0] === '1', 'the session');

  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources: { DATABASE_URL: postgres }\n', '.gitignore': '.env\n' },
    { '.env': `DATABASE_URL=postgres://boss:${PASSWORD}@localhost:25432/shop\n` },
  );
  const hide = 'mount -t tmpfs hidden /usr/lib/postgresql';
  const added = await withoutPrograms(world, main, hide, 'git worktree add ../x -b x');
  expect([added.code, added.stderr]).toEqual([0, expect.stringContaining('a clone of shop as it was')]);
  expect(read(world.root, 'x', '.env')).toContain('localhost:25432/shop__x');
  expect(psql('shop__x', 'select count(*) from item')).toEqual(['1000']);
  await giveBack(world, main, hide);
  expect(psql('postgres', 'select datname from pg_database order by 1')).toEqual(['postgres', 'shop', 'template0', 'template1']);

  // Without the container's program: what to install.
  engine.docker('exec', '-u', '0', container, 'sh', '-c', `busybox rm ${bin}/pg_dump`);
  const refused = await withoutPrograms(world, main, hide, 'git worktree add ../x x');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('pg_dump is not installed')]);
  await giveBack(world, main, hide);
  engine.docker('rm', '-f', container);
});

test('MariaDB in a container, and no mariadb-dump here: the same', async () => {
  const first = path.join(root, 'first');
  fs.mkdirSync(first);
  const small = ['--innodb-log-file-size=8M', '--auth-root-authentication-method=normal', '--skip-test-db', '--user=root'];
  execFileSync('mariadb-install-db', ['--no-defaults', `--datadir=${first}`, ...small], { stdio: 'pipe' });
  fs.writeFileSync(
    path.join(first, 'init.sql'),
    `CREATE USER app@'%' IDENTIFIED BY '${PASSWORD}';\nGRANT ALL ON *.* TO app@'%';\nCREATE DATABASE shop;\nCREATE TABLE shop.item (n INT);\nINSERT INTO shop.item VALUES (1), (2);\n`,
  );
  const programs = ['/usr/sbin/mariadbd', '/usr/bin/mariadb', '/usr/bin/mariadb-dump'];
  engine.docker('import', packImage(path.join(root, 'mariadb'), programs, [first, '/usr/share/mysql']), 'mariadb-test:1');
  const start = `exec mariadbd --no-defaults --user=root --datadir=${first} --init-file=${first}/init.sql --port=3311 --socket=/tmp/s --innodb-log-file-size=8M`;
  const place = ['-e', 'PATH=/bin:/usr/bin:/usr/sbin', '-p', '127.0.0.1:23306:3311'];
  const [container = ''] = engine.docker('run', '-d', ...place, 'mariadb-test:1', 'sh', '-c', start);
  const sql = (text: string) => engine.docker('exec', container, 'mariadb', '--socket=/tmp/s', '-uroot', '-BNe', text);
  await until(() => succeeds(container, 'mariadb', '--socket=/tmp/s', '-uroot', '-e', 'SELECT * FROM shop.item'), 'it', 60_000);
  const before = sql('SHOW DATABASES');

  const world = makeWorld();
  const main = await world.repository(
    'shop',
    { 'worktree.config.yaml': 'resources: { DATABASE_URL: mysql }\n', '.gitignore': '.env\n' },
    { '.env': `DATABASE_URL=mysql://app:${PASSWORD}@127.0.0.1:23306/shop\n` },
  );
  const hide = 'mount --bind /dev/null /usr/bin/mariadb-dump; mount --bind /dev/null /usr/bin/mariadb';
  const added = await withoutPrograms(world, main, hide, 'git worktree add ../x -b x');
  expect(added.code, added.stderr).toBe(0);
  expect(sql('SELECT COUNT(*) FROM shop__x.item')).toEqual(['2']);
  await giveBack(world, main, hide);
  expect(sql('SHOW DATABASES')).toEqual(before);
  engine.docker('rm', '-f', container);
});
