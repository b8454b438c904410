import { insertJson, parseJson, removeJson, strings } from './json-edit.ts';
import { type AgentProgram, setsUp, UP } from './program.ts';

/**
 * What a SessionStart hook prints on stdout is added to what the model knows, when it exits with 0; stderr is not
 * (code.claude.com/docs/en/hooks). So a failure is told there, and a worktree that is ready says nothing.
 */
const COMMAND = `{ ${UP}; } 2>&1 || true`;
const LIST = ['hooks', 'SessionStart'];

interface Group {
  hooks?: { command?: string }[];
}

/** Claude Code: a hook of the project that runs when a session begins or is taken up again. */
export const claudeCode: AgentProgram = {
  name: 'claude',
  title: 'Claude Code',
  evidence: ['.claude', 'CLAUDE.md'],
  file: '.claude/settings.json',
  has: (text) => strings(parseJson(text)).some(setsUp),
  add(text, _project) {
    const group = { matcher: 'startup|resume', hooks: [{ type: 'command', command: COMMAND, timeout: 600 }] };
    if (text === null) return `${JSON.stringify({ hooks: { SessionStart: [group] } }, null, 2)}\n`;
    parseJson(text);
    return insertJson(text, LIST, 'last', group);
  },
  remove(text) {
    const { hooks } = parseJson(text) as { hooks?: { SessionStart?: Group[] } };
    let rest = text;
    // From the last: what goes changes the places of those behind it.
    for (const [index, group] of [...(hooks?.SessionStart ?? []).entries()].reverse()) {
      const at = group.hooks?.findIndex(({ command }) => command === COMMAND) ?? -1;
      if (at < 0) continue;
      rest = removeJson(rest, group.hooks?.length === 1 ? [...LIST, index] : [...LIST, index, 'hooks', at]);
    }
    return Object.keys(parseJson(rest)).length === 0 ? null : rest;
  },
};
