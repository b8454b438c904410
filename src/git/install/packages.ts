import fs from 'node:fs';
import path from 'node:path';

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

function foldersIn(folder: string): string[] {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
    .map(({ name }) => path.join(folder, name))
    .sort();
}
