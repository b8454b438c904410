import type { ProcessMark } from '../../ledger/process.ts';
import { Failure } from '../../outcome.ts';
import { runCommand } from '../../steps/run-command.ts';
import { isSqlFile, SEED_MS } from '../database.ts';
import type { Created, ResourceEffects } from '../resource.ts';
import type { Access } from './access.ts';
import { findClients } from './clients.ts';
import { type MysqlOptions, named } from './names.ts';
import { drop, endSessions, quotedPattern, type Server, withServer } from './server.ts';
import { copyDatabase, loadFile, type Transfer } from './transfer.ts';

/** What is being made, and with what. */
export interface Making {
  options: MysqlOptions;
  effects: ResourceEffects;
  /** The resource's name. */
  name: string;
  /** The app's own. */
  app: Access;
  /** Who makes it. */
  owner: Access;
  server: Server;
  /** What the journal says. */
  made: Record<string, string>;
}

/** How long an interrupted run waits for a server that is to drop what is half full: one that runs greets at once. */
const INTERRUPTED_MS = 800;

/** Fills it; whole only when everything has succeeded. A failed one is dropped at once: its room may be what lacked. */
export async function filled(database: string, making: Making): Promise<Created> {
  const { options, server, made } = making;
  try {
    await letAppIn(database, making);
    if (options.data !== 'empty') await copySource(database, making);
    if (options.seed !== undefined) await seed(options.seed, database, making);
  } catch (error) {
    await dropFailed(database, making, error);
  }
  const what = { clone: `a copy of ${made.source}`, schema: `the tables of ${made.source}`, empty: 'empty' }[options.data];
  made.whole = 'yes';
  return { detail: `${database} on ${made.server}, ${what} (${server.kind.product})`, mark: learnt(made) };
}

async function dropFailed(database: string, { owner, effects, made }: Making, why: unknown): Promise<never> {
  if (!(why instanceof Failure)) throw why;
  try {
    const patience = effects.signal.aborted ? { connectMs: INTERRUPTED_MS } : {};
    await withServer(
      owner,
      async (server) => {
        await endSessions(server, database, new AbortController().signal);
        await drop(server, database);
      },
      patience,
    );
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // The journal says that it is there and not finished: the next `up`, `down` or `gc` drops it.
    effects.say(`${database} on ${made.server} is half full, and could not be dropped yet: ${error.message}`);
  }
  throw why;
}

/** Only what `create` has learnt. */
export function learnt({
  nonce = '',
  created = '',
  whole = '',
  account,
  there = '[]',
  identity = '{}',
  data = '',
}: Record<string, string>) {
  return { nonce, created, whole, there, identity, data, ...(account !== undefined && { account }) };
}

/** What an administrator makes is of no use to the app's user without this. */
async function letAppIn(database: string, { app, owner, server, made, effects }: Making): Promise<void> {
  if (app === owner) return;
  const account = await withServer(app, (own) => own.account(), effects);
  if (account === (await server.account())) return;
  made.account = account;
  effects.intend(made);
  await server.run(`GRANT ALL PRIVILEGES ON ${quotedPattern(database)}.* TO ${account}`);
}

async function copySource(database: string, making: Making): Promise<void> {
  const { options, server, made, effects } = making;
  const source = made.source ?? '';
  if (options.data === 'clone') await warnOfEngines(source, making);
  const transfer = await transferTo(database, making);
  try {
    await copyDatabase(transfer, source, options.data === 'clone', server);
  } catch (error) {
    if (error instanceof Failure) throw new Failure(`${source} could not be copied: ${error.message}`);
    throw error;
  }
  if (effects.signal.aborted) throw new Failure('interrupted');
}

/** A snapshot is InnoDB's: other engines have none. */
async function warnOfEngines(source: string, { server, effects }: Making): Promise<void> {
  const found = await server.rows(
    `SELECT TABLE_SCHEMA AS place, TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES
      WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' AND ENGINE IN ('MyISAM', 'Aria', 'MEMORY', 'CSV', 'ARCHIVE')`,
    [source],
  );
  const tables = found.filter(({ place }) => server.same(String(place), source));
  if (tables.length === 0) return;
  const names = tables.slice(0, 5).map(({ name, engine }) => `${name} (${engine})`);
  effects.say(
    `${source}: ${names.join(', ')}${tables.length > 5 ? ` and ${tables.length - 5} more` : ''}: not InnoDB, so copied as found, not as of the same moment as the rest`,
  );
}

async function transferTo(target: string, { app, owner, server, made, effects }: Making): Promise<Transfer> {
  return {
    clients: await findClients(server.kind, owner.address),
    reader: owner.address,
    writer: app.address,
    target,
    log: effects.log,
    signal: effects.signal,
    started: (mark) => began(mark, made, effects),
  };
}

/** A run that is killed leaves its processes: the next one ends them. */
function began(mark: ProcessMark | null, made: Record<string, string>, effects: ResourceEffects): void {
  if (mark !== null) made.loader = JSON.stringify(mark);
  effects.intend(made);
}

/** Runs a file of SQL, or a command, in the new database. */
async function seed(what: string, database: string, making: Making): Promise<void> {
  const { options, effects, app, made, name } = making;
  try {
    if (isSqlFile(what)) {
      const file = effects.approvedFile(what);
      if (file === null) throw new Failure('there is no such file in the worktree');
      await loadFile(await transferTo(database, making), file);
      return;
    }
    const { variables, parts } = named(database, app.address, made, options, name);
    const all = Object.entries(options.vars ?? {}).map(([part, variable]) => [variable, parts[part] ?? '']);
    const result = await runCommand({
      run: what,
      cwd: effects.worktreePath,
      env: { ...effects.environment(), ...variables, ...Object.fromEntries(all) },
      timeoutMs: SEED_MS,
      log: effects.log,
      signal: effects.signal,
      started: (mark) => began(mark, made, effects),
    });
    if (!result.ok) throw new Failure(`${result.why}; what it printed is in ${effects.log}`);
  } catch (error) {
    if (error instanceof Failure) throw new Failure(`the seed \`${what}\` failed: ${error.message}`);
    throw error;
  }
}
