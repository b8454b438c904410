import { execFile } from 'node:child_process';
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
 * Another `git worktree add` makes its admin directory file by file, and git ends with this when it looks at one in that
 * moment (seen in 2.39).
 */
const HALF_MADE_WORKTREE = /failed to read .*worktrees\//;
const TRIES = 40;

/** Runs git in a folder. Never throws for git's own exit code. @throws {Failure} when git cannot be started. */
export function git(cwd: string, args: string[], options: { input?: string } = {}): Promise<GitResult> {
  return repeated(() => runProgram('git', cwd, args, options));
}

/**
 * Runs a script of git commands by `sh -c`, with arguments. Starting a process costs Node more than the shell or git: two
 * questions in one start are answered sooner.
 */
export function gitScript(cwd: string, script: string, args: string[], options: { input?: string } = {}): Promise<GitResult> {
  return repeated(() => runProgram('/bin/sh', cwd, ['-c', script, 'sh', ...args], options));
}

async function repeated(run: () => Promise<GitResult>): Promise<GitResult> {
  for (let tries = 1; ; tries += 1) {
    const result = await run();
    if (result.code === 0 || tries === TRIES || !HALF_MADE_WORKTREE.test(result.stderr)) return result;
    await new Promise((resolve) => setTimeout(resolve, 5 * tries));
  }
}

function runProgram(program: string, cwd: string, args: string[], options: { input?: string }): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    const env = { ...withoutLocalGitVars(process.env), GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
    const child = execFile(program, args, { cwd, env, maxBuffer: 64 * 1024 * 1024, encoding: 'utf8' }, (error, stdout, stderr) => {
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
    });
    child.stdin?.on('error', () => {}); // git that ends before it has read its input says so by its exit code
    child.stdin?.end(options.input ?? '');
  });
}

/** Runs git and returns what it printed. @throws {Failure} with git's own words when it fails. */
export async function gitOutput(cwd: string, args: string[], options: { input?: string } = {}): Promise<string> {
  const result = await git(cwd, args, options);
  if (result.code !== 0)
    throw new Failure(`git ${args.slice(0, 3).join(' ')} failed in ${cwd}: ${result.stderr.trim() || `exit code ${result.code}`}`);
  return result.stdout;
}
