import { Failure } from '../../outcome.ts';
import type { ExamineContext } from '../resource.ts';
import type { ResourceOptions } from '../schemas.ts';
import { findCompose, findEngine } from './engine.ts';
import { findComposeFiles, readProject } from './file.ts';

/** Whether a project can be made and started, and what of it all worktrees share. @throws {Failure} when it cannot */
export async function examine(
  options: ResourceOptions<'compose'>,
  files: readonly string[] | null,
  { mainPath }: ExamineContext,
): Promise<{ text: string; notes: string[] }> {
  const { warnings } = await readProject(mainPath, findComposeFiles(mainPath, files));
  const [engine, program] = await Promise.all([findEngine(process.env), findCompose(process.env)]);
  const lacks = [
    ...('id' in engine ? [] : [engine.installed ? `the Docker engine does not answer (${engine.why})` : engine.why]),
    ...(program === null ? ["Docker's Compose is not there"] : []),
  ];
  // The files for Compose are made all the same.
  if (lacks.length > 0 && options.up) throw new Failure(`Nothing can be started: ${lacks.join(', and ')}.`);
  const notes = [...lacks.map((lack) => `${lack}: worktrees get their files, and nothing is started`), ...warnings];
  return { text: program === null ? 'compose files are read' : `Compose ${program.version}, compose files are read`, notes };
}
