import { Failure } from '../../outcome.ts';
import { addressOf, mainEnvOf, type Origin } from '../address.ts';
import type { DestroyEffects } from '../resource.ts';
import { connected, type RedisConnection, type RedisTarget, trySelect } from './connection.ts';
import { dropHolder, giveUp, holderFile, holderOf, indexClaim } from './holder.ts';
import { type MadeIndex, madeIndex } from './logical.ts';
import { indexesNamed, reservedIndexes } from './main-indexes.ts';
import { emptyMarked, removeMark, setMark, unproven, whoseIs } from './mark.ts';
import { REDIS, REDIS_PORT, redisAddress } from './url.ts';

/** How often a database that changes while it is looked at is looked at again. */
const ATTEMPTS = 20;

/**
 * Empties an index and gives it back, when it is proven to be the worktree's. Another's mark, or keys of which nothing is proven,
 * are a veto.
 */
export async function giveIndexBack(made: Record<string, string>, effects: DestroyEffects): Promise<'nothing' | undefined> {
  const known = madeIndex(made);
  if (known === null) return 'nothing';
  const { server, index } = known;
  const origin = JSON.parse(made.origin ?? '{}') as Origin;
  const holder = holderOf(server, index, effects);
  // Given back, and another resource of this worktree has it since.
  if (holder !== null && holder !== origin.name) return 'nothing';
  const { target, isMain } = await targetNow(made, origin, known);
  const held = holder !== null && effects.holds(indexClaim(server, index));
  const end = await connected(target, effects.signal, async (connection) => {
    if (!(await trySelect(connection, index))) return 'nothing';
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const came = await emptied(connection, { ...known, isMain, held }, effects);
      if (came !== 'changed') return came;
    }
    throw new Failure(`Database ${index} of Redis at ${server} changes hands all the time, so it is left: try again.`);
  });
  giveUp(server, index, effects);
  return end;
}

/** What may be emptied, and what tells against it. `held`: it has not been given back. */
interface Emptying extends MadeIndex {
  isMain: boolean;
  held: boolean;
}

/** @returns `changed` when it is to be looked at again */
async function emptied(
  connection: RedisConnection,
  { server, index, marked, run, isMain, held }: Emptying,
  effects: DestroyEffects,
): Promise<'nothing' | 'changed' | undefined> {
  const { worktreeId: id, stateFolder } = effects;
  // Without a claim it was given back, and without `marked` nobody was ever sent there: then only our mark proves anything.
  const isSure = held && marked && !isMain;
  const whose = await whoseIs(connection, id, isSure ? run : '');
  if (whose === 'another' && held)
    throw new Failure(`Database ${index} of Redis at ${server} bears another worktree's mark now${keptText(server, index, stateFolder)}`);
  if (whose === 'unproven' && isSure)
    throw new Failure(`Database ${index} of Redis at ${server} ${unproven("this worktree's")}${keptText(server, index, stateFolder)}`);
  if (whose !== 'ours') return 'nothing';
  // What the main worktree uses by now, or what nobody was sent to, loses our mark and nothing else.
  if (isMain || !marked) return (await removeMark(connection, id)) ? 'nothing' : 'changed';
  // The mark first, where the app has flushed it away: a run that is killed from here on leaves a proof.
  if (!(await setMark(connection, id, true))) return 'changed';
  // Then the file: once it is emptied, who writes there is somebody else.
  dropHolder(server, index, effects);
  return (await emptyMarked(connection, id)) ? undefined : 'changed';
}

/** What a person can do who knows whose the keys are. */
function keptText(server: string, index: number, stateFolder: string): string {
  const flush = `redis-cli ${connectionOptions(server)} -n ${index} flushdb`;
  const giveUpClaim = `rm '${holderFile(stateFolder, server, index)}'`;
  return `, so it is not emptied. When nobody needs its keys: \`${flush}\`. When they are another's: \`${giveUpClaim}\`, which gives up this worktree's claim. Then try again.`;
}

function connectionOptions(server: string): string {
  const { host, port, socket } = withoutPassword(server, false);
  return socket === null ? `-h ${host.replace(/^\[|\]$/g, '')} -p ${port}` : `-s ${socket}`;
}

/** The server, by the main worktree's env files; where they name another by now, without a password. */
async function targetNow(
  made: Record<string, string>,
  origin: Origin,
  { server, index }: MadeIndex,
): Promise<{ target: RedisTarget; isMain: boolean }> {
  const isMain = indexesNamed(mainEnvOf(origin), server).has(index) || reservedIndexes(server).has(index);
  let why: Failure | null = null;
  try {
    const address = redisAddress(await addressOf(origin, REDIS), origin.name);
    if (address.server === server) return { target: address, isMain: isMain || address.indexes.includes(index) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    why = error;
  }
  if (made.secret !== undefined)
    throw new Failure(
      `The password of Redis at ${server} is not known any more: ${why?.message ?? `\`${origin.name}\` of the main worktree names another server now.`}`,
    );
  return { target: withoutPassword(server, made.tls !== undefined), isMain };
}

function withoutPassword(server: string, tls: boolean): RedisTarget {
  const [, socket = null, host = '', port = REDIS_PORT] = /^(?:unix:(.*)|(.*):(\d+))$/s.exec(server) ?? [];
  return { user: '', password: '', host, port: Number(port), socket, tls, anyCertificate: false, server };
}
