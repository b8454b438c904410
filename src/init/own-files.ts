import { type Findings, finding, nothing } from './findings.ts';
import { folderOf, type Look, literalPath, textOf } from './look.ts';

/** Files that git ignores and that an app does not start without. */
const NEEDED: { files: RegExp; why: string }[] = [
  { files: /(^|\/)(master\.key|credentials\/[\w-]+\.key)$/, why: "Rails' key to its credentials" },
  { files: /\.(pem|key|crt|p12|pfx|jks|keystore)$/, why: 'a key or certificate' },
  { files: /(^|\/)(service-?account|firebase|google-credentials|gcp|credentials)[\w.-]*\.json$/i, why: 'credentials of a service' },
  {
    files: /(^|\/)(local_settings\.py|settings_local\.py|config\.local\.[\w]+|local\.(json|ya?ml|toml|exs|properties))$/,
    why: 'settings of this machine',
  },
  { files: /(^|\/)[\w-]+\.(local|secret)\.(exs|json|ya?ml|toml|properties)$/, why: 'settings of this machine' },
  {
    files:
      /(^|\/)(appsettings\.Development\.json|local\.settings\.json|application-local\.(ya?ml|properties)|auth\.json|\.npmrc|\.dev\.vars)$/,
    why: 'settings of this machine',
  },
  { files: /(^|\/)\.claude\/settings\.local\.json$/, why: 'what you allowed your agent' },
];

/** Copies of what only the main worktree has. Where a folder has several of a kind, a glob. */
export function ownFileFindings(look: Look): Findings {
  const result = nothing();
  const included = textOf(look, '.worktreeinclude');
  const groups = new Map<string, { files: string[]; why: string }>();
  for (const file of [...look.ignored].sort()) {
    const kind = NEEDED.find(({ files }) => files.test(file)) ?? madeFromSample(look, file);
    if (kind === undefined || /(^|\/)(node_modules|vendor|\.venv|dist|build|target)\//.test(file) || file.endsWith('/')) continue;
    const ending = file.slice(file.lastIndexOf('.'));
    const key = kind.why.startsWith('a key') ? `${folderOf(file)} ${ending}` : file;
    const group = groups.get(key) ?? { files: [], why: kind.why };
    groups.set(key, group);
    group.files.push(file);
  }
  for (const { files, why } of groups.values()) {
    const [first = ''] = files;
    const folder = folderOf(first);
    const name = files.length === 1 ? first : `${folder === '' ? '' : `${literalPath(folder)}/`}*${first.slice(first.lastIndexOf('.'))}`;
    result.found.push(
      finding(
        'files',
        files.length > 1 ? name : literalPath(name),
        'copy',
        `${files.length === 1 ? why : `keys or certificates`}, which git ignores`,
      ),
    );
  }
  if (included.trim() !== '')
    result.notes.push('.worktreeinclude is honoured after `files`: what it names and git ignores is copied as well.');
  return result;
}

/** A file that everybody makes from a sample: `config/database.yml` of `config/database.yml.sample`. */
function madeFromSample(look: Look, file: string): { files: RegExp; why: string } | undefined {
  // Env files are merged.
  if (/(^|\/)\.env[^/]*$/.test(file)) return undefined;
  const [, start = file, end = ''] = /^(.*?)(\.\w+)?$/s.exec(file) ?? [];
  const samples = ['example', 'sample', 'dist', 'template'].flatMap((word) => [
    `${file}.${word}`,
    `${file}-${word}`,
    `${start}.${word}${end}`,
  ]);
  const sample = samples.find((name) => look.files.has(name));
  return sample === undefined ? undefined : { files: /^/, why: `made from ${sample} in the main worktree` };
}
