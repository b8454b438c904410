import fs from 'node:fs';
import path from 'node:path';

/** Where a command in a bare repository is called from: its own folder, and the one whose `.git` file points at it. */
export function rootsOfBare(commonDir: string): string[] {
  const around = path.dirname(commonDir);
  const file = path.join(around, '.git');
  const pointer = fs.statSync(file, { throwIfNoEntry: false })?.isFile() && fs.readFileSync(file, 'utf8').match(/^gitdir: (.*)$/m)?.[1];
  return pointer && path.resolve(around, pointer) === commonDir ? [commonDir, around] : [commonDir];
}
