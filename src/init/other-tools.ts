import { type Finding, type Findings, finding, nothing, together } from './findings.ts';
import { filesLike, isMap, jsonOf, type Look, packageJson, textOf } from './look.ts';
import { losesData } from './safety.ts';

/** What another tool's file says: commands for a new worktree, files to copy, commands at its end. */
interface OtherTool {
  file: string;
  setup: string[];
  copy: string[];
  teardown: string[];
  notes: string[];
}

/** The set-up files of other tools, converted; `known` is what the detectors have found already. */
export function otherToolFindings(look: Look, known: Findings): Findings {
  let all = known;
  const added = nothing();
  for (const tool of [cursor(look), conductor(look), ...codex(look), wt(look), worktreeSetup(look)]) {
    if (tool === null) continue;
    const converted = convert(look, tool, all);
    added.found.push(...converted.found);
    added.notes.push(...converted.notes);
    all = together(all, converted);
  }
  return added;
}

/** The names by which those tools call the main worktree. */
const ROOT = String.raw`["']?\$\{?(?:ROOT_WORKTREE_PATH|CONDUCTOR_ROOT_PATH|ROOT_PATH|MAIN_WORKTREE|GIT_ROOT|REPO_ROOT)\}?["']?`;
const FROM_MAIN = new RegExp(String.raw`^(cp|ln)\s+((?:-\w+\s+)*)["']?${ROOT}/([^\s"']+)["']?\s+["']?([^\s"']+)["']?$`);
const INSTALL =
  /^(npm (ci|i|install)|pnpm (i|install)|yarn( install)?|bun (i|install)|bundle install|composer install|uv sync|poetry install|mix deps\.get|go mod download)\b/;

