// What a worktree's database costs beside `createdb -T` and `pg_dump | psql`, on a server of the bench's own. Part of `npm run bench`.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const SIZES = { '50 MB': 300_000, '500 MB': 3_000_000 };

/** @param tools what bench.mjs measures with */
export async function benchPostgres({ root, env, cli, inTurn, row, fewer }) {
  const server = await startServer(root);
  if (server === null) return console.log('No PostgreSQL server program here: its bench is left out.');
  try {
    const memory = {};
    for (const [size, rows] of Object.entries(SIZES))
      memory[size] = await benchSize({ root, env, cli, inTurn, row, fewer, server, size, rows });
    const [small, large] = Object.values(memory);
    row('memory of coppice while it clones, 500 MB : 50 MB', (large / small).toFixed(2), 'flat');
  } finally {
    await server.stop();
  }
}

async function benchSize({ root, env, cli, inTurn, row, fewer, server, size, rows }) {
  const source = `bench_${rows}`;
  server.run('createdb', source);
  server.sql(
    source,
    `create table item as select i as id, md5(i::text) || repeat('x', 90) as name from generate_series(1, ${rows}) i; alter table item add primary key (id)`,
  );
  server.sql(source, 'vacuum analyze');
  server.sql(source, 'checkpoint');
  const bytes = Number(server.sql(source, `select pg_database_size('${source}')`));
  const folder = repository(
    root,
    env,
    cli,
    `pg-${rows}`,
    'resources: { DATABASE_URL: postgres }\nfiles: { .env: merge }\n',
    `DATABASE_URL=${server.url(source)}\n`,
  );
  const plain = repository(
    root,
    env,
    cli,
    `start-${rows}`,
    'resources: { DATABASE_URL: 3000 }\nfiles: { .env: merge }\n',
    'DATABASE_URL=3000\n',
  );
  const inside = { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] };
  const add = (repo) => (round) => {
    const worktree = path.join(root, `${path.basename(repo)}-w${round}`);
    execFileSync('git', ['worktree', 'add', '--detach', worktree], { ...inside, cwd: repo });
    return () => {
      execFileSync('git', ['worktree', 'remove', '--force', worktree], { ...inside, cwd: repo });
      execFileSync('git', ['coppice', 'gc'], { ...inside, cwd: repo });
    };
  };
  const dropping = (name) => () => server.run('dropdb', '--force', name);
  const template = () => {
    server.run('createdb', '-T', source, 'by_template');
    return dropping('by_template');
  };
  const dump = () => {
    server.run('createdb', 'by_dump');
    server.shell(`pg_dump ${source} | psql -q -X -o /dev/null by_dump`);
    return dropping('by_dump');
  };
  const count = Math.max(3, Math.ceil((rows > 1_000_000 ? 5 : 9) / fewer));
  const [start, ours, byTemplate, byDump] = inTurn(count, add(plain), add(folder), template, dump);
  const faster = Math.min(byTemplate, byDump);
  row(
    `PostgreSQL ${size} (${(bytes / 1e6).toFixed(0)} MB), idle: coppice less its start : createdb -T`,
    ((ours - start) / byTemplate).toFixed(2),
    '',
  );
  row('  : pg_dump | psql', ((ours - start) / byDump).toFixed(2), '');
  row('  : the faster of the two', ((ours - start) / faster).toFixed(2), 'at most 1.15');
  row('  (coppice, createdb -T, pg_dump | psql, ms)', [ours - start, byTemplate, byDump].map((ms) => ms.toFixed(0)).join(' '), '');

  const session = server.session(source);
  const first = path.join(root, `busy-${rows}`);
  execFileSync('git', ['worktree', 'add', '--detach', first], inside);
  const [busy] = inTurn(count, (round) => add(folder)(`b${round}`));
  row(`PostgreSQL ${size}, in use: the second worktree : idle`, ((busy - start) / (ours - start)).toFixed(2), 'at most 1.3');
  const peak = await peakMemory(folder, path.join(root, `memory-${rows}`), env, cli);
  await session.end();
  for (const worktree of [first, path.join(root, `memory-${rows}`)])
    execFileSync('git', ['worktree', 'remove', '--force', worktree], inside);
  execFileSync('git', ['coppice', 'gc'], inside);
  server.run('dropdb', '--force', source);
  return peak;
}

