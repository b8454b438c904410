// DB_PASSWORD, apiKey, SECRET_KEY_BASE and MYSQL_PWD are secret; KEY_FILE, TOKEN_TTL and NEXT_PUBLIC_KEY are not.
const ALWAYS = /passw|passphrase|pwd$|secret|tokens?$|credential|apikey|webhook|^(?:pass|pw|creds|jwt|salt|dsn)$/;
const AT_THE_END = /^(?:keys?|auth|pat|sk)$/;
const AFTER_KEY = /^(?:base|pem|b|hex|v)$/;
const ABOUT =
  /^(?:ur[li]|host|port|file|path|dir|folder|ttl|expir\w*|lifetime|age|timeout|length|min|max|prefix|suffix|name|id|enabled|disabled|required|type|algorithm|alg|rounds|issuer|audience|provider|sock|limit|count|header|field|hint)$/;
const ANY = /pass|pw|secret|token|cred|key|auth|hook|jwt|salt|dsn|pat|sk/i;
const OPEN = /^(?:user|username|login|name|database|db|host|hostname|project|email)$/;

/** Whether a variable, parameter or key of this name holds a secret. */
export function saysSecret(name: string): boolean {
  // The shell's own: where one is.
  if (!ANY.test(name) || /^(?:OLD)?PWD$/.test(name)) return false;
  const words = wordsOf(name);
  const last = words.at(-1) ?? '';
  if (words.includes('webhook') || (words.some((word) => ALWAYS.test(word)) && !ABOUT.test(last))) return true;
  if (words.includes('public') || words.includes('publishable')) return false;
  return AT_THE_END.test((AFTER_KEY.test(last) ? words.at(-2) : last) ?? '');
}

/** Whether it names a user, a database or a host: what is called the same is no secret, whatever its name says. */
export function saysOpen(name: string): boolean {
  return OPEN.test(wordsOf(name).at(-1) ?? '');
}

function wordsOf(name: string): string[] {
  const parted = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
  const words = parted.split(/[^a-z0-9]+/).map((word) => word.replace(/\d+$/, ''));
  return words.filter((word) => word !== '');
}
