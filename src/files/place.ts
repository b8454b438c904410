import fs from 'node:fs';
import path from 'node:path';
import { statIfThere } from '../ledger/document.ts';
import type { FileRecord } from '../ledger/record.ts';
import { errorCode, Failure } from '../outcome.ts';
import type { PlannedFile } from '../plan/plan.ts';
import type { CarryRule } from '../resources/resource.ts';
import { copyInside, linkInside } from './copy.ts';
import { prepareInside, standing, temporaryBeside, writeInside } from './inside.ts';
import { envBlock, mergeEnv, withoutBlock } from './merge.ts';
import { copySqlite } from './sqlite-copy.ts';

export interface PlaceInput {
  file: PlannedFile;
  worktree: string;
  main: string | null;
  carry: readonly CarryRule[];
  /** The main worktree's env files, read. */
  mainEnv: Record<string, string>;
  before: FileRecord | undefined;
  /** Whether git tracks the path, or something below it. */
  tracked: boolean;
  isTrackedFile(name: string): boolean;
  salt: string;
  signal: AbortSignal;
}

export interface Placed {
  record: FileRecord;
  /** For a line of output. */
  detail: string;
  warnings: string[];
}

/** Puts one file of the config into the worktree. @throws {Failure} when it must not or cannot be written */
export async function placeFile(input: PlaceInput): Promise<Placed> {
  const { file, main, tracked } = input;
  const { action } = file.spec;
  if (tracked && action !== 'copy') return outcome(input, 'tracked', 'tracked by git, left as it is');
  const from = 'from' in file.spec && file.spec.from !== undefined ? file.spec.from : file.path;
  const source = main === null ? null : path.join(main, from);
  const missing = source === null || statIfThere(source) === null;
  switch (action) {
    case 'copy':
    case 'link':
    case 'sqlite':
      return missing ? missingSource(input, action, from) : placeCopy(input, action, source, from);
    case 'merge':
      return placeMerge(input, missing ? null : readText(source, from), from);
    case 'env':
      return placeText(input, envBlock(file.path, readCurrent(input), file.place, file.spec.format), Object.keys(file.place));
    case 'template':
      return placeText(input, file.text ?? '', []);
  }
}

/** Takes our block out of an env file that an earlier run wrote; a file that held nothing else goes. @returns whether it changed */
export function withdrawFile(worktree: string, relative: string): boolean {
  if (standing(worktree, relative) !== 'file') return false;
  const file = path.join(worktree, relative);
  const text = fs.readFileSync(file, 'utf8');
  const rest = withoutBlock(text);
  if (rest === text) return false;
  if (rest.trim() === '') fs.unlinkSync(file);
  else writeInside(worktree, relative, rest, fs.statSync(file).mode & 0o777);
  return true;
}

function missingSource(input: PlaceInput, action: 'copy' | 'link' | 'sqlite', from: string): Placed {
  return {
    ...outcome(input, 'missing', `no ${from} in the main worktree`),
    warnings: [`${input.file.path}: the main worktree has no ${from}, so there is nothing to ${action === 'link' ? 'link to' : 'copy'}`],
  };
}

async function placeCopy(input: PlaceInput, action: 'copy' | 'link' | 'sqlite', source: string, from: string): Promise<Placed> {
  const { file, worktree, signal } = input;
  if (action === 'link')
    return linkInside(source, worktree, file.path)
      ? outcome(input, 'written', `link to ${source}`)
      : outcome(input, 'unchanged', 'there already');
  if (action === 'copy') {
    if (copyInside(source, worktree, file.path, fileMode(file), input.isTrackedFile)) return outcome(input, 'written', 'copied');
    // Not there either: a program has taken it away meanwhile.
    return statIfThere(source) === null ? missingSource(input, action, from) : outcome(input, 'unchanged', 'there already');
  }
  if (standing(worktree, file.path) !== 'nothing') return outcome(input, 'unchanged', 'there already');
  const target = prepareInside(worktree, file.path);
  const temporary = temporaryBeside(target);
  try {
    await copySqlite(source, temporary, signal);
    fs.renameSync(temporary, target);
  } finally {
    for (const end of ['', '-journal', '-wal', '-shm']) fs.rmSync(temporary + end, { force: true });
  }
  return outcome(input, 'written', 'copied (sqlite)');
}

function placeMerge(input: PlaceInput, source: string | null, from: string): Placed {
  const { file, carry, before, salt } = input;
  const merged = mergeEnv({
    file: file.path,
    source: source ?? '',
    current: readCurrent(input),
    place: file.place,
    carry,
    onlyThese: file.adds ? null : input.mainEnv,
    digests: before?.digests ?? {},
    salt,
  });
  const warnings =
    source === null && file.explicit ? [`${file.path}: the main worktree has no ${from}, so it holds only this worktree's variables`] : [];
  return { ...placeText(input, merged.text, merged.placed, merged.digests), warnings: [...warnings, ...merged.warnings] };
}

function placeText(input: PlaceInput, text: string, names: string[], digests: Record<string, string> = {}): Placed {
  const { file, worktree } = input;
  const current = readCurrent(input);
  const detail = names.length > 0 ? names.join(', ') : file.spec.action === 'template' ? 'rendered' : 'as in the main worktree';
  if (current === text)
    return { ...outcome(input, 'unchanged', detail), record: { action: file.spec.action, state: 'unchanged', digests } };
  if (text === '' && current === null && file.spec.action === 'env') return outcome(input, 'unchanged', 'no variable to write');
  writeInside(worktree, file.path, text, fileMode(file) ?? 0o600);
  return { ...outcome(input, 'written', detail), record: { action: file.spec.action, state: 'written', digests } };
}

function outcome({ file, before }: PlaceInput, state: FileRecord['state'], detail: string): Placed {
  return { record: { action: file.spec.action, state, digests: before?.digests ?? {} }, detail, warnings: [] };
}

function fileMode(file: PlannedFile): number | null {
  return 'mode' in file.spec && file.spec.mode !== undefined ? Number.parseInt(file.spec.mode, 8) : null;
}

function readCurrent({ worktree, file }: PlaceInput): string | null {
  if (standing(worktree, file.path) !== 'file') return null;
  const bytes = fs.readFileSync(path.join(worktree, file.path));
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes))
    throw new Failure(`${file.path} in this worktree is not UTF-8, so it is not written; save it as UTF-8`);
  return text;
}

function readText(source: string, name: string): string {
  let bytes: Buffer;
  try {
    if (!fs.statSync(source).isFile()) throw new Failure(`${name} of the main worktree is not a plain file, so it is not read`);
    bytes = fs.readFileSync(source);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    throw new Failure(`${name} of the main worktree cannot be read (${code})`);
  }
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes))
    throw new Failure(`${name} of the main worktree is not UTF-8, so it cannot be merged; use \`copy\`, or save it as UTF-8`);
  return text;
}
