import type { CodeDefault } from './code-defaults.ts';
import { unsetDefaults } from './databases.ts';
import type { Environment } from './env-files.ts';
import { type Findings, finding, nothing } from './findings.ts';
import { folderOf, type Look, literalPath, textOf } from './look.ts';

const FILE = /\.(sqlite3?|db3?)$/i;

/** Databases in files: by the variable that names one, else by the file that git ignores. */
export function sqliteFindings(look: Look, environment: Environment, defaults: CodeDefault[]): Findings {
  const result = nothing();
  const covered = new Set<string>();
  const fromCode = unsetDefaults(environment, defaults);
  for (const variable of [...environment.variables, ...fromCode]) {
    const { name, value, file } = variable;
    const path = sqlitePath(name, value);
    if (path === null || covered.has(path)) continue;
    // A path in another folder's env file is relative to a place that only the app knows.
    if (folderOf(file) !== '' && !fromCode.includes(variable)) continue;
    covered.add(path);
    if (result.found.some((one) => one.name === name)) continue;
    const options = fromCode.includes(variable) ? { type: 'sqlite', from: value } : 'sqlite';
    result.found.push(finding('resources', name, options, `a copy of the database file ${path} that ${file} names`));
  }
  const names = [...covered].map((path) => path.slice(path.lastIndexOf('/') + 1));
  for (const file of look.ignored)
    if (FILE.test(file) && !/test/i.test(file) && !names.includes(file.slice(file.lastIndexOf('/') + 1)) && file.split('/').length <= 4)
      result.found.push(
        finding('files', literalPath(file), 'sqlite', 'a database that git ignores: a consistent copy, taken while the app writes'),
      );
  return result;
}

/** The file that a variable names as a SQLite database; null when it names none. */
function sqlitePath(name: string, value: string): string | null {
  const [, scheme, rest = ''] = /^(file:|sqlite3?:)(?:\/\/\/?)?([^?#]*)/.exec(value) ?? [];
  if (rest === '' || rest === ':memory:' || /:memory:/.test(value) || /[$<{]/.test(value)) {
    if (scheme !== undefined) return null;
    return FILE.test(value) && /DB|DATABASE|SQLITE/.test(name) && !/^[a-z][a-z0-9+.-]*:|[$<{]/i.test(value) ? value : null;
  }
  return scheme === 'file:' && !/DB|DATABASE|SQLITE|URL/.test(name) ? null : rest;
}

/** Whether the app's own config puts its database into a file of the worktree. */
export function hasFileDatabase(look: Look, values: Record<string, string>): boolean {
  const [rails = ''] = textOf(look, 'config/database.yml').split(/^production:/m);
  const django = [...look.texts].filter(([file]) => /(^|\/)settings(\/[^/]+)?\.py$/.test(file)).map(([, text]) => text);
  return (
    (/adapter:\s*sqlite3/.test(rails) && !/adapter:\s*(postgresql|mysql2|trilogy)/.test(rails)) ||
    values.DB_CONNECTION === 'sqlite' ||
    (django.some((text) => /backends\.sqlite3/.test(text)) && !django.some((text) => /backends\.(postgresql|mysql)/.test(text)))
  );
}
