import type { Socket } from 'node:net';
import { errorCode, Failure } from '../../outcome.ts';
import { isOnThisMachine } from '../address.ts';
import type { RedisAddress } from './url.ts';

/** How long a server may take to answer, in milliseconds. To empty a large database takes it a while. */
const ANSWER_MS = 30_000;

/** Where to connect, and as whom. */
export type RedisTarget = Pick<RedisAddress, 'user' | 'password' | 'host' | 'port' | 'socket' | 'tls' | 'anyCertificate' | 'server'>;

export type Reply = string | number | null | Error | Reply[];

/** What a server says to a command that it refuses. */
export class RedisError extends Error {
  /** The first word, e.g. `NOPERM`. */
  readonly code: string;

  constructor(message: string) {
    super(message);
    this.name = 'RedisError';
    this.code = /^[A-Z]+/.exec(message)?.[0] ?? '';
  }
}

/**
 * One connection, that is never made anew: what was selected on it stays selected, and after a failure every further command
 * fails too.
 */
export interface RedisConnection {
  /** @throws {RedisError} when the server refuses it. @throws {Failure} when the connection is lost */
  command(...words: string[]): Promise<Reply>;
  close(): void;
}

/** Connects and says who we are. @throws {Failure} */
async function connect(target: RedisTarget, signal: AbortSignal): Promise<RedisConnection> {
  const connection = await open(target, signal);
  try {
    await authenticate(connection, target);
    await connection.command('PING');
    return connection;
  } catch (error) {
    connection.close();
    throw asFailure(error, target.server);
  }
}

/** Nothing of what a server answers to this is ever shown: one that does not know the command says its arguments back. */
async function authenticate(connection: RedisConnection, { user, password, server }: RedisTarget): Promise<void> {
  if (password === '') return;
  try {
    await connection.command('AUTH', ...(user === '' ? [] : [user]), password);
  } catch (error) {
    if (!(error instanceof RedisError)) throw error;
    if (isWrongPassword(error)) throw new Failure(refusedText(server));
    throw new Failure(
      `Redis at ${server} does not take AUTH, which the main worktree's env files have a password for: remove it there, or let the server take it (\`rename-command\` can hide it).`,
    );
  }
}

function isWrongPassword({ code, message }: RedisError): boolean {
  return code === 'WRONGPASS' || /invalid password|without any password configured|no password is set/i.test(message);
}

function refusedText(server: string): string {
  return `Redis at ${server} refuses the user or password of the main worktree's env files: correct them there.`;
}

/** Runs `work` on a connection of its own. What a server refuses becomes one sentence. */
export async function connected<T>(
  target: RedisTarget,
  signal: AbortSignal,
  work: (connection: RedisConnection) => Promise<T>,
): Promise<T> {
  const connection = await connect(target, signal);
  try {
    return await work(connection);
  } catch (error) {
    throw asFailure(error, target.server);
  } finally {
    connection.close();
  }
}

/** @throws {RedisError} unless the server says OK: after anything else another database could still be selected */
async function select(connection: RedisConnection, index: number): Promise<void> {
  const reply = await connection.command('SELECT', String(index));
  if (reply !== 'OK') throw new RedisError(`ERR SELECT was answered with ${JSON.stringify(reply)}`);
}

/** @returns false when the server has no such database */
export async function trySelect(connection: RedisConnection, index: number): Promise<boolean> {
  try {
    await select(connection, index);
    return true;
  } catch (error) {
    if (error instanceof RedisError && /out of range|invalid DB index/i.test(error.message)) return false;
    throw error;
  }
}

async function open(target: RedisTarget, signal: AbortSignal): Promise<RedisConnection> {
  const { default: Parser } = await import('redis-parser');
  const socket = openSocket(target);
  const waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = [];
  let broken: Failure | null = null;
  const fail = (what: string) => {
    broken ??= new Failure(`Redis at ${target.server} ${what}.`);
    for (const { reject } of waiting.splice(0)) reject(broken);
    socket.destroy();
  };
  const parser = new Parser({
    returnReply: (reply) => waiting.shift()?.resolve(reply as Reply),
    returnError: (error) => waiting.shift()?.reject(new RedisError(error.message)),
    returnFatalError: () => fail('does not answer as Redis does: something else has its port'),
  });
  const cannot = (error: unknown) => fail(`cannot be reached (${errorCode(error) ?? String(error)}): start it, and try again`);
  const interrupt = () => fail('was left: interrupted');
  socket.on('data', (data: Buffer) => parser.execute(data));
  socket.on('error', cannot);
  socket.on('close', () => fail('closed the connection'));
  socket.setTimeout(ANSWER_MS, () => fail(`has not answered for ${ANSWER_MS / 1000} seconds`));
  signal.addEventListener('abort', interrupt, { once: true });
  if (signal.aborted) interrupt();
  return {
    command: (...words) =>
      new Promise<Reply>((resolve, reject) => {
        if (broken) return reject(broken);
        waiting.push({ resolve, reject });
        socket.write(encode(words));
      }),
    close() {
      signal.removeEventListener('abort', interrupt);
      socket.destroy();
    },
  };
}

/** Node's own, loaded when they are needed: a bundle that starts from a cache has no `import()` for them. */
function openSocket({ host, port, socket, tls, anyCertificate }: RedisTarget): Socket {
  const net = process.getBuiltinModule('node:net');
  if (socket !== null) return net.connect({ path: socket });
  if (!tls) return net.connect({ host, port });
  // On loopback nobody is in between, and certificates there are mostly made by the developer.
  const rejectUnauthorized = !anyCertificate && !isOnThisMachine(host);
  const servername = net.isIP(host) === 0 ? { servername: host } : {};
  return process.getBuiltinModule('node:tls').connect({ host, port, rejectUnauthorized, ...servername });
}

/** A command as the protocol has it: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
function encode(words: string[]): string {
  return [`*${words.length}`, ...words.flatMap((word) => [`$${Buffer.byteLength(word)}`, word]), ''].join('\r\n');
}

/** What a server refused, as a sentence. Bugs are thrown as they are. */
function asFailure(error: unknown, server: string): unknown {
  if (!(error instanceof RedisError)) return error;
  const { code, message } = error;
  if (code === 'NOAUTH') return new Failure(`Redis at ${server} asks for a password, and the main worktree's env files have none.`);
  if (code === 'NOPERM')
    return new Failure(`Redis at ${server} does not allow its user what is needed: ${message.replace(/^NOPERM /, '')}.`);
  if (code === 'MOVED' || code === 'CROSSSLOT' || code === 'CLUSTERDOWN' || /cluster/i.test(message))
    return new Failure(`Redis at ${server} is a cluster, which has only database 0: say \`isolate: server\`.`);
  return new Failure(`Redis at ${server} refuses: ${message}.`);
}
