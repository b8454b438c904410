import fs from 'node:fs';
import path from 'node:path';
import { readPlainIfThere } from '../ledger/document.ts';
import { errorCode, Failure } from '../outcome.ts';
import { learn } from '../report/secrets.ts';
import { readEnvText } from './env-text.ts';

/** The values of an env file, as dotenv reads them; none where there is no file. What is secret among them is never shown from then on. */
export function readEnvFile(file: string): Record<string, string> {
  return learn(readEnvText(readPlainIfThere(file) ?? ''));
}

/** A path of a worktree, and what puts it there. */
interface Placed {
  path: string;
  spec: { action: string; from?: string | undefined };
}

/** Makes known what is secret in the env files at a folder's root, and in those among others. What we cannot read shows nothing. */
export function learnEnvFiles(folder: string, placed: readonly Placed[] = []): void {
  const isEnv = ({ path: name, spec }: Placed) => ['merge', 'env'].includes(spec.action) || path.basename(name).startsWith('.env');
  const others = placed.filter(isEnv).flatMap(({ path: name, spec }) => [name, spec.from ?? name]);
  const names = fs.existsSync(folder) ? fs.readdirSync(folder).filter((name) => name.startsWith('.env')) : [];
  for (const name of new Set([...names, ...others])) {
    try {
      readEnvFile(path.join(folder, name));
    } catch (error) {
      if (!(error instanceof Failure) && !['EACCES', 'EPERM', 'EISDIR', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
    }
  }
}
