// Prints src/resources/command/presets.ts, which holds the YAML files beside it, so that a run reads no file and no YAML for them.
import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';

const folder = path.join(import.meta.dirname, '../src/resources/command/presets');
const presets = fs
  .readdirSync(folder)
  .map((name) => [path.basename(name, '.yaml'), parse(fs.readFileSync(path.join(folder, name), 'utf8'))]);
process.stdout.write(`// Generated from presets/*.yaml by \`npm run schema\`.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the shell's
// biome-ignore-all format: as JSON has it
import type { Preset } from './recipe.ts';

/** The presets as their files have them, by name. */
export const PRESETS = ${JSON.stringify(Object.fromEntries(presets.sort()), null, 2)} as const satisfies Record<string, Preset>;
`);
