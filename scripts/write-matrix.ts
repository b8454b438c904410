// Writes docs/matrix.md from what test/integration/matrix.test.ts found at its last run.
import fs from 'node:fs';
import { matrixPage } from './matrix.ts';

fs.writeFileSync('docs/matrix.md', matrixPage());
