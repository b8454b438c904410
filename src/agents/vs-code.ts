import { insertJson, parseJson, removeJson, strings } from './json-edit.ts';
import { type AgentProgram, setsUp, UP } from './program.ts';

/** Of type `process`: the shell of a person's terminal may be one that does not read sh. */
const TASK = {
  label: 'coppice: set this worktree up',
  type: 'process',
  command: 'sh',
  args: ['-c', UP],
  runOptions: { runOn: 'folderOpen' },
  presentation: { reveal: 'silent', echo: false, panel: 'dedicated' },
  problemMatcher: [],
};

/** VS Code: a task that runs when the folder is opened (code.visualstudio.com/docs/debugtest/tasks). */
export const vsCode: AgentProgram = {
  name: 'vscode',
  title: 'VS Code',
  evidence: ['.vscode'],
  file: '.vscode/tasks.json',
  note: 'VS Code asks, or has to be told once, whether tasks may run by themselves: the command "Tasks: Manage Automatic Tasks"',
  has: (text) => strings(parseJson(text)).some(setsUp),
  add(text, _project) {
    if (text === null) return `${JSON.stringify({ version: '2.0.0', tasks: [TASK] }, null, 2)}\n`;
    parseJson(text);
    return insertJson(text, ['tasks'], 'last', TASK);
  },
  remove(text) {
    const { tasks = [] } = parseJson(text) as { tasks?: { label?: string }[] };
    const at = tasks.findIndex(({ label }) => label === TASK.label);
    const rest = at < 0 ? text : removeJson(text, ['tasks', at]);
    return Object.keys(parseJson(rest)).every((key) => key === 'version') ? null : rest;
  },
};
