import { type Findings, finding, nothing } from './findings.ts';
import { folderOf, inFolder, type Look, packageJson, textOf } from './look.ts';

interface Installer {
  name: string;
  /** The file that tells. */
  lockfile: string;
  run: string;
}

/** Of one name the first that is there. */
const INSTALLERS: Installer[] = [
  { name: 'install', lockfile: 'pnpm-lock.yaml', run: 'pnpm install --frozen-lockfile --prefer-offline' },
  { name: 'install', lockfile: 'bun.lock', run: 'bun install --frozen-lockfile' },
  { name: 'install', lockfile: 'bun.lockb', run: 'bun install --frozen-lockfile' },
  { name: 'install', lockfile: 'yarn.lock', run: 'yarn install --immutable' },
  { name: 'install', lockfile: 'package-lock.json', run: 'npm ci --prefer-offline --no-audit --no-fund' },
  { name: 'bundle', lockfile: 'Gemfile.lock', run: 'bundle install' },
  { name: 'bundle', lockfile: 'Gemfile', run: 'bundle install' },
  { name: 'composer', lockfile: 'composer.lock', run: 'composer install --no-interaction' },
  { name: 'composer', lockfile: 'composer.json', run: 'composer install --no-interaction' },
  { name: 'python', lockfile: 'uv.lock', run: 'uv sync' },
  { name: 'python', lockfile: 'poetry.lock', run: 'poetry install --no-interaction' },
  { name: 'python', lockfile: 'Pipfile.lock', run: 'PIPENV_VENV_IN_PROJECT=1 pipenv sync --dev' },
  { name: 'python', lockfile: 'requirements.txt', run: 'python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt' },
  { name: 'deps', lockfile: 'mix.exs', run: 'mix deps.get' },
  { name: 'modules', lockfile: 'go.sum', run: 'go mod download' },
];

/** The commands that install dependencies, by lockfile; in the root, or right below it where the root has none. */
export function installFindings(look: Look): Findings {
  const result = nothing();
  const names = new Set<string>();
  for (const { name, lockfile, run } of INSTALLERS) {
    const file = nearest(look, lockfile);
    const folder = file === null ? '' : folderOf(file);
    if (file === null || names.has(name)) continue;
    if (/Gemfile$|composer\.json$/.test(file) && folder !== '') continue;
    names.add(name);
    const command = lockfile === 'yarn.lock' && isClassic(look, folder) ? 'yarn install --frozen-lockfile' : run;
    const value = {
      run: command,
      needs: [],
      ...(folder !== '' && { cwd: folder }),
    };
    result.found.push(
      finding('steps', name, value, `by ${file}; runs beside everything else, again with \`git coppice up --step ${name}\``),
    );
  }
  const root = packageJson(look);
  if (root !== null && !names.has('install') && Object.keys(root.dependencies).length > 0)
    result.found.push(
      finding('steps', 'install', { run: 'npm install --no-audit --no-fund', needs: [] }, 'by package.json; there is no lockfile'),
    );
  return result;
}

/** yarn 1 knows no --immutable; its lockfile says that it is its own. */
function isClassic(look: Look, folder: string): boolean {
  const manager = packageJson(look, folder)?.packageManager ?? '';
  return (
    manager.startsWith('yarn@1') || (manager === '' && !look.files.has(inFolder(folder, '.yarnrc.yml')) && !look.files.has('.pnp.cjs'))
  );
}

function nearest(look: Look, name: string): string | null {
  if (look.files.has(name)) return name;
  if (name === 'requirements.txt' || name === 'go.sum') return null;
  const below = [...look.files]
    .filter((file) => file.endsWith(`/${name}`) && file.split('/').length === 2 && !/^(examples?|tests?|docs|e2e)\//.test(file))
    .sort();
  return below[0] ?? null;
}

/** How a program of the dependencies is started: `npx`, `pnpm exec` … */
export function execOf(look: Look): string {
  if (look.files.has('pnpm-lock.yaml')) return 'pnpm exec';
  if (look.files.has('yarn.lock')) return 'yarn';
  if (look.files.has('bun.lock') || look.files.has('bun.lockb')) return 'bunx';
  return 'npx';
}

/** How a script of package.json is started. */
export function runOf(look: Look): string {
  if (look.files.has('pnpm-lock.yaml')) return 'pnpm run';
  if (look.files.has('yarn.lock')) return 'yarn run';
  if (look.files.has('bun.lock') || look.files.has('bun.lockb')) return 'bun run';
  return 'npm run';
}

/** Python as the repository's own tools start it. */
export function pythonOf(look: Look): string {
  if (look.files.has('uv.lock')) return 'uv run python';
  if (look.files.has('poetry.lock')) return 'poetry run python';
  if (look.files.has('Pipfile.lock')) return 'pipenv run python';
  return look.files.has('requirements.txt') ? '.venv/bin/python' : 'python3';
}

/** Whether a file of the look has a text. */
export function mentions(look: Look, file: string, pattern: RegExp): boolean {
  return pattern.test(textOf(look, file));
}
