import { isData } from '../config/data.ts';
import { CONFIG_NAMES } from '../config/find.ts';
import { judgeConfig } from '../config/load.ts';
import { expandShorthands } from '../config/shorthand.ts';
import { parseSource } from '../config/source.ts';
import { gitBytes, gitOutput } from '../git/git.ts';
import { type Closure, closureOf } from './closure.ts';
import { asSubmodule, matcher, type Tree } from './tree.ts';

/**
 * What a commit asks for, read without checking it out. Null when it has no config, or one that is wrong.
 * @param cwd a folder of the repository @param commit its full name, or a full ref
 */
export async function closureOfCommit(cwd: string, commit: string): Promise<Closure | null> {
  const tree = await commitTree(cwd, commit);
  const found = await Promise.all(CONFIG_NAMES.map(async (name) => ({ name, bytes: await tree.read(name) })));
  const [only, second] = found.filter(({ bytes }) => bytes !== null);
  if (only === undefined || second !== undefined) return null;
  const read = parseSource(only.bytes?.toString('utf8') ?? '', only.name);
  if ('problems' in read) return null;
  const base = expandShorthands(read.source.value);
  const judged = isData(base) ? await judgeConfig(base, [read.source], null) : null;
  return judged !== null && 'config' in judged ? closureOf(judged.config, base, tree) : null;
}

/** A commit's files. What is a link there cannot be read. @param cwd a folder of the repository @param commit its full name, or a full ref */
async function commitTree(cwd: string, commit: string): Promise<Tree> {
  const listed = await gitOutput(cwd, ['ls-tree', '-r', '-z', '--full-tree', commit]);
  const files = new Map<string, string>();
  const submodules = new Map<string, string>();
  for (const line of listed.split('\0')) {
    const [, object, name] = /^100(?:644|755) blob ([0-9a-f]+)\t(.+)$/s.exec(line) ?? [];
    if (object !== undefined && name !== undefined) files.set(name, object);
    const [, commit, folder] = /^160000 commit ([0-9a-f]+)\t(.+)$/s.exec(line) ?? [];
    if (commit !== undefined && folder !== undefined) submodules.set(folder, commit);
  }
  if (!files.has('.gitmodules')) submodules.clear();
  return {
    async read(name) {
      const submodule = submodules.get(name);
      if (submodule !== undefined) return asSubmodule(submodule);
      const object = files.get(name);
      // As bytes: a script need not be text.
      return object === undefined ? null : gitBytes(cwd, ['cat-file', 'blob', object]);
    },
    carried: async (names) => new Set(names),
    async glob(patterns) {
      const { among, reach } = await matcher(patterns);
      return [...among([...files.keys()]), ...[...submodules.keys()].filter(reach)].sort();
    },
  };
}
