import { Failure } from '../outcome.ts';
import { insertJson, parseJson, removeJson, strings } from './json-edit.ts';
import { type AgentProgram, setsUp, UP } from './program.ts';

/**
 * Cursor runs these commands, in order, in each worktree that it makes (cursor.com/docs/configuration/worktrees). On Linux and
 * macOS `setup-worktree-unix` counts where it is there. Each is a list of commands, or the name of a script.
 */
export const cursor: AgentProgram = {
  name: 'cursor',
  title: 'Cursor',
  evidence: ['.cursor'],
  file: '.cursor/worktrees.json',
  has: (text) => strings(parseJson(text)).some(setsUp),
  add(text, _project) {
    if (text === null) return `${JSON.stringify({ 'setup-worktree': [UP] }, null, 2)}\n`;
    const value = parseJson(text);
    const key = 'setup-worktree-unix' in value ? 'setup-worktree-unix' : 'setup-worktree';
    if (typeof value[key] === 'string') throw new Failure(`names a script, ${value[key]}: add \`git coppice up --quiet\` at its beginning`);
    return insertJson(text, [key], 'first', UP);
  },
  remove(text) {
    const value = parseJson(text);
    let rest = text;
    for (const key of ['setup-worktree-unix', 'setup-worktree']) {
      const commands = value[key];
      if (Array.isArray(commands) && commands.includes(UP)) rest = removeJson(rest, [key, commands.indexOf(UP)]);
    }
    return Object.keys(parseJson(rest)).length === 0 ? null : rest;
  },
};
