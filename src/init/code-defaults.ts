import type { Look } from './look.ts';

/** A variable that the app's own config files read, and what they take when it is not set. */
export interface CodeDefault {
  name: string;
  /** Null: there is no default. */
  value: string | null;
  file: string;
}

const QUOTED = String.raw`["']([^"'\n]*)["']`;
const NAME = `["']([A-Z][A-Z0-9_]*)["']`;
/** How config files of different languages read a variable. */
const READERS: { files: RegExp; read: RegExp[] }[] = [
  {
    // Ruby and ERB: ENV.fetch("X") { "y" }, ENV.fetch("X", "y"), ENV["X"] || "y"
    files: /\.(yml|rb)$/,
    read: [
      new RegExp(String.raw`ENV\.fetch\(\s*${NAME}\s*\)\s*\{\s*["']?([^"'}\n]*?)["']?\s*\}`, 'g'),
      new RegExp(String.raw`ENV\.fetch\(\s*${NAME}\s*,\s*["']?([^"')\n]*)["']?\s*\)`, 'g'),
      new RegExp(String.raw`ENV\[\s*${NAME}\s*\](?:\s*\|\|\s*${QUOTED})?`, 'g'),
    ],
  },
  // Laravel: env('X', 'y')
  { files: /\.php$/, read: [new RegExp(String.raw`\benv\(\s*${NAME}(?:\s*,\s*(?:${QUOTED}|null))?\s*\)`, 'g')] },
  {
    // Elixir: System.get_env("X", "y"), System.get_env("X") || "y"
    files: /\.exs$/,
    read: [
      new RegExp(String.raw`System\.get_env\(\s*${NAME}\s*,\s*${QUOTED}\s*\)`, 'g'),
      new RegExp(String.raw`System\.(?:get_env|fetch_env!)\(\s*${NAME}\s*\)(?:\s*\|\|\s*${QUOTED})?`, 'g'),
    ],
  },
  {
    // Python: os.environ.get("X", "y"), os.getenv("X", "y"), env("X", default="y"), config("X", default="y")
    files: /\.py$/,
    read: [
      new RegExp(String.raw`(?:os\.environ\.get|os\.getenv)\(\s*${NAME}(?:\s*,\s*${QUOTED})?\s*\)`, 'g'),
      new RegExp(String.raw`\b(?:env(?:\.\w+)?|config)\(\s*${NAME}(?:\s*,\s*default\s*=\s*(?:f?${QUOTED})?)?`, 'g'),
      new RegExp(String.raw`dj_database_url\.config\(()(?:[^)]*?default\s*=\s*${QUOTED})?`, 'g'),
    ],
  },
  // Spring: ${X:y}
  { files: /\.(properties|ya?ml)$/, read: [/\$\{([A-Z][A-Z0-9_]*)(?::([^}\n]*))?\}/g] },
  // Prisma: env("X")
  { files: /\.prisma$/, read: [/\benv\(\s*"([A-Z][A-Z0-9_]*)"\s*\)()/g] },
];

/** What the config files of a look read from the environment, each name once: where it has a default, with that. */
export function codeDefaults(look: Look): CodeDefault[] {
  const found = new Map<string, CodeDefault>();
  for (const [file, whole] of look.texts) {
    const [text = ''] = whole.split(/^production:/m);
    if (!/(^|\/)(config\/|settings|application)|schema\.prisma$/.test(file) || /compose/.test(file)) continue;
    // What only production or tests read says nothing of development.
    if (/(^|\/)(prod|production|test|runtime)[^/]*$|[-_.](prod|production|test)\b/.test(file)) continue;
    for (const { files, read } of READERS) {
      if (!files.test(file)) continue;
      for (const pattern of read)
        for (const [, written = '', value] of text.matchAll(pattern)) {
          const name = written === '' ? 'DATABASE_URL' : written;
          const known = found.get(name);
          if (known === undefined || (known.value === null && value)) found.set(name, { name, value: value || null, file });
        }
    }
  }
  return [...found.values()];
}
