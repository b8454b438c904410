// What the guard adds to an ordinary `git checkout` under each hook manager, beside that manager with a hook that does nothing.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const modules = path.resolve(import.meta.dirname, '../node_modules');
/** lefthook and simple-git-hooks, as the tests have installed them. */
const others = path.join(modules, '.cache/coppice/managers/node_modules');
const NOTHING = 'exit 0';

const write = (folder, name, text, mode = 0o644) => {
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  fs.writeFileSync(path.join(folder, name), text, { mode });
};
const isThere = (program) => spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0;

/** How a repository is kept by each, with a post-checkout of its own that does nothing. */
const MANAGERS = {
  'husky 9': {
    there: () => true,
    put(folder, run) {
      write(folder, '.husky/post-checkout', `${NOTHING}\n`);
      run(folder, process.execPath, path.join(modules, 'husky/bin.js'));
    },
    goal: 'at most 1.10',
    pairs: 200,
  },
  'simple-git-hooks': {
    there: () => fs.existsSync(others),
    put(folder, run) {
      if (!fs.existsSync(path.join(folder, 'package.json')))
        write(
          folder,
          'package.json',
          `{ "devDependencies": { "simple-git-hooks": "2" }, "simple-git-hooks": { "post-checkout": "${NOTHING}" } }\n`,
        );
      run(folder, process.execPath, path.join(others, 'simple-git-hooks/cli.js'));
    },
    pairs: 60,
  },
  'lefthook 2': {
    there: () => fs.existsSync(others),
    put(folder, run) {
      if (!fs.existsSync(path.join(folder, 'lefthook.yml')))
        write(folder, 'lefthook.yml', `post-checkout:\n  jobs:\n    - run: ${NOTHING}\n`);
      run(folder, path.join(others, '.bin/lefthook'), 'install');
    },
    pairs: 40,
  },
  'pre-commit': {
    there: () => isThere('pre-commit'),
    put(folder, run) {
      write(folder, '.pre-commit-config.yaml', 'default_install_hook_types: [post-checkout]\nrepos: []\n');
      run(folder, 'pre-commit', 'install');
    },
    pairs: 10,
  },
  'git-lfs': { there: () => isThere('git-lfs'), put: (folder, run) => run(folder, 'git', 'lfs', 'install', '--local'), pairs: 60 },
};

/** @param bench what bench.mjs gives its parts */
export function benchGuards({ root, env, cli, inTurn, row, fewer }) {
  const run = (cwd, command, ...args) => execFileSync(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const checkout = (folder) => () => {
    run(folder, 'git', 'checkout', '-q', 'other');
    run(folder, 'git', 'checkout', '-q', 'main');
  };
  for (const [name, { there, put, goal = '', pairs }] of Object.entries(MANAGERS)) {
    if (!there()) {
      row(`git checkout under ${name}`, '—', 'not there: `npm test` installs it');
      continue;
    }
    const [alone, ours] = ['alone', 'ours'].map((kind) => {
      const folder = path.join(root, `guard-${name.replaceAll(' ', '-')}-${kind}`);
      fs.mkdirSync(folder);
      run(folder, 'git', 'init', '-q', '-b', 'main');
      for (let index = 0; index < 50; index += 1) write(folder, `file${index}`, `${index}\n`);
      put(folder, run);
      if (kind === 'ours') {
        run(folder, process.execPath, cli, 'install');
        // From our entry, as it is at the users'.
        if (name === 'simple-git-hooks') put(folder, run);
      }
      run(folder, 'git', 'add', '-A');
      run(folder, 'git', '-c', 'core.hooksPath=/dev/null', 'commit', '-qm', 'one');
      run(folder, 'git', 'branch', 'other');
      return folder;
    });
    const [without, withOurs] = inTurn(Math.ceil(pairs / fewer), checkout(alone), checkout(ours));
    row(`git checkout under ${name} : under it with a hook of \`exit 0\``, (withOurs / without).toFixed(3), goal);
  }
}
