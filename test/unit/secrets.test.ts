import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { saysSecret } from '../../src/report/secret-names.ts';
import { learn, learnSecret, redact, redactLine } from '../../src/report/secrets.ts';
import { maskLog } from '../../src/steps/private-log.ts';
import { leaked, makeCanaries } from '../fixtures/canaries.ts';

test.each([
  ...['DB_PASSWORD', 'PGPASSWORD', 'MYSQL_PWD', 'SMTP_PASS', 'apiKey', 'API_KEY_2', 'SECRET_KEY_BASE', 'NEXTAUTH_SECRET', 'ACCESS_TOKEN'],
  ...['REDISCLI_AUTH', 'SENTRY_DSN', 'SLACK_WEBHOOK_URL', 'AWS_SECRET_ACCESS_KEY', 'JWT', 'authToken', 'PASSWORD1', 'pwd'],
])('%s is the name of a secret', (name) => expect(saysSecret(name)).toBe(true));

test.each([
  ...[
    'PATH',
    'PWD',
    'OLDPWD',
    'PORT',
    'KEYCLOAK_URL',
    'KEY_FILE',
    'TOKEN_TTL',
    'MAX_TOKEN_LENGTH',
    'NEXT_PUBLIC_MAPS_KEY',
    'AUTH_PROVIDER',
  ],
  ...['PASSWORD_RESET_URL', 'SSH_AUTH_SOCK', 'COMPASS', 'MONKEY', 'CACHE_KEY_PREFIX', 'TOKENIZER', 'STRIPE_PUBLISHABLE_KEY', 'USERNAME'],
])('%s is not', (name) => expect(saysSecret(name)).toBe(false));

const AWKWARD = `p@:/?#% &+"'$\\é🍐end`;