function convert(look: Look, { file, setup, copy, teardown, notes }: OtherTool, known: Findings): Findings {
  const result: Findings = { found: [], notes: [...notes] };
  const has = (section: Finding['section'], name: string) =>
    [...known.found, ...result.found].some((one) => one.section === section && one.name === name);
  const putFile = (path: string, link: boolean) => {
    const name = path.replace(/^\.\//, '').replace(/\/$/, '');
    if (has('files', name) || look.tracked.has(name)) return;
    const isEnv = /(^|\/)\.env[^/]*$/.test(name);
    // A link leads to the main worktree: what is written through it is written there.
    if (link && !isEnv)
      result.notes.push(
        `${file} links ${name} to the main worktree's: a copy is made instead. Where it may be one for all: \`${name}: link\`.`,
      );
    if (/^(node_modules|\.venv|vendor|deps|_build)$/.test(name)) return;
    const value = isEnv ? (name.includes('/') ? { action: 'merge', set: {} } : 'merge') : 'copy';
    result.found.push(finding('files', name, value, `from ${file}${isEnv ? "; with this worktree's values, where that copies" : ''}`));
  };
  for (const path of copy) putFile(path, false);
  const commands = setup.flatMap(lines);
  for (const command of commands) {
    const [, program, , from, to = ''] = FROM_MAIN.exec(command) ?? [];
    if (from !== undefined) {
      putFile(/^\.\/?$/.test(to) ? (from.split('/').at(-1) ?? from) : to, program === 'ln');
      continue;
    }
    if (
      /\bcoppice\b/.test(command) ||
      (INSTALL.test(command) && known.found.some((one) => one.section === 'steps' && isInstall(one.value)))
    )
      continue;
    const step = asStep(look, command, file);
    if ('note' in step) result.notes.push(step.note);
    else if (!known.found.some((one) => one.section === 'steps' && runOf(one.value) === step.run))
      result.found.push(
        finding(
          'steps',
          stepName(command, (name) => has('steps', name) || has('resources', name)),
          step.run,
          `from ${file}`,
        ),
      );
  }
  for (const command of teardown.flatMap(lines)) {
    const step = asStep(look, command, file);
    if ('note' in step) result.notes.push(step.note);
    else
      result.found.push(
        finding(
          'teardown',
          stepName(command, (name) => has('teardown', name)),
          step.run,
          `from ${file}`,
        ),
      );
  }
  result.notes.push(
    `${file} is converted here. Put \`git coppice up\` in the place of its set-up (\`npx coppice install --agents\` adds it), so that its worktrees are set up the same way.`,
  );
  return result;
}

function asStep(look: Look, command: string, file: string): { run: string } | { note: string } {
  const why = losesData(look, command);
  if (why !== null) return { note: `\`${command}\` of ${file} is left out: it may drop, empty or load data (\`${why}\`).` };
  if (new RegExp(ROOT).test(command) || /\.\.\//.test(command) || /\bgit worktree list\b/.test(command))
    return {
      note: `\`${command}\` of ${file} is left out: it uses the main worktree's own files. What it copies belongs under \`files\`.`,
    };
  return { run: command };
}

/** The commands of a script, one by one; a script with more than commands in a row stays whole. */
function lines(script: string): string[] {
  const text = script
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#') && !/^set -\w+/.test(line))
    .join('\n');
  if (/(^|\s)(if|for|while|case|function)\s|<<|\\\n|\$\(|^\w+=/m.test(text)) return text === '' ? [] : [text];
  return text.split(/\n|\s*&&\s*|\s*;\s*/).filter((line) => line !== '');
}

function stepName(command: string, taken: (name: string) => boolean): string {
  const words = command
    .replace(/^(npm|pnpm|yarn|bun|npx|bunx|make|mix|bash|sh|\.\/)( run| exec)?\s*/, '')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean);
  const name = words.slice(0, 2).join('_').toLowerCase().replace(/^(\d)/, '_$1') || 'setup';
  let free = name;
  for (let number = 2; taken(free); number += 1) free = `${name}_${number}`;
  return free;
}

function runOf(value: unknown): string {
  return typeof value === 'string' ? value : isMap(value) && typeof value.run === 'string' ? value.run : '';
}

function isInstall(value: unknown): boolean {
  return INSTALL.test(runOf(value));
}

function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}

const EMPTY = { setup: [], copy: [], teardown: [], notes: [] };

function cursor(look: Look): OtherTool | null {
  const file = '.cursor/worktrees.json';
  const data = jsonOf(textOf(look, file));
  if (data === null) return null;
  const said = data['setup-worktree-unix'] ?? data['setup-worktree'];
  // A text is the path of a script, relative to the file.
  const setup = typeof said === 'string' ? [`sh .cursor/${said.replace(/^\.\//, '')}`] : texts(said);
  return { ...EMPTY, file, setup };
}

function conductor(look: Look): OtherTool | null {
  const file = 'conductor.json';
  const data = jsonOf(textOf(look, file));
  if (data === null || !isMap(data.scripts)) return null;
  return { ...EMPTY, file, setup: texts(data.scripts.setup), teardown: texts(data.scripts.archive) };
}

/** TOML, of which only the scripts matter: `[setup]` with `script = '''…'''`. */
function codex(look: Look): OtherTool[] {
  return filesLike(look, /^\.codex\/environments\/[^/]+\.toml$/).map((file) => {
    const text = textOf(look, file);
    return { ...EMPTY, file, setup: tomlScript(text, 'setup'), teardown: tomlScript(text, 'cleanup') };
  });
}

function tomlScript(text: string, section: string): string[] {
  const body = new RegExp(String.raw`^\[${section}\]\s*$([\s\S]*?)(?=^\[|$(?![\s\S]))`, 'm').exec(text)?.[1] ?? '';
  const [, literal, basic, line, quoted] =
    /^script\s*=\s*(?:'''([\s\S]*?)'''|"""([\s\S]*?)"""|'([^'\n]*)'|"((?:[^"\\\n]|\\.)*)")/m.exec(body) ?? [];
  const script = literal ?? line ?? (basic ?? quoted)?.replace(/\\(["\\])/g, '$1').replace(/\\n/g, '\n');
  return script === undefined || script.trim() === '' ? [] : [script];
}

/** Of `@tokenbooks/wt`: env files, ports and databases are found by the other detectors. */
function wt(look: Look): OtherTool | null {
  const file = 'wt.config.json';
  const data = jsonOf(textOf(look, file));
  if (data === null) return null;
  const env = Array.isArray(data.envFiles) ? data.envFiles.flatMap((entry: unknown) => (isMap(entry) ? texts(entry.source) : [])) : [];
  const services = Array.isArray(data.dockerServices)
    ? data.dockerServices.flatMap((entry: unknown) => (isMap(entry) ? texts(entry.name) : []))
    : [];
  const notes =
    services.length > 0
      ? [
          `${file} starts ${services.join(', ')} in Docker for each worktree: put ${services.length > 1 ? 'them' : 'it'} into a compose file, then run \`coppice init\` again.`,
        ]
      : [];
  return { ...EMPTY, file, setup: texts(data.postSetup), copy: env, notes };
}

function worktreeSetup(look: Look): OtherTool | null {
  const said = packageJson(look)?.worktreeSetup;
  if (!isMap(said)) return null;
  return { ...EMPTY, file: '`worktreeSetup` in package.json', setup: texts(said.run), copy: texts(said.copy) };
}
