import fs from 'node:fs';
import path from 'node:path';
import { Failure } from '../outcome.ts';
import { parseJson, removeJson, setJson } from './json-edit.ts';
import { type AgentProgram, DOWN, setsUp, UP } from './program.ts';
import { addScriptLine, removeScriptLine, tomlString } from './toml-edit.ts';

/** What follows is not run in a worktree that could not be set up: it might find the main worktree's database. */
const FIRST = `${UP} || exit 1`;

/**
 * Conductor runs `scripts.setup` in each workspace that it makes, and `scripts.archive` before it deletes one. They are in
 * `.conductor/settings.toml`; where that is not there, in `conductor.json`, which older versions know too
 * (conductor.build/docs/reference/conductor-json).
 */
const inToml: Pick<AgentProgram, 'has' | 'add' | 'remove'> = {
  has: (text) => setsUp(tomlString(text, 'scripts', 'setup') ?? ''),
  add(text, _project) {
    const withSetup = addScriptLine(text ?? '', 'scripts', 'setup', FIRST, 'first');
    return addScriptLine(withSetup, 'scripts', 'archive', DOWN, 'last');
  },
  remove: (text) => removeScriptLine(removeScriptLine(text, FIRST), DOWN),
};

interface Scripts {
  setup?: unknown;
  archive?: unknown;
}

const inJson: Pick<AgentProgram, 'has' | 'add' | 'remove'> = {
  has: (text) => setsUp(String(scriptsOf(text).setup ?? '')),
  add(text, _project) {
    if (text === null) return `${JSON.stringify({ scripts: { setup: FIRST, archive: DOWN } }, null, 2)}\n`;
    const { setup = '', archive = '' } = scriptsOf(text);
    if (typeof setup !== 'string' || typeof archive !== 'string') throw new Failure('has scripts that are no text');
    const withSetup = setJson(text, ['scripts', 'setup'], setup === '' ? FIRST : `${FIRST}\n${setup}`);
    return setJson(withSetup, ['scripts', 'archive'], archive === '' ? DOWN : `${archive}\n${DOWN}`);
  },
  remove(text) {
    const { setup, archive } = scriptsOf(text);
    let rest = text;
    if (setup === FIRST) rest = removeJson(rest, ['scripts', 'setup']);
    else if (typeof setup === 'string' && setup.startsWith(`${FIRST}\n`))
      rest = setJson(rest, ['scripts', 'setup'], setup.slice(FIRST.length + 1));
    if (archive === DOWN) rest = removeJson(rest, ['scripts', 'archive']);
    else if (typeof archive === 'string' && archive.endsWith(`\n${DOWN}`))
      rest = setJson(rest, ['scripts', 'archive'], archive.slice(0, -DOWN.length - 1));
    return Object.keys(parseJson(rest)).length === 0 ? null : rest;
  },
};

function scriptsOf(text: string): Scripts {
  const { scripts = {} } = parseJson(text);
  if (typeof scripts !== 'object' || scripts === null) throw new Failure('has a `scripts` that is no object');
  return scripts;
}

const TOML = '.conductor/settings.toml';

/** Conductor, with the one of its two files that counts in this main worktree. */
export function conductor(main: string): AgentProgram {
  const known = { name: 'conductor', title: 'Conductor', evidence: ['conductor.json', TOML] };
  return fs.existsSync(path.join(main, TOML)) ? { ...known, file: TOML, ...inToml } : { ...known, file: 'conductor.json', ...inJson };
}
