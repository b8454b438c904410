import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { prepareInside, standing, writeInside } from '../../src/files/inside.ts';
import { Failure } from '../../src/outcome.ts';

let top: string;
let root: string;
let outside: string;

beforeEach(() => {
  top = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-inside-')));
  root = path.join(top, 'worktree');
  outside = path.join(top, 'outside');
  fs.mkdirSync(root);
  fs.mkdirSync(outside);
  fs.writeFileSync(path.join(outside, 'file'), 'theirs');
  fs.writeFileSync(path.join(root, '.git'), 'gitdir: /main/.git/worktrees/x\n');
  onTestFinished(() => fs.rmSync(top, { recursive: true }));
});

/** Every path below the temporary folder, with what it holds. */
function everything(): Record<string, string> {
  const found = (fs.readdirSync(top, { recursive: true }) as string[]).map((name): [string, string] => {
    const stat = fs.lstatSync(path.join(top, name));
    const what = stat.isSymbolicLink()
      ? `-> ${fs.readlinkSync(path.join(top, name))}`
      : stat.isFile()
        ? fs.readFileSync(path.join(top, name), 'utf8')
        : 'a folder';
    return [name, what];
  });
  return Object.fromEntries(found);
}

const HOSTILE: [name: string, make: () => void, relative: string, says: RegExp][] = [
  [
    'a link at the output to a file outside',
    () => fs.symlinkSync('../outside/file', path.join(root, '.env')),
    '.env',
    /^\.env is a symbolic link/,
  ],
  [
    'an absolute link at the output',
    () => fs.symlinkSync(path.join(outside, 'file'), path.join(root, '.env')),
    '.env',
    /^\.env is a symbolic link/,
  ],
  ['a dangling link at the output', () => fs.symlinkSync('../outside/new', path.join(root, '.env')), '.env', /^\.env is a symbolic link/],
  ['a link at the output to itself', () => fs.symlinkSync('.env', path.join(root, '.env')), '.env', /^\.env is a symbolic link/],
  [
    'a link at a parent to a folder outside',
    () => fs.symlinkSync('../outside', path.join(root, 'config')),
    'config/.env',
    /config is a symbolic link/,
  ],
  ['a link at a parent’s parent', () => fs.symlinkSync('../outside', path.join(root, 'a')), 'a/b/c/.env', /: a is a symbolic link/],
  [
    'a dangling link at a parent',
    () => fs.symlinkSync('../outside/new', path.join(root, 'config')),
    'config/.env',
    /config is a symbolic link/,
  ],
  [
    'a link at a parent to a sibling within the worktree',
    () => {
      fs.mkdirSync(path.join(root, 'real'));
      fs.symlinkSync('real', path.join(root, 'config'));
    },
    'config/.env',
    /config is a symbolic link/,
  ],
  [
    'a link below a real folder',
    () => {
      fs.mkdirSync(path.join(root, 'a'));
      fs.symlinkSync('../../outside', path.join(root, 'a/b'));
    },
    'a/b/.env',
    /: a\/b is a symbolic link/,
  ],
  [
    'a file where a folder is needed',
    () => fs.writeFileSync(path.join(root, 'config'), ''),
    'config/.env',
    /config is a file in this branch, not a folder/,
  ],
  ['a folder at the output', () => fs.mkdirSync(path.join(root, '.env')), '.env', /^\.env is a folder/],
  ['`..`', () => {}, '../outside/file', /^\.\.\/outside\/file leaves the worktree/],
  ['`..` further on', () => fs.mkdirSync(path.join(root, 'a')), 'a/../../outside/file', /leaves the worktree/],
  ['`..` at the end', () => {}, 'a/..', /leaves the worktree/],
  ['an absolute path', () => {}, '/etc/coppice-test', /is not relative to the worktree/],
  ['the worktree itself', () => {}, './', /is the worktree itself/],
  ['nothing', () => {}, '', /is empty/],
  ['git’s own file', () => {}, '.git', /is among git's own files/],
  ['git’s own file in capitals', () => {}, '.GIT', /is among git's own files/],
  ['a path below `.git`', () => {}, '.git/hooks/post-checkout', /is among git's own files/],
  ['the `.git` of a submodule', () => fs.mkdirSync(path.join(root, 'sub')), 'sub/.git', /is among git's own files/],
  ['`.git` with a character that HFS+ ignores', () => {}, '.g\u200cit/config', /is among git's own files/],
];

test.each(HOSTILE)('%s: nothing is written, and a sentence says why', (_name, make, relative, says) => {
  make();
  const before = everything();
  let thrown: unknown;
  try {
    writeInside(root, relative, 'ours', 0o600);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(Failure);
  expect((thrown as Failure).message).toMatch(says);
  expect(everything()).toEqual(before);
});

test.each(HOSTILE.filter(([name]) => !/at the output/.test(name)))('%s: no folder is made for it either', (_name, make, relative) => {
  make();
  const before = everything();
  expect(() => prepareInside(root, relative)).toThrow(Failure);
  expect(everything()).toEqual(before);
});

describe('inside the worktree', () => {
  test.each(['.env', './.env', 'a/b/c.txt', 'a//b/./c.txt', '.gitignore', 'x.git/y', 'a b/ü.txt'])(
    '%s is written, with the folders above it',
    (relative) => {
      writeInside(root, relative, 'ours', 0o640);
      const file = path.join(root, relative);
      expect(fs.readFileSync(file, 'utf8')).toBe('ours');
      expect(fs.statSync(file).mode & 0o777).toBe(0o640);
      expect(Object.keys(everything()).filter((name) => name.includes('.coppice-'))).toEqual([]);
    },
  );

  test('a file that stood there is replaced whole, and other names of it keep what they had', () => {
    fs.writeFileSync(path.join(root, '.env'), 'old', { mode: 0o644 });
    fs.linkSync(path.join(root, '.env'), path.join(outside, 'hard'));
    writeInside(root, '.env', 'new', 0o600);
    expect(fs.readFileSync(path.join(root, '.env'), 'utf8')).toBe('new');
    expect(fs.statSync(path.join(root, '.env')).mode & 0o777).toBe(0o600);
    expect(fs.readFileSync(path.join(outside, 'hard'), 'utf8')).toBe('old');
  });

  test('a name that is too long is a sentence, and leaves nothing behind', () => {
    const before = everything();
    expect(() => writeInside(root, 'x'.repeat(300), 'ours', 0o600)).toThrow(/cannot be written: the name is too long$/);
    expect(everything()).toEqual(before);
  });
});

describe('standing', () => {
  test('tells what is there without following a link, also in a parent', () => {
    fs.mkdirSync(path.join(root, 'folder'));
    fs.symlinkSync('../outside', path.join(root, 'link'));
    fs.symlinkSync('nowhere', path.join(root, 'dangling'));
    expect([
      standing(root, '.git'),
      standing(root, 'folder'),
      standing(root, 'folder/x'),
      standing(root, 'link'),
      standing(root, 'link/file'),
      standing(root, 'dangling'),
      standing(root, 'dangling/x'),
      standing(root, '.git/x'),
      standing(root, 'none/x'),
    ]).toEqual(['file', 'folder', 'nothing', 'link', 'link', 'link', 'link', 'nothing', 'nothing']);
  });

  test('never tells of a file outside', () => {
    expect(standing(root, '../outside/file')).toBe('other');
    fs.mkdirSync(path.join(root, 'a'));
    expect(standing(root, 'a/../../outside/file')).toBe('other');
  });
});
