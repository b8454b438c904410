/** A piece of work and what it waits for. */
export interface Task {
  id: string;
  /** Ids of tasks that must have succeeded first; ids that are not in the graph count as done. */
  needs: string[];
  /** @returns whether it succeeded */
  run(): Promise<boolean>;
}

/** What became of a task: `waiting` means that something it needs failed, so it was not run. */
export type TaskEnd = 'done' | 'failed' | 'waiting';

/** Runs every task as soon as what it needs is done; independent work overlaps. A failure stops only what needs it. */
export async function runGraph(tasks: Task[]): Promise<Map<string, TaskEnd>> {
  const ends = new Map<string, TaskEnd>();
  const started = new Map<string, Promise<TaskEnd>>();
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const start = (task: Task): Promise<TaskEnd> => {
    const running = started.get(task.id);
    if (running) return running;
    const promise = (async () => {
      const needs = await Promise.all(task.needs.flatMap((id) => byId.get(id) ?? []).map(start));
      const end = needs.every((need) => need === 'done') ? ((await task.run()) ? 'done' : 'failed') : 'waiting';
      ends.set(task.id, end);
      return end;
    })();
    started.set(task.id, promise);
    return promise;
  };
  // Also after a bug in one: nothing may go on behind the back of who called.
  const settled = await Promise.allSettled(tasks.map(start));
  for (const { status, ...rest } of settled) if (status === 'rejected' && 'reason' in rest) throw rest.reason;
  return ends;
}
