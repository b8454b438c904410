import fs from 'node:fs';
import path from 'node:path';
import { errorCode } from '../../outcome.ts';

/** How far below the root a package may lie that keeps the repository's hooks: `packages/web`. */
const DEPTH = 2;

/** Folders with a package.json, the root's first. */
export function packageFolders(root: string): string[] {
  const found: string[] = [];
  let level = [root];
  for (let depth = 0; depth <= DEPTH; depth += 1) {
    found.push(...level.filter((folder) => fs.existsSync(path.join(folder, 'package.json'))));
    if (depth < DEPTH) level = level.flatMap(foldersIn);
  }
  return found;
}

/** One that is gone by now, or that we may not look into, such as a database's data, has no package of the repository. */
function foldersIn(folder: string): string[] {
  return entriesOf(folder)
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
    .map(({ name }) => path.join(folder, name))
    .sort();
}

function entriesOf(folder: string): fs.Dirent[] {
  try {
    return fs.readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(errorCode(error) ?? '')) throw error;
    return [];
  }
}
