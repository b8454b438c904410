import fs from 'node:fs';
import path from 'node:path';
import { configsIn } from '../config/find.ts';
import type { Config } from '../config/schema.ts';
import { ignoredPaths, trackedPaths } from '../files/exclude.ts';
import { readIfThere } from '../ledger/document.ts';
import { type Finding, fine, note, problem } from './finding.ts';

/** The config itself, and whether git keeps its hands off the env files. */
export async function examineConfiguration(root: string, config: Config): Promise<Finding[]> {
  const [name = ''] = configsIn(root);
  return [fine('config', `${name} is right`), ...schemaComment(root, name), ...(await envFiles(root, config))];
}

/** The line by which editors find the schema: they say nothing when it leads nowhere. */
function schemaComment(root: string, name: string): Finding[] {
  const text = readIfThere(path.join(root, name)) ?? '';
  const [, schema] = /^#\s*yaml-language-server:\s*\$schema=(\S+)/m.exec(text) ?? [];
  if (schema === undefined || /^[a-z]+:\/\//.test(schema) || fs.existsSync(path.resolve(root, schema))) return [];
  return [note('config', `editors do not find the schema ${schema} that its first line names`, 'npm install')];
}

/** Env files with secrets, which git must not offer to commit. */
async function envFiles(root: string, config: Config): Promise<Finding[]> {
  const there = config.envFiles.filter((file) => fs.existsSync(path.join(root, file)));
  const placed = Object.keys(config.files ?? {});
  const readsThem =
    Object.values(config.resources).some(({ type }) => type !== 'port') &&
    (config.files === undefined || config.envFiles.some((file) => placed.includes(file)));
  if (there.length === 0 && readsThem)
    return [note('env files', `none of ${config.envFiles.join(', ')} is in ${root}: values that apps need cannot be taken over`)];
  const [{ isTrackedFile }, ignored] = await Promise.all([trackedPaths(root, there), ignoredPaths(root, there)]);
  return there.map((file) => {
    if (isTrackedFile(file))
      return note(file, 'git tracks it, so no worktree gets its own: values that differ belong into a file that git ignores');
    if (!ignored.has(file))
      return problem(
        file,
        'git does not ignore it: its secrets can be committed',
        `printf '\\n%s\\n' ${file} >> ${path.join(root, '.gitignore')}`,
      );
    return fine(file, 'ignored by git');
  });
}
