import fs from 'node:fs';
import path from 'node:path';
import { prepareInside, standing, temporaryBeside } from '../files/inside.ts';
import { copySqlite } from '../files/sqlite-copy.ts';
import { statIfThere } from '../ledger/document.ts';
import { Failure } from '../outcome.ts';
import type { ResourceContext, ResourceType } from './resource.ts';
import type { ResourceOptions } from './schemas.ts';

/** A database file of the worktree's own, at the same place as the main worktree's. */
export const sqlite: ResourceType<ResourceOptions<'sqlite'>> = {
  parts: ['path', 'database'],
  filledBySteps: true,
  outside: 'nothing', // the file goes with the folder
  resolve(options, context) {
    const set = Object.hasOwn(context.mainEnv, context.name) ? context.mainEnv[context.name] : undefined;
    const written = options.from ?? set;
    if (written === undefined)
      throw new Failure(
        `\`${context.name}\` has no value in the main worktree's env files (${context.envFiles.join(', ')}), so its database is not known. Set it there, or name the database with \`from:\` in the config.`,
      );
    const location = parseLocation(written);
    if (location === null)
      throw new Failure(
        `\`${context.name}\` of the main worktree does not name a SQLite file: a path, \`file:…\` or \`sqlite:…\` is expected`,
      );
    const source = path.resolve(context.mainPath, startingFolder(written, location.path, context), location.path);
    const inMain = path.relative(context.mainPath, source);
    const isInside = inMain !== '' && !inMain.startsWith('..') && !path.isAbsolute(inMain);
    const relative = isInside ? inMain : path.basename(source);
    const target = path.join(context.worktreePath, relative);
    // A relative path already means the worktree's own file; an absolute one is moved.
    const moved = context.worktreePath !== context.mainPath && (path.isAbsolute(location.path) || !isInside);
    const value = moved ? `${location.before}${target}${location.after}` : written;
    return {
      value,
      variables: { [context.name]: value },
      parts: { path: target, database: path.basename(target) },
      made: { path: relative },
      source,
      // Other variables may name the same file by its full path.
      carry: target === source ? [] : [{ kind: 'text', from: source, to: target }],
      detail: relative,
    };
  },
  present: (resolved, effects) => standing(effects.worktreePath, resolved.made.path ?? '') !== 'nothing',
  intact: ({ data }, { parts, source }) =>
    Promise.resolve(data === 'empty' || isThere(parts.path ?? '') || source === null || !isThere(source)),
  async create(options, resolved, effects) {
    const relative = resolved.made.path ?? '';
    const source = resolved.source;
    const target = prepareInside(effects.worktreePath, relative);
    // A killed run got this far: nothing stood here when it was written down.
    if (isThere(target)) return { detail: relative, mark: { file: fileMark(target) } };
    if (options.data === 'empty') return { detail: `${relative}, left for the app to make` };
    if (source === null || !isThere(source)) return { detail: `${relative}, left for the app to make: the main worktree has none` };
    const temporary = temporaryBeside(target);
    try {
      await copySqlite(source, temporary, effects.signal);
      fs.renameSync(temporary, target);
    } finally {
      for (const end of ['', '-journal', '-wal', '-shm']) fs.rmSync(temporary + end, { force: true });
    }
    return { detail: `${relative}, a copy of the main worktree's`, mark: { file: fileMark(target) } };
  },
  async destroy(made, { worktreePath }) {
    // A vanished worktree took its file along; what stands at its path now belongs to another.
    if (worktreePath === null || made.path === undefined || standing(worktreePath, made.path) !== 'file') return 'nothing';
    const file = path.join(worktreePath, made.path);
    // Another file stands there now, made by the app or by a person: it is theirs.
    if (made.file !== undefined && made.file !== fileMark(file)) return 'nothing';
    for (const end of ['', '-wal', '-shm', '-journal']) fs.rmSync(file + end, { force: true });
    return undefined;
  },
};

/**
 * Where a relative path starts: at the root, but for Prisma, whose `file:` is relative to its schema
 * (https://www.prisma.io/docs/orm/overview/databases/sqlite). Where a file is there already, that tells.
 */
function startingFolder(written: string, file: string, { mainHas }: Pick<ResourceContext, 'mainHas'>): string {
  if (!written.startsWith('file:') || path.isAbsolute(file) || mainHas(file) || !mainHas('prisma/schema.prisma')) return '';
  return 'prisma';
}

/** What cannot be looked at is no file that is missing. */
function isThere(file: string): boolean {
  return statIfThere(file) !== null;
}

/** What tells a file from another at its place. */
function fileMark(file: string): string {
  const { dev, ino, birthtimeNs } = fs.statSync(file, { bigint: true });
  return `${dev}:${ino}:${birthtimeNs}`;
}

interface Location {
  before: string;
  path: string;
  after: string;
}

/** A path, `file:PATH`, `file:///PATH`, `sqlite:PATH`, or `sqlite:///RELATIVE` and `sqlite:////ABSOLUTE` as SQLAlchemy and Django have it. */
function parseLocation(value: string): Location | null {
  const [, scheme = '', slashes = '', rest = ''] = /^(file:|sqlite3?:)?(\/\/\/?)?(.*)$/s.exec(value) ?? [];
  const query = scheme === '' ? -1 : rest.search(/[?#]/);
  const file = query < 0 ? rest : rest.slice(0, query);
  const after = query < 0 ? '' : rest.slice(query);
  if (file === '' || file === ':memory:') return null;
  if (scheme === '') return /^[a-z][a-z0-9+.-]*:/i.test(value) ? null : { before: '', path: value, after: '' };
  if (scheme === 'file:' && slashes === '///') return { before: 'file://', path: `/${file}`, after };
  if (slashes === '//') return { before: `${scheme}//`, path: file, after };
  return { before: scheme + slashes, path: file, after };
}
