import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { errorCode, errorMessage, Failure } from '../outcome.ts';
import { makeFolder } from './document.ts';

/**
 * The ledger of this user on this machine: `COPPICE_STATE_DIR`, else `$XDG_STATE_HOME/coppice`, else
 * `~/.local/state/coppice`.
 *
 * ```
 * claims/port-3010                         one file a claim; its content says whose
 * repos/<repository id>/repository         where the repository is
 * repos/<repository id>/worktrees/<id>/    owner, journal and claim of one worktree
 * ```
 */
export interface StateDir {
  root: string;
  claims: string;
  repos: string;
}

/** Opens the ledger, making its folders (0700) at first use. @throws {Failure} when it cannot be made. */
export function openStateDir(env: NodeJS.ProcessEnv = process.env): StateDir {
  const root = stateRoot(env);
  const dirs = { root, claims: path.join(root, 'claims'), repos: path.join(root, 'repos') };
  try {
    if (!fs.existsSync(dirs.repos) || !fs.existsSync(dirs.claims)) {
      makeFolder(dirs.claims);
      makeFolder(dirs.repos);
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    throw new Failure(
      `The state folder ${root} cannot be made (${errorMessage(error)}). Set COPPICE_STATE_DIR to a folder that can be written.`,
    );
  }
  return dirs;
}

function stateRoot(env: NodeJS.ProcessEnv): string {
  if (env.COPPICE_STATE_DIR) {
    // Every folder would have a ledger of its own, and two worktrees one port.
    if (!path.isAbsolute(env.COPPICE_STATE_DIR))
      throw new Failure(`COPPICE_STATE_DIR is \`${env.COPPICE_STATE_DIR}\`: an absolute path is needed.`, 2);
    return env.COPPICE_STATE_DIR;
  }
  // The XDG base directory specification: a relative path is to be ignored.
  if (env.XDG_STATE_HOME && path.isAbsolute(env.XDG_STATE_HOME)) return path.join(env.XDG_STATE_HOME, 'coppice');
  return path.join(os.homedir(), '.local', 'state', 'coppice');
}
