import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Failure } from '../outcome.ts';

/** What a git command came to. */
export interface GitResult {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Environment that ties a process to one repository: what `git rev-parse --local-env-vars` lists. A child that inherited
 * them would work on the wrong repository. GIT_CONFIG_COUNT stands for GIT_CONFIG_KEY_<n> and GIT_CONFIG_VALUE_<n> too.
 */
export const LOCAL_ENV_VARS = [
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_CONFIG',
  'GIT_CONFIG_PARAMETERS',
  'GIT_CONFIG_COUNT',
  'GIT_OBJECT_DIRECTORY',
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_IMPLICIT_WORK_TREE',
  'GIT_GRAFT_FILE',
  'GIT_INDEX_FILE',
  'GIT_NO_REPLACE_OBJECTS',
  'GIT_REPLACE_REF_BASE',
  'GIT_PREFIX',
  'GIT_INTERNAL_SUPER_PREFIX',
  'GIT_SHALLOW_FILE',
  'GIT_COMMON_DIR',
];

/** A copy of the environment without what ties it to one repository. */
export function withoutLocalGitVars(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !LOCAL_ENV_VARS.includes(name) && !/^GIT_CONFIG_(KEY|VALUE)_\d+$/.test(name)),
  );
}

/**
 * `git worktree add` makes its admin directory file by file, `remove` and `prune` take it away so, and any other git that looks at
 * one in that moment ends with this (seen in 2.39: of 16,500 lists beside three lanes of adds and removals, 66).
 */
const HALF_A_WORKTREE = /(failed to read|Invalid path) .*worktrees\//;
const TRIES = 40;

/** Runs git in a folder. Never throws for git's own exit code. @throws {Failure} when git cannot be started. */
export function git(cwd: string, args: string[], options: { input?: string } = {}): Promise<GitResult> {
  return repeated(() => runProgram('git', cwd, args, options));
}

/**
 * Runs a script of git commands by `sh -c`, with arguments, and returns what they printed: starting a process costs Node more
 * than the shell or git. @param scratch a folder for a passing file
 * @throws {Failure} with git's own words when it fails
 */
export async function gitScript(cwd: string, script: string, args: string[], scratch: string): Promise<string> {
  const arguments_ = ['-c', script, 'sh', ...args];
  const first = await intoFile('/bin/sh', arguments_, { cwd, env: gitEnvironment() }, scratch);
  if (first.code === 0) return first.stdout;
  const again = await repeated(() => runProgram('/bin/sh', cwd, arguments_, {}));
  if (again.code !== 0) throw new Failure(`git failed in ${cwd}: ${again.stderr.trim() || `exit code ${again.code}`}`);
  return again.stdout;
}

/** All of an open file, from its beginning, wherever its writer has left the position. */
function readWhole(fd: number): string {
  const bytes = Buffer.alloc(fs.fstatSync(fd).size);
  let done = 0;
  while (done < bytes.length) done += fs.readSync(fd, bytes, done, bytes.length - done, done);
  return bytes.toString('utf8');
}

async function repeated(run: () => Promise<GitResult>): Promise<GitResult> {
  for (let tries = 1; ; tries += 1) {
    const result = await run();
    if (result.code === 0 || tries === TRIES || !HALF_A_WORKTREE.test(result.stderr)) return result;
    await new Promise((resolve) => setTimeout(resolve, 5 * tries));
  }
}

function gitEnvironment(): NodeJS.ProcessEnv {
  return { ...withoutLocalGitVars(process.env), GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
}

function runProgram(program: string, cwd: string, args: string[], options: { input?: string }): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { cwd, env: gitEnvironment(), maxBuffer: 64 * 1024 * 1024, encoding: 'utf8' },
      (error, stdout, stderr) => {
        if (error && typeof error.code === 'string') {
          reject(
            new Failure(
              error.code === 'ENOENT'
                ? `git could not be started in ${cwd}: is git on PATH, and does the folder exist?`
                : `git could not be started: ${error.message}`,
            ),
          );
          return;
        }
        resolve({ code: error ? Number(error.code ?? 128) : 0, stdout, stderr });
      },
    );
    child.stdin?.on('error', () => {}); // git that ends before it has read its input says so by its exit code
    child.stdin?.end(options.input ?? '');
  });
}

/**
 * The settings whose keys match an extended regular expression, wherever git finds them, `git -c` included: for each its origin
 * and `key\nvalue`, each with a NUL behind it.
 */
export async function gitSettings(cwd: string, keys: string): Promise<string> {
  const given = Object.entries(process.env).filter(([name]) => /^GIT_CONFIG_(PARAMETERS|COUNT|KEY_\d+|VALUE_\d+)$/.test(name));
  const env = { ...gitEnvironment(), ...Object.fromEntries(given) };
  const args = ['config', '--null', '--show-origin', '--get-regexp', keys];
  const { code, stdout } = await intoFile('git', args, { cwd, env }, os.tmpdir());
  // 1: there is none.
  if (code === 0 || code === 1) return stdout;
  throw new Failure(`git config failed in ${cwd} (${code === null ? 'git cannot be started' : `exit code ${code}`}).`);
}

/** What a program prints, by way of a file in the folder `scratch`: pipes to a child cost Node more than the child. */
async function intoFile(
  program: string,
  args: string[],
  options: { cwd: string; env: NodeJS.ProcessEnv },
  scratch: string,
): Promise<{ code: number | null; stdout: string }> {
  const file = path.join(scratch, `.tmp-${randomBytes(8).toString('hex')}`);
  const fd = fs.openSync(file, 'wx+', 0o600);
  try {
    fs.unlinkSync(file);
    const child = spawn(program, args, { ...options, stdio: ['ignore', fd, 'ignore'] });
    const code = await new Promise<number | null>((resolve) => child.on('error', () => resolve(null)).on('exit', resolve));
    return { code, stdout: readWhole(fd) };
  } finally {
    fs.closeSync(fd);
  }
}

/** Runs git and returns the bytes that it printed. @throws {Failure} with git's own words when it fails. */
export function gitBytes(cwd: string, args: string[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    execFile('git', args, { cwd, env: gitEnvironment(), maxBuffer: 2 ** 30, encoding: 'buffer' }, (error, stdout, stderr) => {
      if (error) reject(new Failure(`git ${args.slice(0, 3).join(' ')} failed in ${cwd}: ${stderr.toString().trim() || error.message}`));
      else resolve(stdout);
    });
  });
}

/** Runs git and returns what it printed. @throws {Failure} with git's own words when it fails. */
export async function gitOutput(cwd: string, args: string[], options: { input?: string } = {}): Promise<string> {
  const result = await git(cwd, args, options);
  if (result.code !== 0)
    throw new Failure(`git ${args.slice(0, 3).join(' ')} failed in ${cwd}: ${result.stderr.trim() || `exit code ${result.code}`}`);
  return result.stdout;
}
