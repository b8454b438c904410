import { constants } from 'node:os';
import { errorCode, errorMessage, Failure } from '../outcome.ts';
import { commandEnvironment } from '../steps/environment.ts';
import { environmentOf } from './env.ts';

/** What `run` exits with when the command could not be started. */
const NOT_STARTED = 125;

/** What it exits with when the branch is not trusted. */
const NOT_APPROVED = 3;

/** `coppice run [--] cmd`: a command with the worktree's variables; passes on its exit code, and signals to it. */
export async function run(command: string, args: string[]): Promise<number> {
  let env: NodeJS.ProcessEnv;
  try {
    const { facts, variables } = await environmentOf(undefined, 'run');
    env = commandEnvironment(facts, variables);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(error.message, error.exitCode === NOT_APPROVED ? NOT_APPROVED : NOT_STARTED);
  }
  const { execa } = await import('execa');
  // Before the command starts: it may be running, and this process be told to end, before the next line here is reached.
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  // A terminal sends Ctrl-C to the command as well; what is needed here is to outlive it.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', forward);
  process.on('SIGHUP', forward);
  const child = execa(command, args, { env, extendEnv: false, stdio: 'inherit', reject: false, cleanup: true });
  const result = await child;
  if (result.exitCode !== undefined) return result.exitCode;
  if (result.signal) return 128 + constants.signals[result.signal as keyof typeof constants.signals];
  throw new Failure(
    `${command} could not be started: ${errorCode(result.cause) === 'ENOENT' ? 'there is no such program' : errorMessage(result.cause)}`,
    NOT_STARTED,
  );
}
