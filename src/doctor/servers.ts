import type { Place } from '../git/worktrees.ts';
import { Failure } from '../outcome.ts';
import { planOf } from '../plan/gather.ts';
import { resourceType } from '../resources/table.ts';
import type { Closure } from '../trust/closure.ts';
import { type Finding, fine, note, problem } from './finding.ts';

/** Whether a worktree that is added now would get each of its resources: asked of the servers, and nothing is changed there. */
export async function examineServers(closure: Closure, place: Place, root: string): Promise<Finding[]> {
  const ports = Object.fromEntries(
    Object.entries(closure.config.resources).flatMap(([name, spec]) => (spec.type === 'port' ? [[name, spec.base]] : [])),
  );
  const worktree = { path: root, branch: null };
  const plan = await planOf(closure, place, worktree, { slug: 'doctor', slot: { slot: 1, ports } }, null);
  const findings = plan.resources.map(async ({ name, spec, resolved }): Promise<Finding[]> => {
    if (resolved instanceof Failure) return [problem(name, resolved.message)];
    const type = resourceType(spec.type);
    if (type.examine === undefined) return [];
    try {
      const { text, notes } = await type.examine(spec, resolved, { mainPath: root, mainEnv: plan.mainEnv });
      return [fine(name, text), ...notes.map((said) => note(name, said))];
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return [problem(name, error.message)];
    }
  });
  return (await Promise.all(findings)).flat();
}
