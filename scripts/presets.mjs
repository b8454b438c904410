// Writes src/resources/presets.ts from the YAML files, so that a run reads no file and no YAML for them.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';

const SOURCE = path.join(import.meta.dirname, '../src/resources/presets');
const TARGET = path.join(import.meta.dirname, '../src/resources/presets.ts');

/** The module's text, as it should be now. */
export function presetsModule() {
  const files = fs.readdirSync(SOURCE).filter((name) => name.endsWith('.yaml'));
  const presets = Object.fromEntries(
    files.map((name) => [path.basename(name, '.yaml'), parse(fs.readFileSync(path.join(SOURCE, name), 'utf8'))]),
  );
  return `// Generated from presets/*.yaml by \`npm run schema\`.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the shell's
// biome-ignore-all format: as JSON has it
import type { Preset } from './command-recipe.ts';

export const PRESETS = ${JSON.stringify(presets, null, 2)} as const satisfies Record<string, Preset>;
`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) fs.writeFileSync(TARGET, presetsModule());
