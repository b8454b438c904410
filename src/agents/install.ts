import fs from 'node:fs';
import path from 'node:path';
import { writeInside } from '../files/inside.ts';
import { git } from '../git/git.ts';
import { errorCode, Failure } from '../outcome.ts';
import type { Reporter } from '../report/reporter.ts';
import { digest, forgetBefore, readBefore, remember } from './before.ts';
import type { AgentProgram } from './program.ts';
import { about, isThere, isUsed, programsIn, readAgentFile } from './table.ts';

/** Where the files are, and where it is remembered what they were. */
interface Clone {
  main: string;
  commonDir: string;
}

/** A set-up that copies env files over those that were just written. */
const COPIES_ENV = /\b(cp|ln|rsync|install|copy)\b[^\n;&|]*\.env\b/;

/**
 * Writes the set-up files of the programs that the repository uses, or of those named.
 * @param names as `--agents` takes them; null: those that the repository uses
 * @returns whether all could be written; what could not was said
 */
export async function addAgentFiles(clone: Clone, names: string[] | null, report: Reporter): Promise<boolean> {
  const { main } = clone;
  const programs = chosen(main, names);
  if (programs.length === 0) {
    const known = programsIn(main).map(({ name }) => name);
    report.text(`no program that is known has a file here. Name one: \`coppice install --agents ${known[0]}\` (${known.join(', ')})`);
  }
  const commit: string[] = [];
  let ok = true;
  for (const program of programs) {
    try {
      if (isThere(main, program)) report.same(program.title, `${program.file} sets worktrees up already`);
      else write(clone, program, report);
      if (await isIgnored(main, program.file))
        report.warn(`${program.file} is ignored by git, so no other worktree has it. Take it out of .gitignore, and commit it.`);
      else if ((await git(main, ['status', '--porcelain', '--', program.file])).stdout !== '') commit.push(program.file);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      report.fail(program.title, error.message);
      ok = false;
    }
  }
  if (commit.length > 0) report.text(`commit ${commit.join(', ')}, so that every worktree has it`);
  return ok;
}

/** Takes out what `addAgentFiles` put in: to the byte where the file is as it was left. @returns the files changed */
export function removeAgentFiles(clone: Clone, names: string[] | null): string[] {
  const { main, commonDir } = clone;
  return chosen(main, names ?? programsIn(main).map(({ name }) => name)).flatMap((program) => {
    const text = readAgentFile(main, program);
    const before = readBefore(commonDir, program.name);
    forgetBefore(commonDir, program.name);
    if (text === null) return [];
    const untouched = before !== null && digest(text) === before.wrote;
    const rest = untouched ? before.text : withoutOurs(main, program, text);
    if (rest === text) return [];
    put(main, program.file, rest);
    if (rest === null && before?.folder != null) removeEmpty(main, path.dirname(program.file), before.folder);
    return [program.file];
  });
}

function chosen(main: string, names: string[] | null): AgentProgram[] {
  const programs = programsIn(main);
  if (names === null) return programs.filter((program) => isUsed(main, program));
  return names.map((name) => {
    const program = programs.find((candidate) => candidate.name === name);
    if (!program)
      throw new Failure(`There is no program \`${name}\` for --agents. Programs: ${programs.map((known) => known.name).join(', ')}.`, 2);
    return program;
  });
}

function write({ main, commonDir }: Clone, program: AgentProgram, report: Reporter): void {
  const text = readAgentFile(main, program);
  const bom = text?.startsWith('\ufeff') ? '\ufeff' : '';
  const next = bom + about(program, () => program.add(text?.slice(bom.length) ?? null, path.basename(main)));
  const folder = firstMissing(main, path.dirname(program.file));
  // Before the file: who is killed in between has a note of a text that was never written, which fits nothing.
  remember(commonDir, program.name, { text, folder, wrote: digest(next) });
  put(main, program.file, next);
  report.done(program.title, program.file);
  if (COPIES_ENV.test(text ?? ''))
    report.warn(`${program.file} also copies env files, over those that coppice writes. Take that out: coppice brings them itself.`);
  if (program.note !== undefined) report.text(program.note);
}

function withoutOurs(main: string, program: AgentProgram, text: string): string | null {
  const bom = text.startsWith('\ufeff') ? '\ufeff' : '';
  const rest = about(program, () => program.remove(text.slice(bom.length), path.basename(main)));
  return rest === null ? null : bom + rest;
}

function put(main: string, file: string, text: string | null): void {
  const target = path.join(main, file);
  if (text === null) fs.unlinkSync(target);
  else writeInside(main, file, text, (fs.statSync(target, { throwIfNoEntry: false })?.mode ?? 0o644) & 0o777);
}

/** The topmost folder of a path that is not there. */
function firstMissing(main: string, folder: string): string | null {
  const parts = folder === '.' ? [] : folder.split('/');
  const all = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  return all.find((name) => !fs.existsSync(path.join(main, name))) ?? null;
}

/** Removes folders from `folder` up to `top`, while they are empty. */
function removeEmpty(main: string, folder: string, top: string): void {
  try {
    fs.rmdirSync(path.join(main, folder));
  } catch (error) {
    if (['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes(errorCode(error) ?? '')) return;
    throw error;
  }
  if (folder !== top) removeEmpty(main, path.dirname(folder), top);
}

async function isIgnored(main: string, file: string): Promise<boolean> {
  return (await git(main, ['check-ignore', '-q', '--', file])).code === 0;
}