test.each([
  ['as it is', AWKWARD],
  ['percent-encoded', encodeURIComponent(AWKWARD)],
  ['percent-encoded as a form', new URLSearchParams({ x: AWKWARD }).toString().slice(2)],
  ['percent-encoded in small letters', encodeURIComponent(AWKWARD).replace(/%../g, (byte) => byte.toLowerCase())],
  ['in JSON', JSON.stringify(AWKWARD).slice(1, -1)],
  ['in JSON in JSON', JSON.stringify(JSON.stringify(AWKWARD).slice(1, -1)).slice(1, -1)],
  [
    'in ASCII JSON',
    JSON.stringify(AWKWARD)
      .slice(1, -1)
      .replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  ],
  ['in a shell’s single quotes', AWKWARD.replaceAll("'", "'\\''")],
  ['as dash lists it', AWKWARD.replaceAll("'", `'"'"'`)],
  ['in a shell’s double quotes', AWKWARD.replace(/["$`\\]/g, '\\$&')],
  ['in SQL', AWKWARD.replaceAll("'", "''")],
  ['in PostgreSQL’s E quotes', AWKWARD.replaceAll('\\', '\\\\').replaceAll("'", "''")],
])('a secret is left out %s', (_, form) => {
  learn({ AWKWARD_TOKEN: AWKWARD });
  expect(redact(`before ${form} after`)).toBe('before *** after');
});

test.each([...`@:/?#%&+ "'$\\=;,!()<>{}[]|^é🍐`])('a password with %s is a secret wherever nobody has encoded it', (odd) => {
  const word = `x${odd}${odd}n0b0dy-${odd.codePointAt(0)}-${odd}z`;
  learn({
    A_URL: `postgres://app:${word}1@localhost:5432/shop`,
    ...('&;#'.includes(odd) ? {} : { B_URL: `https://h.test/?access_token=${word}2&x=1`, C_URL: `driver=x;password=${word}3;host=h` }),
    ...(`'"&; `.includes(odd) ? {} : { D_URL: `host=h password=${word}4 dbname=shop` }),
    E_URL: `host=h password='${word.replace(/['\\]/g, '\\$&')}5'`,
  });
  expect(redact(`<${word}1|`)).toBe('<***|');
  if (!'&;#'.includes(odd)) for (const end of ['2', '3']) expect(redact(`<${word}${end}|`)).toBe('<***|');
  if (!`'"&; `.includes(odd)) expect(redact(`<${word}4|`)).toBe('<***|');
  expect(redact(`<${word}5|`)).toBe('<***|');
});

test('a secret is left out of base64, by itself and among other bytes', () => {
  learnSecret('inside-of-base64');
  const leaks = (text: string) =>
    [0, 1, 2, 3].some((offset) => Buffer.from(text.slice(offset), 'base64').toString('latin1').includes('side-of-base'));
  for (const before of ['', 'a', 'me', 'you', 'user:']) {
    const text = Buffer.from(`${before}inside-of-base64 and more`).toString('base64');
    expect(leaks(text)).toBe(true);
    expect(leaks(redact(`Authorization: Basic ${text}`).split(' ')[2] ?? '')).toBe(false);
    expect(redact(text)).toContain('***');
  }
});

describe('by their place, without knowing them', () => {
  test.each([
    ['postgres://app:s3cret@localhost:5432/shop', 'postgres://app:***@localhost:5432/shop'],
    ['redis://:s3cret@localhost', 'redis://:***@localhost'],
    ['(jdbc:mysql://h/x?user=a&password=s3cret&x=1)', '(jdbc:mysql://h/x?user=a&password=***&x=1)'],
    ['postgres://app:p@ss@localhost/shop', 'postgres://app:***@localhost/shop'],
    ['postgres://app:a/b?c@localhost/shop', 'postgres://app:***@localhost/shop'],
    ['https://ghp_0123456789abcdef@github.com/x', 'https://***@github.com/x'],
    ['host=h password=s3cret dbname=x', 'host=h password=*** dbname=x'],
    ['http://x/?access_token=abc#f', 'http://x/?access_token=***#f'],
    [`'postgres://o'brien:it's-s3cret@localhost/shop'`, `'postgres://o'brien:***@localhost/shop'`],
    ['postgres://app:12)s3cret@localhost/shop', 'postgres://app:***@localhost/shop'],
    [`'http://x/?token=it''s-s3cret' x`, `'http://x/?token=***' x`],
    [`host=h password='it\\'s a s3cret' dbname=x`, 'host=h password=*** dbname=x'],
    [`host=h password='s3cret`, `host=h password=***`],
  ])('%s', (text, shown) => expect(redact(text)).toBe(shown));

  test.each([
    'http://localhost:3000/@vite/client',
    'http://localhost:3000',
    '(http://localhost:3000), (http://localhost:3001,)',
    'postgres://app:{{main.env.PW}}@localhost/shop',
    'psql "postgres://app:$PGPASS@localhost/shop"',
    'git@github.com:a/b',
    'user@example.test',
    'http://x/?page=2&sort=key',
  ])('%s is as it was', (text) => expect(redact(text)).toBe(text));
});

test('2,000 secrets are left out by their place alone, in every way to write them there', () => {
  const odd = [...`@:/?#%&+ "'$\\=;,!()<>{}[]|^*~\`é🍐-`, '--', ': ', ' #', "''", '\\"'];
  for (const canary of makeCanaries(2000, 20_262, odd)) {
    const { value } = canary;
    const encoded = encodeURIComponent(value);
    const texts = [
      `x postgres://app:${encoded}@localhost/shop y`,
      `"https://u:${encoded}@h/{{nope}}"`,
      `'postgres://o'brien:${encoded}@localhost/shop'`,
      `mysql://localhost/?user=root&password=${encoded}&x=1`,
      `'mysql://localhost/?password=${encoded}'`,
      `http://h/?${new URLSearchParams({ access_token: value })}`,
      `host=h password='${value.replace(/['\\]/g, '\\$&')}' dbname=x`,
      ...(/[\s&;,"<>]/.test(value) ? [] : [`host=h password=${value} dbname=x`]),
    ];
    const lines = [
      ...texts,
      `run: A_TOKEN='${value.replaceAll("'", "'\\''")}' x`,
      `run: A_TOKEN="${value.replace(/["$`\\]/g, '\\$&')}" x`,
      ...(['PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'] as const).flatMap((defaultStringType) =>
        (['block', 'flow'] as const).map((collectionStyle) =>
          stringify({ 'api-token': value, OTHER: 1 }, { defaultStringType, defaultKeyType: 'PLAIN', collectionStyle, lineWidth: 0 }),
        ),
      ),
    ];
    for (const text of texts) expect(leaked(redact(text), [canary]), text).toEqual([]);
    for (const line of lines) {
      expect(leaked(redactLine(line), [canary]), line).toEqual([]);
      expect(redactLine(line)).toHaveLength(line.length);
    }
  }
});

test('values that would blank out half of a text are left out only where a URL has its password', () => {
  learn({
    A_PASSWORD: 'postgres',
    B_PASSWORD: 'abc',
    C_TOKEN: '12345678',
    D_SECRET: 'true',
    E_PASSWORD: '--------',
    F_PASSWORD: 'development',
  });
  learn({
    DATABASE_URL: 'postgres://mastodon:mastodon@localhost/mastodon_development',
    PASSWORD: 'mastodon',
    DB_NAME: 'warehouse',
    DB_PASS: 'warehouse',
  });
  const text = 'postgres abc 12345678 true -------- development mastodon mastodon_development warehouse';
  expect(redact(text)).toBe(text);
  expect(redact('postgres://postgres:postgres@localhost/mastodon')).toBe('postgres://postgres:***@localhost/mastodon');
});

test('what is cut off a secret is one too, and of two the longer is left out as a whole', () => {
  learn({ LONG_TOKEN: 'begins-like-this-and-goes-on', LONGER_TOKEN: 'begins-like-this-and-goes-on-for-long' });
  expect(redact('near "begins-like-this-a')).toBe('near "***');
  expect(redact('...this-and-goes-on-for-long"')).toBe('...***"');
  expect(redact('begins-like-this-and-goes-on-for-long.')).toBe('***.');
  expect(redact('begins-like')).toBe('begins-like');
});

test('of a key in lines, each line is a secret', () => {
  learn({ PRIVATE_KEY: '-----BEGIN KEY-----\nfirstLineOfTheKey\nsecondLineOfTheKey\n-----END KEY-----' });
  expect(redact('    firstLineOfTheKey\n    secondLineOfTheKey')).toBe('    ***\n    ***');
});

test('a line of a config keeps every character in its place', () => {
  const line = `  A: { from: "mysql://a:s3cret@h", API_KEY: 'other-secret', password: third-secret, token: "{{main.env.TOKEN}}", port: 3000 }`;
  const shown = redactLine(line);
  expect(shown).toHaveLength(line.length);
  expect(shown).toBe(
    `  A: { from: "mysql://a:******@h", API_KEY: '************', password: ************, token: "{{main.env.TOKEN}}", port: 3000 }`,
  );
  const parameters = `  A: "http://h/?token=s3cret", B: "host=h password='s3 cret'"`;
  expect(redactLine(parameters)).toBe(`  A: "http://h/?token=******", B: "host=h password=*********"`);
});

test.each([
  ['  API_TOKEN: correct horse, battery # not this', '  API_TOKEN: ********************** # not this'],
  ['  { API_TOKEN: correct horse, PORT: 3000 }', '  { API_TOKEN: *************, PORT: 3000 }'],
  [`  API_TOKEN: 'it''s-secret' # it's`, `  API_TOKEN: '************' # it's`],
  ['  { API_TOKEN: "a\\"secret", PORT: 3000 }', '  { API_TOKEN: "*********", PORT: 3000 }'],
  ['  run: API_TOKEN=a,secret npm run x', '  run: API_TOKEN=******** npm run x'],
  ['  run: API_TOKEN=$OTHER_TOKEN npm run x', '  run: API_TOKEN=$OTHER_TOKEN npm run x'],
  ['  API_TOKEN: { type: command }', '  API_TOKEN: { type: command }'],
  ['  API_TOKEN: [command, other]', '  API_TOKEN: [command, other]'],
  ['  API_TOKEN: https://localhost/x', '  API_TOKEN: https://localhost/x'],
])('of a line %s is shown %s', (line, shown) => expect(redactLine(line)).toBe(shown));

describe('a log', () => {
  const file = () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-log-'));
    onTestFinished(() => fs.rmSync(folder, { recursive: true }));
    return path.join(folder, 'log');
  };

  test('loses its secrets in place, wherever they stand in it, and not another byte', () => {
    learn({ LOG_TOKEN: 'wörd-of-the-log' });
    const log = file();
    const parts = Array.from({ length: 3000 }, (_, index) => `${'\u001b[32mx'.repeat(index % 300)} wörd-of-the-log ${index} é\n`);
    const bytes = Buffer.concat([Buffer.from(parts.join('')), Buffer.from([0xff, 0xfe, 10])]);
    fs.writeFileSync(log, bytes);
    expect(bytes.length).toBeGreaterThan(2 ** 21);
    maskLog(log);
    const secret = Buffer.from('wörd-of-the-log').toString('latin1');
    expect(fs.readFileSync(log, 'latin1')).toBe(bytes.toString('latin1').replaceAll(secret, '*'.repeat(secret.length)));
  });

  test('loses one that stands where its parts meet, in a line without an end', () => {
    learnSecret('a-secret-where-parts-meet');
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-log-')), 'log');
    onTestFinished(() => fs.rmSync(path.dirname(file), { recursive: true }));
    for (let cut = 0; cut <= 26; cut += 2) {
      for (const base of [2 ** 20, 2 ** 20 - 2 ** 16]) {
        const before = 'x'.repeat(base - cut);
        fs.writeFileSync(file, `${before}a-secret-where-parts-meet${'y'.repeat(2 ** 17)}`);
        maskLog(file);
        expect(fs.readFileSync(file, 'utf8').replace(/^x+|y+$/g, ''), `${base} ${cut}`).toBe('*'.repeat(25));
      }
    }
  });

  test('loses one that stands there again and again, with nothing between', () => {
    learnSecret('again-and-again-and-again');
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-log-')), 'log');
    onTestFinished(() => fs.rmSync(path.dirname(file), { recursive: true }));
    fs.writeFileSync(file, 'again-and-again-and-again'.repeat(100_000));
    maskLog(file);
    expect(/^\*{2500000}$/.test(fs.readFileSync(file, 'utf8'))).toBe(true);
  });

  test('is still the file that what was left running appends to, and none where it was removed', () => {
    learn({ LOG_TOKEN: 'left-running-token' });
    const log = file();
    const descriptor = fs.openSync(log, 'a');
    fs.writeSync(descriptor, 'left-running-token\n');
    maskLog(log);
    fs.writeSync(descriptor, 'more\n');
    fs.closeSync(descriptor);
    expect(fs.readFileSync(log, 'utf8')).toBe(`${'*'.repeat(18)}\nmore\n`);
    fs.rmSync(log);
    maskLog(log);
    expect(fs.existsSync(log)).toBe(false);
  });
});
