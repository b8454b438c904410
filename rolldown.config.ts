import { copyFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'rolldown';
import { licencesOf } from './scripts/licences.ts';

const hook: Plugin = { name: 'hook', writeBundle: () => copyFileSync('hooks/post-checkout', 'dist/post-checkout') };

/** What is bundled is shipped, and its licences ask for their text to go with it. */
const licences: Plugin = {
  name: 'licences',
  generateBundle(_options, bundle) {
    const modules = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
    this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-LICENCES.txt', source: licencesOf(modules) });
  },
};

/** One small entry and chunks that are loaded when a verb needs them. No dependency is left to install. */
export default defineConfig({
  input: { cli: 'src/cli.ts' },
  platform: 'node',
  // cosmiconfig asks for TypeScript when it loads a config in it, which is never.
  external: ['node:sqlite', 'typescript'],
  output: { dir: 'dist', format: 'esm', minify: true, entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs', cleanDir: true },
  plugins: [hook, licences],
});
