import type { EngineName } from './databases.ts';
import type { Environment } from './env-files.ts';
import { type Look, textOf } from './look.ts';

/** The names of databases that the app's test runner makes from the development one's. */
export function derivedByTests(look: Look): (engine: EngineName) => string[] {
  const patterns: string[] = [];
  // https://docs.djangoproject.com/en/stable/topics/testing/overview/#the-test-database, and one a process: test_x_1
  if (look.files.has('manage.py')) patterns.push('test_{database}*');
  // `php artisan test --parallel` makes one a process.
  if (look.files.has('artisan')) patterns.push('{database}_test_*');
  const rails = textOf(look, 'config/database.yml');
  // Rails adds the number of the process; `<%= ENV[…] %>_test` makes the test database's name from ours.
  if (/%>_test\b/.test(rails)) patterns.push('{database}_test*');
  if (/\bgem ["']rails["']/.test(textOf(look, 'Gemfile'))) patterns.push('{database}-*');
  // Mix: config/test.exs with MIX_TEST_PARTITION.
  if (/MIX_TEST_PARTITION/.test(textOf(look, 'config/test.exs'))) patterns.push('{database}_test*');
  return () => [...new Set(patterns)];
}

/** Where tests of all worktrees use one database. */
export function testNotes(look: Look, environment: Environment): string[] {
  const notes: string[] = [];
  const phpunit = ['phpunit.xml', 'phpunit.xml.dist'].map((file) => textOf(look, file)).join('\n');
  const name = /name="DB_DATABASE"\s+value="([^":]+)"/.exec(phpunit)?.[1];
  if (name !== undefined)
    notes.push(
      `phpunit.xml names the database \`${name}\`: the tests of all worktrees share it. Leave DB_DATABASE out there, and \`php artisan test --parallel\` makes its own from the worktree's.`,
    );
  const rails = /^test:\s*\n(?:[ \t]+.*\n)*?[ \t]+database:\s*([\w-]+)\s*$/m.exec(textOf(look, 'config/database.yml'))?.[1];
  if (rails !== undefined && !/sqlite/.test(textOf(look, 'config/database.yml')))
    notes.push(
      `config/database.yml names the test database \`${rails}\`: the tests of all worktrees share it. Make its name from a variable of the worktree's: \`<%= ENV.fetch("DB_NAME", "…") %>_test\`.`,
    );
  const mix = /\bdatabase:\s*"([^"#]*)(?:#\{[^}]*\})?"/.exec(textOf(look, 'config/test.exs'))?.[1];
  if (mix !== undefined)
    notes.push(
      `config/test.exs names the database \`${mix}\`: the tests of all worktrees share it. Make its name from a variable of the worktree's, e.g. COPPICE_SLUG.`,
    );
  const service = /^[a-z][a-z0-9+.-]*:\/\//i;
  for (const { path, role, tracked, values } of environment.files)
    if (role === 'test' && tracked && Object.entries(values).some(([key, value]) => service.test(value) && /DATABASE|DB_|REDIS/.test(key)))
      notes.push(`git tracks ${path}, which names the tests' database: the tests of all worktrees share it.`);
  return notes;
}

/** Databases that the code names itself, where no variable can change them. */
export function literalNotes(look: Look): string[] {
  const notes: string[] = [];
  const dev = textOf(look, 'config/dev.exs');
  const mix = /^\s*database:\s*"([^"]+)"/m.exec(dev)?.[1];
  if (mix !== undefined)
    notes.push(
      `config/dev.exs names the database \`${mix}\`, so all worktrees share it. Read it from a variable: \`database: System.get_env("DB_NAME") || "${mix}"\`, then run \`coppice init\` again.`,
    );
  const yaml = textOf(look, 'config/database.yml');
  const rails = /^development:\s*\n(?:[ \t]+.*\n)*?[ \t]+database:\s*([\w-]+)\s*$/m.exec(yaml)?.[1];
  if (rails !== undefined && !/sqlite/.test(yaml))
    notes.push(
      `config/database.yml names the database \`${rails}\`, so all worktrees share it. Read it from a variable: \`database: <%= ENV.fetch("DB_NAME", "${rails}") %>\`, then run \`coppice init\` again.`,
    );
  return notes;
}
