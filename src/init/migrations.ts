import { type Findings, finding, nothing } from './findings.ts';
import { execOf, mentions, pythonOf, runOf } from './installs.ts';
import { filesLike, type Look, packageFolders, packageJson, textOf } from './look.ts';
import { losesData } from './safety.ts';

const SCRIPTS = [
  'db:migrate',
  'migrate',
  'db:migrate:deploy',
  'migrate:deploy',
  'prisma:migrate',
  'prisma:deploy',
  'db:deploy',
  'migration:run',
  'migrations:run',
  'migrate:up',
  'migrate:latest',
  'db:migrate:latest',
  'db:up',
  'migrate:dev',
  'db:push',
];

/** A command that brings a database up to date. */
interface Migration {
  run: string;
  where: string;
  /** The install step that it needs first. */
  after: string;
  cwd?: string;
}

/**
 * The step that migrates the worktree's own database. Only where it has one: on a database that is shared, a branch's migration
 * would change the main worktree's.
 * @param own the resources that are databases of its own, whether one is a file of the worktree, and whether another one is shared by all @param steps the install steps that there are
 */
export function migrationFindings(
  look: Look,
  own: { databases: string[]; inFile: boolean; shared: boolean },
  steps: ReadonlySet<string>,
): Findings {
  const result = nothing();
  const refused: string[] = [];
  const migrations = candidates(look).filter(({ run, where }) => {
    const why = losesData(look, run);
    if (why !== null) refused.push(`${where} (\`${why}\`)`);
    return why === null;
  });
  const [migration] = migrations;
  if (migration !== undefined && !own.shared && (own.databases.length > 0 || own.inFile)) {
    const { run, where, after, cwd } = migration;
    const value = { run, needs: [...(steps.has(after) ? [after] : []), ...own.databases], ...(cwd !== undefined && { cwd }) };
    result.found.push(finding('steps', 'migrate', value, `by ${where}: the branch's own migrations, in the worktree's own database`));
  } else if (migration !== undefined)
    result.notes.push(`\`${migration.run}\` is left out: it could change a database that all worktrees share.`);
  refused.push(...recipes(look));
  if (refused.length > 0)
    result.notes.push(`Never run by itself, because it may drop, empty or load data: ${[...new Set(refused)].join(', ')}.`);
  return result;
}

function candidates(look: Look): Migration[] {
  const found: Migration[] = [];
  for (const folder of packageFolders(look)) {
    const scripts = packageJson(look, folder)?.scripts ?? {};
    for (const name of SCRIPTS)
      if (scripts[name] !== undefined)
        found.push({
          run: `${runOf(look)} ${name}`,
          where: `the script \`${name}\` of ${folder === '' ? 'package.json' : `${folder}/package.json`}`,
          after: 'install',
          ...(folder !== '' && { cwd: folder }),
        });
  }
  const prisma = filesLike(look, /(^|\/)prisma\/migrations\/[^/]+\/migration\.sql$/)[0];
  if (prisma !== undefined) {
    const folder = prisma.replace(/\/?prisma\/migrations\/.*$/, '');
    found.push({
      run: `${execOf(look)} prisma migrate deploy`,
      where: `${folder === '' ? '' : `${folder}/`}prisma/migrations`,
      after: 'install',
      ...(folder !== '' && { cwd: folder }),
    });
  }
  if (mentions(look, 'Gemfile', /^\s*gem ["']rails["']/m) && filesLike(look, /^db\/(migrate\/|schema\.rb|structure\.sql)/).length > 0)
    found.push({ run: 'bin/rails db:migrate', where: 'db/migrate', after: 'bundle' });
  if (look.files.has('artisan') && filesLike(look, /^database\/migrations\//).length > 0)
    found.push({ run: 'php artisan migrate --no-interaction', where: 'database/migrations', after: 'composer' });
  if (look.files.has('manage.py') && mentions(look, 'manage.py', /django/i))
    found.push({ run: `${pythonOf(look)} manage.py migrate --noinput`, where: 'manage.py', after: 'python' });
  if (mentions(look, 'mix.exs', /:ecto_sql\b|:ecto\b/) && filesLike(look, /^(apps\/[^/]+\/)?priv\/[^/]*repo\/migrations\//).length > 0)
    found.push({ run: 'mix ecto.migrate', where: 'priv/repo/migrations', after: 'deps' });
  if (look.files.has('alembic.ini'))
    found.push({ run: `${pythonOf(look)} -m alembic upgrade head`, where: 'alembic.ini', after: 'python' });
  return found;
}

/** Set-up recipes for a person's first day: they make a database anew. */
function recipes(look: Look): string[] {
  const commands = [
    ...filesLike(look, /^(bin|scripts?)\/(setup|bootstrap|init|reset)[\w.-]*$/).map((file) => ({ name: file, command: `./${file}` })),
    ...packageFolders(look).flatMap((folder) =>
      ['setup', 'bootstrap', 'db:setup', 'db:reset', 'prisma:reset'].flatMap((name) => {
        const text = packageJson(look, folder)?.scripts[name];
        return text === undefined ? [] : [{ name: `the script \`${name}\``, command: text }];
      }),
    ),
    ...(/\bsetup:\s*\[/.test(textOf(look, 'mix.exs')) ? [{ name: '`mix setup`', command: 'mix setup' }] : []),
  ];
  return commands.flatMap(({ name, command }) => {
    const why = losesData(look, command);
    return why === null ? [] : [`${name} (\`${why}\`)`];
  });
}
