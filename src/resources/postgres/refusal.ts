import type { DatabaseError } from 'pg';
import { errorCode, errorMessage, Failure } from '../../outcome.ts';
import { type Address, serverName } from '../address.ts';

/** A server's refusal, with its SQLSTATE, or the system's code. */
export class Refusal extends Failure {
  readonly code: string;
  /** The server's own words. */
  readonly words: string;

  constructor(message: string, code: string, words: string) {
    super(message);
    this.code = code;
    this.words = words;
  }
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
export const TAKEN = ['42P04', '23505'];
export const IN_USE = '55006';
export const CANCELLED = '57014';
export const LOCKED = '55P03';
export const MISSING = '3D000';
export const NO_RIGHT = '42501';
export const NO_FUNCTION = '42883';
export const WRONG_KIND = '42809';

export function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** What the server's refusal, or its silence, means for a user. What is none of it is thrown as it is, and is a bug. */
export function explained(error: unknown, address: Address, signal: AbortSignal | undefined): unknown {
  if (!(error instanceof Error)) return error;
  const code = errorCode(error) ?? '';
  const sentence = sentenceFor(error, code, address);
  if (sentence === null) return error;
  return signal?.aborted ? new Failure('interrupted') : new Refusal(sentence, code, wordsOf(error));
}

function sentenceFor(error: Error, code: string, address: Address): string | null {
  const server = serverName(address);
  const user = address.user || 'this user';
  const words = wordsOf(error);
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return `No PostgreSQL answers at ${address.host.startsWith('/') ? address.host : server}. Start it, then \`git coppice up\`.`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `There is no host \`${address.host}\`, where PostgreSQL should be.`;
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
      return `PostgreSQL at ${server} does not answer in time.`;
    case 'ECONNRESET':
    case '57P01':
    case '57P02':
    case '57P03':
      return `PostgreSQL at ${server} is starting or stopping. When it runs: \`git coppice up\`.`;
    case '28P01':
    case '28000':
      return `PostgreSQL at ${server} refuses \`${user}\`: the password or its access rules are wrong (${words}).${whence(address)}`;
    case MISSING:
      return `There is no such database at ${server}: ${words}.`;
    case NO_RIGHT:
      return `\`${user}\` may not do that at ${server}: ${words}. ${howToAllow(user)}`;
    case '53100':
      return `The disk of PostgreSQL at ${server} is full (${words}).`;
    case '53300':
      return `PostgreSQL at ${server} has no connection left (${words}).`;
    case '25006':
      return `PostgreSQL at ${server} is read-only now, as a standby is or with \`default_transaction_read_only\`, so no database can be made or dropped there (${words}).`;
    default:
      // The driver says these without a code.
      if (/SASL|password must be/.test(error.message))
        return `PostgreSQL at ${server} wants a password of \`${user}\`, and none is in the URL, PGPASSWORD or ~/.pgpass.${whence(address)}`;
      if (isTimeout(error)) return `PostgreSQL at ${server} does not answer any more.`;
      if (/timeout expired|Connection terminated|not queryable|SSL connection/.test(error.message))
        return `PostgreSQL at ${server} does not answer, or ended the connection (${words}).`;
      // Anything else that the server or the system says.
      return /^([0-9A-Z]{5}|E[A-Z]+)$/.test(code) ? `PostgreSQL at ${server}: ${words} (${code}).` : null;
  }
}

function whence({ named }: Address): string {
  return named === undefined ? '' : ` Its user and password come from ${named}.`;
}

/** The server's own words. */
function wordsOf(error: Error): string {
  const { detail } = error as Partial<DatabaseError>;
  return detail ? `${error.message}: ${detail.replace(/\.$/, '')}` : errorMessage(error);
}

/** What to do for a role without rights. */
export function howToAllow(role: string): string {
  return `An administrator can say \`ALTER ROLE "${role.replaceAll('"', '""')}" CREATEDB\`; or name with \`admin:\` in the config a URL of a user who may create databases.`;
}
