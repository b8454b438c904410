import { shellQuote } from '../report/shell-quote.ts';

/**
 * A value as a line of an env file that all readers read the same: dotenv 16–18, Vite, Node, python-dotenv, Compose, Ruby's
 * dotenv, bash, dash and `docker --env-file` agree only on these forms. Escapes inside quotes are read differently.
 * @returns the text after `NAME=`, or null when no form is safe
 */
export function quoteForAll(value: string): string | null {
  if (value === '' || /^[A-Za-z0-9._/-][A-Za-z0-9._/:@%+,=?-]*$/.test(value)) return value;
  // A lone surrogate (Cs) has no form in UTF-8: the file would hold another character.
  if (/[\p{Cc}\p{Cs}$\\]/u.test(value)) return null;
  if (!value.includes("'")) return `'${value}'`;
  return /["`]/.test(value) ? null : `"${value}"`;
}

/** A value quoted for POSIX shells, which can express any text but NUL. @returns null when it cannot be expressed */
export function quoteForShell(value: string): string | null {
  if (/[\0\p{Cs}]/u.test(value)) return null;
  return /^[A-Za-z0-9._/:@%+,=-]+$/.test(value) ? value : shellQuote(value);
}
