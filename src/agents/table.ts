import fs from 'node:fs';
import path from 'node:path';
import { readPlainIfThere } from '../ledger/document.ts';
import { Failure } from '../outcome.ts';
import { claudeCode } from './claude-code.ts';
import { codex } from './codex.ts';
import { conductor } from './conductor.ts';
import { cursor } from './cursor.ts';
import type { AgentProgram } from './program.ts';
import { vsCode } from './vs-code.ts';

/** Every program that is known, as it is in this main worktree. */
export function programsIn(main: string): AgentProgram[] {
  return [cursor, codex, conductor(main), claudeCode, vsCode];
}

/** Whether a repository uses a program. */
export function isUsed(main: string, { evidence }: AgentProgram): boolean {
  return evidence.some((name) => fs.existsSync(path.join(main, name)));
}

/** A program's file as it is now; null when there is none. @throws {Failure} when it is no text */
export function readAgentFile(main: string, { file }: AgentProgram): string | null {
  const text = readPlainIfThere(path.join(main, file));
  if (text?.includes('\ufffd')) throw new Failure(`${file} is not UTF-8`);
  return text;
}

/** Whether a program's file sets worktrees up. @throws {Failure} when the file cannot be read */
export function isThere(main: string, program: AgentProgram): boolean {
  const text = readAgentFile(main, program);
  return text !== null && about(program, () => program.has(text.replace(/^\ufeff/, '')));
}

/** Names the file in what is said of it. */
export function about<T>({ file }: AgentProgram, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(`${file} ${error.message}`);
  }
}

/** What `doctor` says of one program. A file that cannot be read counts as missing. */
export interface AgentFile {
  program: string;
  file: string;
  state: 'there' | 'missing' | 'not used';
}

/** For each program that is known: whether its file in the main worktree sets worktrees up. */
export function agentFiles(main: string): AgentFile[] {
  return programsIn(main).map((program) => {
    const { title, file } = program;
    if (!isUsed(main, program)) return { program: title, file, state: 'not used' };
    return { program: title, file, state: readsAsThere(main, program) ? 'there' : 'missing' };
  });
}

function readsAsThere(main: string, program: AgentProgram): boolean {
  try {
    return isThere(main, program);
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}