/** The most memory of a set-up that dumps and loads, in kB: the kept copy is made again for it. */
async function peakMemory(repo, worktree, env, cli) {
  execFileSync('git', ['worktree', 'add', '--detach', worktree], { cwd: repo, env: { ...env, COPPICE: '0' }, stdio: 'ignore' });
  fs.writeFileSync(path.join(repo, 'worktree.config.local.yaml'), 'resources: { DATABASE_URL: { refresh: 1ms } }\n');
  const child = spawn(process.execPath, [cli, 'up'], { cwd: worktree, env, stdio: 'ignore' });
  let peak = 0;
  const timer = setInterval(() => {
    const [, kb] =
      /VmHWM:\s+(\d+)/.exec(fs.existsSync(`/proc/${child.pid}/status`) ? fs.readFileSync(`/proc/${child.pid}/status`, 'utf8') : '') ?? [];
    peak = Math.max(peak, Number(kb ?? 0));
  }, 20);
  await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  fs.rmSync(path.join(repo, 'worktree.config.local.yaml'));
  return peak;
}

function repository(root, env, cli, name, config, dotenv) {
  const folder = path.join(root, name);
  fs.mkdirSync(folder);
  const run = (command, ...args) => execFileSync(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  run('git', 'init', '-q', '-b', 'main');
  fs.writeFileSync(path.join(folder, 'worktree.config.yaml'), config);
  fs.writeFileSync(path.join(folder, '.gitignore'), '.env\nworktree.config.local.yaml\n');
  run('git', 'add', '-A');
  run('git', 'commit', '-qm', 'one');
  fs.writeFileSync(path.join(folder, '.env'), dotenv);
  run(process.execPath, cli, 'install');
  return folder;
}

/** A server in a folder of its own, run by another user where this one is root. Null where there is no such program. */
async function startServer(root) {
  const versions = fs.existsSync('/usr/lib/postgresql') ? fs.readdirSync('/usr/lib/postgresql').sort((a, b) => b - a) : [];
  const bin = `/usr/lib/postgresql/${versions[0]}/bin`;
  if (!fs.existsSync(path.join(bin, 'initdb'))) return null;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-bench-pg-'));
  const ids = process.getuid() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  if (ids.uid) fs.chownSync(folder, ids.uid, ids.gid);
  const data = path.join(folder, 'data');
  execFileSync(path.join(bin, 'initdb'), ['-D', data, '-U', 'boss', '-A', 'trust'], { ...ids, cwd: folder, stdio: 'ignore' });
  const port = 20_000 + (process.pid % 10_000);
  const child = spawn(path.join(bin, 'postgres'), ['-D', data, '-p', String(port), '-k', folder, '-c', 'max_wal_size=4GB'], {
    ...ids,
    cwd: folder,
    stdio: 'ignore',
  });
  const env = { PATH: `${bin}:${process.env.PATH}`, PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: 'boss' };
  const run = (program, ...args) => execFileSync(program, args, { env, cwd: root, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  for (let tries = 0; ; tries += 1) {
    try {
      run('psql', '-Xc', 'select 1', 'postgres');
      break;
    } catch (error) {
      if (tries === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return {
    run,
    sql: (database, text) => run('psql', '-XAtqc', text, database),
    shell: (script) => execFileSync('sh', ['-c', script], { env, cwd: root, stdio: 'ignore' }),
    url: (database) => `postgres://boss@127.0.0.1:${port}/${database}`,
    session(database) {
      const psql = spawn('psql', ['-Xq', database], { env, stdio: ['pipe', 'ignore', 'ignore'] });
      psql.stdin.write('select 1;\n');
      return {
        end: () =>
          new Promise((resolve) => {
            psql.on('close', resolve);
            psql.stdin.end();
          }),
      };
    },
    async stop() {
      const ended = new Promise((resolve) => child.on('close', resolve));
      child.kill('SIGINT');
      await ended;
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}
