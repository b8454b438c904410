import fs from 'node:fs';
import path from 'node:path';
import { formatProblem } from '../config/problems.ts';
import { git } from '../git/git.ts';
import { printJson } from '../report/print.ts';
import { redact } from '../report/secrets.ts';
import { visible } from '../report/visible.ts';

/**
 * `coppice check [folder]`: judges the config alone, never the machine, so that it passes in CI. Exit code 2 when anything is
 * wrong with it; a warning is not wrong.
 */
export async function check(folder: string | undefined, options: { json?: boolean }): Promise<number> {
  const start = path.resolve(folder ?? '.');
  const top = await git(fs.existsSync(start) ? start : '.', ['rev-parse', '--show-toplevel']);
  const root = folder === undefined && top.code === 0 ? top.stdout.replace(/\n$/, '') : start;
  const [{ loadConfig }, { scriptsNobodyLooksAt }] = await Promise.all([import('../config/load.ts'), import('../config/scripts.ts')]);
  const loaded = await loadConfig(root, null);
  const problems = loaded.state === 'wrong' ? loaded.problems : [];
  const absent = loaded.state === 'absent';
  const warnings = loaded.state === 'ok' ? await scriptsNobodyLooksAt(loaded.config, root) : [];
  if (options.json) printJson({ version: 1, ok: problems.length === 0 && !absent, problems, warnings });
  else if (absent) process.stderr.write(`There is no worktree.config.yaml in ${root}.\n`);
  else if (problems.length > 0)
    process.stderr.write(
      redact(`${problems.map(formatProblem).join('\n\n')}\n\n${problems.length} problem${problems.length > 1 ? 's' : ''}\n`),
    );
  else if (loaded.state === 'ok')
    process.stderr.write(`${warnings.map((text) => `! ${visible(text)}\n`).join('')}${loaded.file} is right\n`);
  return problems.length > 0 || absent ? 2 : 0;
}
