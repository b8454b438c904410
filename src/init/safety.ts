import { inFolder, isMap, jsonOf, type Look, packageFolders, packageJson, textOf } from './look.ts';

/**
 * What drops, empties or reloads data, as commands of many tools say it. A word too many costs a person one line that they add
 * themselves; a word too few costs them their data.
 */
const LOSES_DATA =
  /(^|[^a-z])(reset|drop|dropdb|fresh|refresh|truncate|wipe|purge|flush(all|db)?|destroy|nuke|teardown|clean-?db|undo|revert|loaddata|redo|recreate|prune|delete)([^a-z]|$)|(^|[^a-z])(db|ecto)[:.](setup|reset|drop|seed|prepare|create|schema)|(db|data)[:_-]clear|(migrat\w*|db)[: ]rollback|schema:load|structure:load|accept-data-loss|force-reset|migrate dev\b|db push|drizzle-kit push|--force\b|pg_restore|\bmysql\b[^|&;]*<|\bpsql\b[^|&;]*(<|-f)|down -v|migrate:(down|reset)|synchronize|sync --force|\brm\s+-\w*r/i;

/** The same in the text of a program, where `delete` and `reset` are words like others. */
const PROGRAM_LOSES_DATA =
  /\b(drop\s+(table|database|schema|owned)|truncate\s|drop_?(database|table|schema|all)|deleteMany|delete_all|destroy_all|migrate[: ](reset|fresh|refresh)|(db|ecto)[:.](drop|reset|setup)|sync\(\{ *force|accept-data-loss|force-reset|flush(all|db))/i;
const PROGRAM = /\.([cm]?[jt]s|py|rb|php|exs?)$/;

/** Runners whose tasks are not read here. */
const UNREAD_TASK = /(^|[\s;&|(])(just|task|mise run|moon run|nx run) [\w:.-]+/;

/** What tells that a command may lose data, by itself or by what it calls; null when nothing does. */
export function losesData(look: Look, command: string, seen: ReadonlySet<string> = new Set()): string | null {
  const told = wordIn(LOSES_DATA, command) ?? wordIn(UNREAD_TASK, command);
  if (told !== null) return told;
  for (const { name, text } of calledBy(look, command)) {
    if (seen.has(name)) continue;
    if (text === null) return name;
    const inside = PROGRAM.test(name) ? wordIn(PROGRAM_LOSES_DATA, text) : losesData(look, text, new Set([...seen, name]));
    if (inside !== null) return inside;
  }
  return null;
}

function wordIn(words: RegExp, text: string): string | null {
  const [found] = words.exec(text) ?? [];
  return found === undefined ? null : found.trim().replace(/^[^A-Za-z]+/, '') || found.trim();
}

/** What a command calls; null in the place of a text that was not read. */
interface Called {
  name: string;
  text: string | null;
}

function calledBy(look: Look, command: string): Called[] {
  return [...scriptsIn(look, command), ...tasksIn(look, command), ...filesIn(look, command)];
}

/** Scripts of package.json and composer.json. */
function scriptsIn(look: Look, command: string): Called[] {
  const node = [...command.matchAll(/\b(?:npm|pnpm|yarn|bun)(?: run| run-script)?(?: -\S+)* ([\w:.-]+)/g)].flatMap(([, name = '']) =>
    packageFolders(look).flatMap((folder) => {
      const script = packageJson(look, folder)?.scripts[name];
      return script === undefined ? [] : [{ name: `script ${folder} ${name}`, text: script }];
    }),
  );
  const scripts = jsonOf(textOf(look, 'composer.json'))?.scripts;
  const php = [...command.matchAll(/\bcomposer(?: run(?:-script)?)? ([\w:-]+)/g)].flatMap(([, name = '']) => {
    const script = isMap(scripts) ? scripts[name] : undefined;
    return script === undefined ? [] : [{ name: `composer ${name}`, text: [script].flat().join('\n') }];
  });
  return [...node, ...php];
}

/** Aliases of mix.exs and targets of a Makefile. */
function tasksIn(look: Look, command: string): Called[] {
  const aliases = [...command.matchAll(/\bmix ([\w.]+)/g)].flatMap(([, task = '']) => {
    const body = new RegExp(String.raw`["']?${literal(task)}["']?:\s*\[([^\]]*)\]`).exec(textOf(look, 'mix.exs'))?.[1];
    return body === undefined
      ? []
      : [{ name: `mix ${task}`, text: [...body.matchAll(/"([^"]+)"/g)].map(([, one]) => `mix ${one}`).join('\n') }];
  });
  const targets = [...command.matchAll(/\bmake(?: -\S+)* ([\w.-]+)/g)].flatMap(([, target = '']) => {
    const [, needs, body] = new RegExp(String.raw`^${literal(target)}:([^=\n]*)\n((?:\t.*\n?)*)`, 'm').exec(textOf(look, 'Makefile')) ?? [];
    const text = `${(needs ?? '')
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map((need) => `make ${need}`)
      .join('\n')}\n${body ?? ''}`;
    return needs === undefined ? [] : [{ name: `make ${target}`, text }];
  });
  return [...aliases, ...targets];
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Files of the repository. A program that was not read may do anything. */
function filesIn(look: Look, command: string): Called[] {
  const words = command.split(/[\s;&|()"'`]+/).map((word) => word.replace(/^\.\//, ''));
  const folders = packageFolders(look);
  return words.flatMap((word) =>
    ['', ...folders.filter((folder) => folder !== '')].flatMap((folder): Called[] => {
      const file = inFolder(folder, word);
      if (word === '' || !look.files.has(file)) return [];
      const text = look.texts.get(file);
      if (text !== undefined) return [{ name: file, text: withoutComments(text) }];
      return PROGRAM.test(file) || /\.(sh|bash)$|(^|\/)bin\//.test(file) ? [{ name: file, text: null }] : [];
    }),
  );
}

function withoutComments(text: string): string {
  return text.replace(/^\s*(#|\/\/).*$/gm, '');
}
