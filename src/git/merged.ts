import { git } from './git.ts';

/** The branches that are merged into a folder's HEAD. One that has no commit of its own yet is not called merged. */
export async function mergedBranches(cwd: string): Promise<Set<string>> {
  const [head, merged] = await Promise.all([
    git(cwd, ['rev-parse', '--verify', '--quiet', 'HEAD']),
    git(cwd, ['for-each-ref', '--format=%(objectname) %(refname:short)', '--merged=HEAD', 'refs/heads/']),
  ]);
  const own = merged.stdout.split('\n').filter((line) => line !== '' && !line.startsWith(head.stdout.trim()));
  return new Set(own.map((line) => line.slice(line.indexOf(' ') + 1)));
}
