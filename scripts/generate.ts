// Writes what is made from the config's schema: the JSON Schema for editors and the reference in docs/config.md.
import fs from 'node:fs';
import path from 'node:path';
import { generatedFiles } from './generated.ts';

for (const [file, text] of Object.entries(generatedFiles())) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}
