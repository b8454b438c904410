import { defineConfig } from 'rolldown';
import { yaml } from './yaml.ts';

/** For `npm run schema`. */
export default defineConfig({
  input: 'scripts/generate.ts',
  platform: 'node',
  output: { dir: 'node_modules/.cache/coppice', format: 'esm' },
  plugins: [yaml],
});
