import { type Look, packageFolders, packageJson, textOf } from './look.ts';

/**
 * What drops, empties or reloads data, as commands of many tools say it. A word too many costs a person one line that they add
 * themselves; a word too few costs them their data.
 */
const LOSES_DATA =
  /(^|[^a-z])(reset|drop|dropdb|fresh|refresh|rollback|truncate|wipe|purge|flush(all|db)?|destroy|nuke|teardown|clean-?db|undo|revert|loaddata|redo|recreate|prune|delete)([^a-z]|$)|(^|[^a-z])(db|ecto)[:.](setup|reset|drop|seed|prepare|create|schema)|(db|data)[:_-]clear|schema:load|structure:load|accept-data-loss|force-reset|migrate dev\b|db push|drizzle-kit push|--force\b|pg_restore|\bmysql\b[^|&;]*<|\bpsql\b[^|&;]*(<|-f)|down -v|migrate:(down|reset)|synchronize|sync --force|\brm\s+-\w*r/i;

/** The first words in a command that lose data, its own or those of what it calls; null when there are none to be seen. */
export function losesData(look: Look, command: string, seen: ReadonlySet<string> = new Set()): string | null {
  const [found] = LOSES_DATA.exec(command) ?? [];
  if (found !== undefined) return found.trim().replace(/^[^A-Za-z]+/, '') || found.trim();
  for (const called of calledBy(look, command)) {
    if (seen.has(called.name)) continue;
    const inside = losesData(look, called.text, new Set([...seen, called.name]));
    if (inside !== null) return inside;
  }
  return null;
}

/** Scripts of package.json, tasks of mix.exs and files of the repository that a command calls. */
function calledBy(look: Look, command: string): { name: string; text: string }[] {
  const scripts = [...command.matchAll(/\b(?:npm|pnpm|yarn|bun)(?: run| run-script)?(?: -\S+)* ([\w:.-]+)/g)].flatMap(([, name = '']) =>
    packageFolders(look).flatMap((folder) => {
      const script = packageJson(look, folder)?.scripts[name];
      return script === undefined ? [] : [{ name: `script ${folder} ${name}`, text: script }];
    }),
  );
  const words = command.split(/[\s;&|()"'`]+/).map((word) => word.replace(/^\.\//, ''));
  const files = words.filter((word) => look.files.has(word) && look.texts.has(word));
  const aliases = [...command.matchAll(/\bmix ([\w.]+)/g)].flatMap(([, task = '']) => {
    const body = new RegExp(String.raw`["']?${task.replaceAll('.', String.raw`\.`)}["']?:\s*\[([^\]]*)\]`).exec(
      textOf(look, 'mix.exs'),
    )?.[1];
    return body === undefined
      ? []
      : [{ name: `mix ${task}`, text: [...body.matchAll(/"([^"]+)"/g)].map(([, one]) => `mix ${one}`).join('\n') }];
  });
  return [...scripts, ...aliases, ...files.map((file) => ({ name: file, text: withoutComments(textOf(look, file)) }))];
}

function withoutComments(text: string): string {
  return text.replace(/^\s*(#|\/\/).*$/gm, '');
}
