import { copyFileSync } from 'node:fs';
import { defineConfig } from 'rolldown';

/** One small entry and chunks that are loaded when a verb needs them. No dependency is left to install. */
export default defineConfig({
  input: { cli: 'src/cli.ts' },
  platform: 'node',
  external: ['node:sqlite'],
  output: { dir: 'dist', format: 'esm', minify: true, entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs', cleanDir: true },
  plugins: [{ name: 'hook', writeBundle: () => copyFileSync('hooks/post-checkout', 'dist/post-checkout') }],
});
