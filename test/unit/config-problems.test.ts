import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LOCAL_NAME } from '../../src/config/find.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problems.ts';
import { RESOURCE_TYPES } from '../../src/resources/table.ts';

const TYPES = Object.keys(RESOURCE_TYPES).join(', ');

interface Wrong {
  /** What is wrong. */
  claim: string;
  /** The lines of worktree.config.yaml. */
  config: string[];
  /** The lines of worktree.config.local.yaml, if there is one. */
  local?: string[];
  /** All that is printed. */
  says: string[];
}

const TABLE: Wrong[] = [
  {
    claim: 'an unknown section is named with the nearest one',
    config: ['resorces:', '  PORT: 3000'],
    says: ['worktree.config.yaml:1:1  unknown key `resorces`', '  1 | resorces:', '      ^^^^^^^^', '  Did you mean `resources`?'],
  },
  {
    claim: 'a misspelt key of a resource is told once, not also as the key that is missing',
    config: ['resources:', '  PORT: { type: port, bse: 3000 }'],
    says: [
      'worktree.config.yaml:2:23  unknown key `bse` in `resources.PORT`',
      '  2 |   PORT: { type: port, bse: 3000 }',
      '                            ^^^',
      '  Did you mean `base`?',
    ],
  },
  {
    claim: 'an unknown key that is near to nothing is answered with the keys there are',
    config: ['files:', '  .env: { action: link, mode: "600" }'],
    says: [
      'worktree.config.yaml:2:25  unknown key `mode` in `files[".env"]`',
      '  2 |   .env: { action: link, mode: "600" }',
      '                              ^^^^',
      '  Known: action, from.',
    ],
  },
  {
    claim: 'a base in quotes',
    config: ['resources:', '  PORT: { type: port, base: "3000" }'],
    says: [
      'worktree.config.yaml:2:29  `resources.PORT.base` must be a number, not "3000"',
      '  2 |   PORT: { type: port, base: "3000" }',
      '                                  ^^^^^^',
      '  Write it without quotes: 3000.',
    ],
  },
  {
    claim: 'a port above the last one',
    config: ['resources:', '  PORT: 70000'],
    says: [
      'worktree.config.yaml:2:9  `resources.PORT.base` must be at most 65535, not 70000',
      '  2 |   PORT: 70000',
      '              ^^^^^',
    ],
  },
  {
    claim: 'a port below the first one',
    config: ['resources:', '  PORT: 0'],
    says: ['worktree.config.yaml:2:9  `resources.PORT.base` must be at least 1, not 0', '  2 |   PORT: 0', '              ^'],
  },
  {
    claim: 'a port that is no whole number',
    config: ['resources:', '  PORT: 3000.5'],
    says: [
      'worktree.config.yaml:2:9  `resources.PORT.base` must be a whole number, not 3000.5',
      '  2 |   PORT: 3000.5',
      '              ^^^^^^',
    ],
  },
  {
    claim: 'a resource that is neither a port nor a type',
    config: ['resources:', '  PORT: true'],
    says: [
      'worktree.config.yaml:2:9  `resources.PORT` must be a port, a type, or a map with a type, not true',
      '  2 |   PORT: true',
      '              ^^^^',
      `  Known: ${TYPES}.`,
    ],
  },
  {
    claim: 'a resource without a value',
    config: ['resources:', '  PORT:'],
    says: [
      'worktree.config.yaml:2:8  `resources.PORT` must be a port, a type, or a map with a type, and has no value',
      '  2 |   PORT:',
      '             ^',
      `  Known: ${TYPES}.`,
    ],
  },
  {
    claim: 'a port without a base',
    config: ['resources:', '  PORT: { type: port }'],
    says: ['worktree.config.yaml:2:9  `resources.PORT` needs `base`', '  2 |   PORT: { type: port }', '              ^'],
  },
  {
    claim: 'a resource without a type',
    config: ['resources:', '  PORT: { base: 3000 }'],
    says: [
      'worktree.config.yaml:2:3  `resources.PORT` needs `type`',
      '  2 |   PORT: { base: 3000 }',
      '        ^^^^',
      `  One of: ${TYPES}.`,
    ],
  },
  {
    claim: 'a type that does not exist',
    config: ['resources:', '  DATABASE_URL: oracle'],
    says: [
      'worktree.config.yaml:2:17  `oracle` is not a resource type',
      '  2 |   DATABASE_URL: oracle',
      '                      ^^^^^^',
      `  Known: ${TYPES}.`,
    ],
  },
  {
    claim: 'a misspelt type',
    config: ['resources:', '  DATABASE_URL: { type: sqlit }'],
    says: [
      'worktree.config.yaml:2:25  `sqlit` is not a resource type',
      '  2 |   DATABASE_URL: { type: sqlit }',
      '                              ^^^^^',
      '  Did you mean `sqlite`?',
    ],
  },
  {
    claim: 'a choice that does not exist',
    config: ['resources:', '  DATABASE_URL: { type: sqlite, data: schema }'],
    says: [
      'worktree.config.yaml:2:39  `resources.DATABASE_URL.data` must be `clone` or `empty`, not "schema"',
      '  2 |   DATABASE_URL: { type: sqlite, data: schema }',
      '                                            ^^^^^^',
    ],
  },
  {
    claim: 'a section that is a list',
    config: ['resources: [PORT]'],
    says: ['worktree.config.yaml:1:12  `resources` must be a map, not a list', '  1 | resources: [PORT]', '                 ^'],
  },
  {
    claim: 'a section without a value',
    config: ['resources:'],
    says: [
      'worktree.config.yaml:1:11  `resources` must be a map, and has no value',
      '  1 | resources:',
      '                ^',
      '  Leave `resources` out, or give it a value.',
    ],
  },
  {
    claim: 'a project name with a space',
    config: ['project: my shop'],
    says: [
      'worktree.config.yaml:1:10  `project` must be made of letters, digits, ., _ and -, beginning with a letter or a digit, not "my shop"',
      '  1 | project: my shop',
      '               ^^^^^^^',
    ],
  },
  {
    claim: 'a number where text is due',
    config: ['project: 5'],
    says: ['worktree.config.yaml:1:10  `project` must be text, not 5', '  1 | project: 5', '               ^', '  Put it in quotes: "5".'],
  },
  {
    claim: 'a list where text is due',
    config: ['url: [a]'],
    says: ['worktree.config.yaml:1:6  `url` must be text, not a list', '  1 | url: [a]', '           ^'],
  },
  {
    claim: 'a variable that is a map',
    config: ['env:', '  A: { b: 1 }'],
    says: ['worktree.config.yaml:2:6  `env.A` must be text, not a map', '  2 |   A: { b: 1 }', '           ^'],
  },
  {
    claim: 'a variable without a value',
    config: ['env:', '  A:'],
    says: ['worktree.config.yaml:2:5  `env.A` must be text, and has no value', '  2 |   A:', '          ^'],
  },
  {
    claim: 'a name that begins with a digit',
    config: ['env:', '  1A: x'],
    says: [
      'worktree.config.yaml:2:3  `1A` cannot be a name: letters, digits, _ and -, not beginning with a digit',
      '  2 |   1A: x',
      '        ^^',
    ],
  },
  {
    claim: "an integer as a step's name",
    config: ['steps:', '  10: npm ci'],
    says: [
      'worktree.config.yaml:2:3  `10` cannot be a name: letters, digits, _ and -, not beginning with a digit',
      '  2 |   10: npm ci',
      '        ^^',
    ],
  },
  {
    claim: 'a variable that no shell could read',
    config: ['env:', '  A-B: x'],
    says: [
      'worktree.config.yaml:2:3  `A-B` cannot be an environment variable: shells refuse the `-`',
      '  2 |   A-B: x',
      '        ^^^',
      '  Write `A_B`.',
    ],
  },
  {
    claim: 'a resource that no shell could read',
    config: ['resources:', '  A-B: 3000'],
    says: [
      'worktree.config.yaml:2:3  `A-B` cannot be an environment variable: shells refuse the `-`',
      '  2 |   A-B: 3000',
      '        ^^^',
      '  Write `A_B`. Or say `export: false`.',
    ],
  },
  {
    claim: 'a name in `set` that is no variable',
    config: ['files:', '  .env: { action: merge, set: { a b: x } }'],
    says: [
      'worktree.config.yaml:2:33  `a b` cannot be an environment variable',
      '  2 |   .env: { action: merge, set: { a b: x } }',
      '                                      ^^^',
      '  Its name may hold letters, digits and `_`, and does not begin with a digit.',
    ],
  },
  {
    claim: "a name in a step's `env` that is no variable",
    config: ['steps:', '  seed: { run: npm run seed, env: { A-B: x } }'],
    says: [
      'worktree.config.yaml:2:37  `A-B` cannot be an environment variable',
      '  2 |   seed: { run: npm run seed, env: { A-B: x } }',
      '                                          ^^^',
      '  Its name may hold letters, digits and `_`, and does not begin with a digit.',
    ],
  },
  {
    claim: 'a misspelt action',
    config: ['files:', '  .env: merg'],
    says: ['worktree.config.yaml:2:9  `merg` is not an action', '  2 |   .env: merg', '              ^^^^', '  Did you mean `merge`?'],
  },
  {
    claim: 'an action that is a number',
    config: ['files:', '  .env: 5'],
    says: [
      'worktree.config.yaml:2:9  `files[".env"]` must be an action, or a map with one, not 5',
      '  2 |   .env: 5',
      '              ^',
      '  Known: merge, env, copy, link, sqlite, template.',
    ],
  },
  {
    claim: '`template` as one word',
    config: ['files:', '  note.md: template'],
    says: [
      'worktree.config.yaml:2:12  `template` needs to know of what',
      '  2 |   note.md: template',
      '                 ^^^^^^^^',
      '  Write `{ template: FILE }` or `{ text: STRING }`.',
    ],
  },
  {
    claim: 'a template without a file or a text',
    config: ['files:', '  note.md: { action: template }'],
    says: [
      'worktree.config.yaml:2:3  `note.md` needs `template: FILE` or `text: STRING`',
      '  2 |   note.md: { action: template }',
      '        ^^^^^^^',
    ],
  },
  {
    claim: 'a template with both a file and a text',
    config: ['files:', '  note.md: { template: worktree.config.yaml, text: hello }'],
    says: [
      'worktree.config.yaml:2:46  `note.md` has both `template` and `text`',
      '  2 |   note.md: { template: worktree.config.yaml, text: hello }',
      '                                                   ^^^^',
      '  Keep one of them.',
    ],
  },
  {
    claim: 'a template file that is not there',
    config: ['files:', '  note.md: { template: note.hbs }'],
    says: [
      'worktree.config.yaml:2:24  `note.hbs` is not in this branch',
      '  2 |   note.md: { template: note.hbs }',
      '                             ^^^^^^^^',
    ],
  },
  {
    claim: 'a file without an action',
    config: ['files:', '  note.md: { mode: "600" }'],
    says: [
      'worktree.config.yaml:2:3  `files["note.md"]` needs `action`',
      '  2 |   note.md: { mode: "600" }',
      '        ^^^^^^^',
      '  One of: merge, env, copy, link, sqlite, template.',
    ],
  },
  {
    claim: 'a mode that is a number',
    config: ['files:', '  key.pem: { action: copy, mode: 600 }'],
    says: [
      'worktree.config.yaml:2:34  `files["key.pem"].mode` must be three octal digits in quotes, like "600", not 600',
      '  2 |   key.pem: { action: copy, mode: 600 }',
      '                                       ^^^',
      '  Write `"600"`.',
    ],
  },
  {
    claim: 'a mode that is not octal',
    config: ['files:', '  key.pem: { action: copy, mode: "888" }'],
    says: [
      'worktree.config.yaml:2:34  `files["key.pem"].mode` must be three octal digits in quotes, like "600", not "888"',
      '  2 |   key.pem: { action: copy, mode: "888" }',
      '                                       ^^^^^',
    ],
  },
  {
    claim: 'a format that does not exist',
    config: ['files:', '  .envrc: { action: env, format: shell }'],
    says: [
      'worktree.config.yaml:2:34  `files[".envrc"].format` must be `dotenv` or `export`, not "shell"',
      '  2 |   .envrc: { action: env, format: shell }',
      '                                       ^^^^^',
    ],
  },
  {
    claim: 'a path that leaves the worktree',
    config: ['files:', '  ../shop/.env: merge'],
    says: ['worktree.config.yaml:2:3  `../shop/.env` leaves the worktree', '  2 |   ../shop/.env: merge', '        ^^^^^^^^^^^^'],
  },
  {
    claim: 'a path that leaves the worktree on a detour',
    config: ['files:', '  config/../../.env: merge'],
    says: [
      'worktree.config.yaml:2:3  `config/../../.env` leaves the worktree',
      '  2 |   config/../../.env: merge',
      '        ^^^^^^^^^^^^^^^^^',
    ],
  },
  {
    claim: 'an absolute path',
    config: ['files:', '  /etc/passwd: copy'],
    says: ['worktree.config.yaml:2:3  `/etc/passwd` is not relative to the worktree', '  2 |   /etc/passwd: copy', '        ^^^^^^^^^^^'],
  },
  {
    claim: "a path in somebody's home",
    config: ['files:', '  ~/.npmrc: copy'],
    says: ['worktree.config.yaml:2:3  `~/.npmrc` is not relative to the worktree', '  2 |   ~/.npmrc: copy', '        ^^^^^^^^'],
  },
  {
    claim: "a path among git's own files",
    config: ['files:', '  .git/hooks/pre-commit: copy'],
    says: [
      "worktree.config.yaml:2:3  `.git/hooks/pre-commit` is among git's own files",
      '  2 |   .git/hooks/pre-commit: copy',
      '        ^^^^^^^^^^^^^^^^^^^^^',
    ],
  },
  {
    claim: "a path among git's own files where case does not count",
    config: ['files:', '  vendor/.GIT/config: copy'],
    says: [
      "worktree.config.yaml:2:3  `vendor/.GIT/config` is among git's own files",
      '  2 |   vendor/.GIT/config: copy',
      '        ^^^^^^^^^^^^^^^^^^',
    ],
  },
  {
    claim: 'a path with a control character, which is shown and not printed',
    config: ['files:', '  "a\\eb": copy'],
    says: ['worktree.config.yaml:2:3  `a\\u{1b}b` has a control character in it', '  2 |   "a\\eb": copy', '        ^^^^^^'],
  },
  {
    claim: 'the worktree itself as a path',
    config: ['files:', '  ./: copy'],
    says: ['worktree.config.yaml:2:3  `./` is the worktree itself', '  2 |   ./: copy', '        ^^'],
  },
  {
    claim: 'an empty path',
    config: ['files:', '  "": copy'],
    says: ['worktree.config.yaml:2:3  a path is empty', '  2 |   "": copy', '        ^^'],
  },
  {
    claim: 'a source outside the main worktree',
    config: ['files:', '  .env: { action: merge, from: ../.env }'],
    says: [
      'worktree.config.yaml:2:32  `../.env` leaves the worktree',
      '  2 |   .env: { action: merge, from: ../.env }',
      '                                     ^^^^^^^',
    ],
  },
  {
    claim: 'a folder of a step outside the worktree',
    config: ['steps:', '  install: { run: npm ci, cwd: ../api }'],
    says: [
      'worktree.config.yaml:2:32  `../api` leaves the worktree',
      '  2 |   install: { run: npm ci, cwd: ../api }',
      '                                     ^^^^^^',
    ],
  },
  {
    claim: 'an env file outside the main worktree',
    config: ['envFiles: [.env, /etc/environment]'],
    says: [
      'worktree.config.yaml:1:18  `/etc/environment` is not relative to the worktree',
      '  1 | envFiles: [.env, /etc/environment]',
      '                       ^^^^^^^^^^^^^^^^',
    ],
  },
  {
    claim: 'the same output twice',
    config: ['files:', '  .env: merge', '  ./.env: copy'],
    says: ['worktree.config.yaml:3:3  `./.env` is the same file as `.env`', '  3 |   ./.env: copy', '        ^^^^^^'],
  },
  {
    claim: 'a step that is a number',
    config: ['steps:', '  install: 5'],
    says: ['worktree.config.yaml:2:12  `steps.install` must be a command, not 5', '  2 |   install: 5', '                 ^'],
  },
  {
    claim: 'a step without a command',
    config: ['steps:', '  install: { retries: 1 }'],
    says: ['worktree.config.yaml:2:12  `steps.install` needs `run`', '  2 |   install: { retries: 1 }', '                 ^'],
  },
  {
    claim: 'an empty command',
    config: ['steps:', '  install: ""'],
    says: ['worktree.config.yaml:2:12  `steps.install.run` is empty', '  2 |   install: ""', '                 ^^'],
  },
  {
    claim: 'a command as a list',
    config: ['steps:', '  install: { run: [npm, ci] }'],
    says: [
      'worktree.config.yaml:2:19  `steps.install.run` must be text, not a list',
      '  2 |   install: { run: [npm, ci] }',
      '                        ^',
    ],
  },
  {
    claim: 'a key that a later version will have',
    config: ['steps:', '  install: { run: npm ci, reuse: { paths: [node_modules] } }'],
    says: [
      'worktree.config.yaml:2:27  cloning dependency folders (`reuse`) is not in this version yet',
      '  2 |   install: { run: npm ci, reuse: { paths: [node_modules] } }',
      '                                ^^^^^',
      '  Leave it out: the command of the step runs instead.',
    ],
  },
  {
    claim: 'a duration without a unit',
    config: ['steps:', '  install: { run: npm ci, timeout: 10 }'],
    says: [
      'worktree.config.yaml:2:36  `steps.install.timeout` must be a number and a unit, like 30s, 10m or 1d, not 10',
      '  2 |   install: { run: npm ci, timeout: 10 }',
      '                                         ^^',
      '  Write `10s`.',
    ],
  },
  {
    claim: 'a duration in words',
    config: ['steps:', '  install: { run: npm ci, timeout: 10 minutes }'],
    says: [
      'worktree.config.yaml:2:36  `steps.install.timeout` must be a number and a unit, like 30s, 10m or 1d, not "10 minutes"',
      '  2 |   install: { run: npm ci, timeout: 10 minutes }',
      '                                         ^^^^^^^^^^',
    ],
  },
  {
    claim: 'no time at all',
    config: ['steps:', '  install: { run: npm ci, timeout: 0s }'],
    says: [
      'worktree.config.yaml:2:36  `steps.install.timeout` must be longer than nothing, not "0s"',
      '  2 |   install: { run: npm ci, timeout: 0s }',
      '                                         ^^',
    ],
  },
  {
    claim: 'a time to keep that is none',
    config: ['keep: forever'],
    says: [
      'worktree.config.yaml:1:7  `keep` must be a number and a unit, like 30s, 10m or 1d, not "forever"',
      '  1 | keep: forever',
      '            ^^^^^^^',
    ],
  },
  {
    claim: 'more retries than there are',
    config: ['steps:', '  install: { run: npm ci, retries: 11 }'],
    says: [
      'worktree.config.yaml:2:36  `steps.install.retries` must be at most 10, not 11',
      '  2 |   install: { run: npm ci, retries: 11 }',
      '                                         ^^',
    ],
  },
  {
    claim: '`needs` that is no list',
    config: ['steps:', '  build: npm run build', '  seed: { run: npm run seed, needs: build }'],
    says: [
      'worktree.config.yaml:3:37  `steps.seed.needs` must be a list, not "build"',
      '  3 |   seed: { run: npm run seed, needs: build }',
      '                                          ^^^^^',
      '  Write `[build]`.',
    ],
  },
  {
    claim: '`needs` that names nothing',
    config: ['steps:', '  build: npm run build', '  seed: { run: npm run seed, needs: [biuld2] }'],
    says: [
      'worktree.config.yaml:3:38  there is no step or resource named `biuld2`',
      '  3 |   seed: { run: npm run seed, needs: [biuld2] }',
      '                                           ^^^^^^',
      '  Known: build, seed.',
    ],
  },
  {
    claim: 'a step that needs itself',
    config: ['steps:', '  seed: { run: npm run seed, needs: [seed] }'],
    says: [
      'worktree.config.yaml:2:38  `seed` needs itself',
      '  2 |   seed: { run: npm run seed, needs: [seed] }',
      '                                           ^^^^',
    ],
  },
  {
    claim: 'a step that needs one in the background',
    config: ['steps:', '  watch: { run: npm run watch, background: true }', '  seed: { run: npm run seed, needs: [watch] }'],
    says: [
      'worktree.config.yaml:3:38  `watch` runs in the background, and nothing can wait for it',
      '  3 |   seed: { run: npm run seed, needs: [watch] }',
      '                                           ^^^^^',
    ],
  },
  {
    claim: 'a circle of `needs`',
    config: ['steps:', '  a: { run: x, needs: [c] }', '  b: { run: x, needs: [a] }', '  c: { run: x, needs: [b] }'],
    says: [
      'worktree.config.yaml:2:3  a circle: `a` waits for `c`, which waits for `b`, which waits for `a`',
      '  2 |   a: { run: x, needs: [c] }',
      '        ^',
    ],
  },
  {
    claim: 'a circle through the order of the file',
    config: ['steps:', '  a: { run: x, needs: [b] }', '  b: x'],
    says: [
      'worktree.config.yaml:2:3  a circle: `a` waits for `b`, which waits for `a`',
      '  2 |   a: { run: x, needs: [b] }',
      '        ^',
      '  A step without `needs` waits for the step above it.',
    ],
  },
  {
    claim: 'a step with the name of a resource',
    config: ['resources:', '  seed: 3000', 'steps:', '  seed: npm run seed'],
    says: [
      'worktree.config.yaml:4:3  `seed` is the name of a resource too, so `needs` could mean either',
      '  4 |   seed: npm run seed',
      '        ^^^^',
    ],
  },
  {
    claim: 'a condition that is empty',
    config: ['steps:', '  seed: { run: x, when: { exists: [] } }'],
    says: [
      'worktree.config.yaml:2:35  `steps.seed.when.exists` is empty',
      '  2 |   seed: { run: x, when: { exists: [] } }',
      '                                        ^',
    ],
  },
  {
    claim: 'yes instead of true',
    config: ['background: yes'],
    says: [
      'worktree.config.yaml:1:13  `background` must be true or false, not "yes"',
      '  1 | background: yes',
      '                  ^^^',
      '  Write `true`.',
    ],
  },
  {
    claim: 'a list that is one word',
    config: ['envFiles: .env.local'],
    says: [
      'worktree.config.yaml:1:11  `envFiles` must be a list, not ".env.local"',
      '  1 | envFiles: .env.local',
      '                ^^^^^^^^^^',
      '  Write `[.env.local]`.',
    ],
  },
  {
    claim: 'two ports with one base',
    config: ['resources:', '  PORT: 3000', '  API_PORT: 3000'],
    says: [
      'worktree.config.yaml:3:13  `API_PORT` has the same base as `PORT`: 3000',
      '  3 |   API_PORT: 3000',
      '                  ^^^^',
      '  Give `API_PORT` another base, e.g. 3001.',
    ],
  },
  {
    claim: 'two Compose projects',
    config: ['resources:', '  COMPOSE_PROJECT_NAME: compose', '  OTHER:', '    type: compose', '    export: false'],
    says: [
      'worktree.config.yaml:3:3  `OTHER` is a second Compose project beside `COMPOSE_PROJECT_NAME`: both would write COMPOSE_FILE',
      '  3 |   OTHER:',
      '        ^^^^^',
      '  Keep one of them; its `files:` can name several compose files.',
    ],
  },
  {
    claim: 'a variable that a Compose project writes',
    config: ['resources:', '  COMPOSE_PROJECT_NAME: compose', 'env:', '  COMPOSE_FILE: compose.yaml'],
    says: [
      'worktree.config.yaml:4:3  `COMPOSE_FILE` is written by the Compose project `COMPOSE_PROJECT_NAME` already',
      '  4 |   COMPOSE_FILE: compose.yaml',
      '        ^^^^^^^^^^^^',
    ],
  },
  {
    claim: 'bases that meet in an early worktree',
    config: ['resources:', '  PORT: 3000', '  API_PORT: 3030'],
    says: [
      'worktree.config.yaml:3:13  `PORT` of worktree 3 would be 3030 (3000 + 3 × 10), the base of `API_PORT`',
      '  3 |   API_PORT: 3030',
      '                  ^^^^',
      '  Give `API_PORT` another base, e.g. 3031.',
    ],
  },
  {
    claim: 'bases that meet, the higher one first: it is the higher one that must change',
    config: ['resources:', '  API_PORT: 3030', '  PORT: 3000', '  WEB_PORT: 3031'],
    says: [
      'worktree.config.yaml:3:9  `PORT` of worktree 3 would be 3030 (3000 + 3 × 10), the base of `API_PORT`',
      '  3 |   PORT: 3000',
      '              ^^^^',
      '  Give `API_PORT` another base, e.g. 3032.',
    ],
  },
  {
    claim: 'a base that leaves no port to any worktree',
    config: ['resources:', '  PORT: 65530'],
    says: [
      'worktree.config.yaml:2:9  `PORT`: 65530 + 10 is above 65535, so no worktree could have a port',
      '  2 |   PORT: 65530',
      '              ^^^^^',
      '  Choose a lower base.',
    ],
  },
  {
    claim: 'two resources that clone one source',
    config: ['resources:', '  DATABASE_URL: { type: sqlite, from: dev.db }', '  READER_URL: { type: sqlite, from: dev.db }'],
    says: [
      'worktree.config.yaml:3:37  `READER_URL` clones the same source as `DATABASE_URL`',
      '  3 |   READER_URL: { type: sqlite, from: dev.db }',
      '                                          ^^^^^^',
      '  Name it once, and let the other variable be computed under `env:`.',
    ],
  },
  {
    claim: 'a password in the config, which is not shown either',
    config: [
      'resources:',
      '  A: { type: postgres, from: "postgres://app:canary@localhost/shop" }',
      '  B: { type: mysql, admin: "mysql://localhost/?user=root&password=canary" }',
      '  C: { type: mysql, vars: { database: DB }, default: { database: koel, password: canary } }',
    ],
    says: [
      'worktree.config.yaml:2:30  `from` holds a password',
      '  2 |   A: { type: postgres, from: "postgres://app:******@localhost/shop" }',
      '                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^',
      '  Put the URL into an env file of the main worktree, and write `from: "{{main.env.NAME}}"`.',
      'worktree.config.yaml:3:28  `admin` holds a password',
      '  3 |   B: { type: mysql, admin: "mysql://localhost/?user=root&password=******" }',
      '                                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^',
      '  Put the URL into an env file of the main worktree, and write `admin: "{{main.env.NAME}}"`.',
      'worktree.config.yaml:4:72  `default` holds a password',
      '  4 |   C: { type: mysql, vars: { database: DB }, default: { database: koel, password: ****** } }',
      '                                                                             ^^^^^^^^',
      '  Name its variable under `vars: { password: … }`, and set that in an env file of the main worktree.',
    ],
  },
  {
    claim: 'a variable with the name of a resource',
    config: ['resources:', '  PORT: 3000', 'env:', '  PORT: "4000"'],
    says: ['worktree.config.yaml:4:3  `PORT` is a resource already', '  4 |   PORT: "4000"', '        ^^^^'],
  },
  {
    claim: 'a variable with a name that templates have already',
    config: ['env:', '  slug: x'],
    says: [
      'worktree.config.yaml:2:3  `slug` has a meaning of its own in templates and cannot be a variable',
      '  2 |   slug: x',
      '        ^^^^',
    ],
  },
  {
    claim: 'a variable with the name of a helper',
    config: ['env:', '  upper: x'],
    says: [
      'worktree.config.yaml:2:3  `upper` has a meaning of its own in templates and cannot be a variable',
      '  2 |   upper: x',
      '        ^^^^^',
    ],
  },
  {
    claim: "a variable of coppice's own",
    config: ['env:', '  COPPICE_SLOT: x'],
    says: [
      'worktree.config.yaml:2:3  `COPPICE_SLOT` is set by coppice itself and cannot be a variable',
      '  2 |   COPPICE_SLOT: x',
      '        ^^^^^^^^^^^^',
    ],
  },
  {
    claim: 'an undefined name in a template',
    config: ['resources:', '  PORT: 3000', 'url: "http://localhost:{{PROT}}"'],
    says: [
      'worktree.config.yaml:3:26  there is no variable named `PROT` here',
      '  3 | url: "http://localhost:{{PROT}}"',
      '                               ^^^^',
      '  Did you mean `PORT`?',
    ],
  },
  {
    claim: 'an undefined name in a helper',
    config: ['env:', '  A: "{{upper NOPE}}"'],
    says: [
      'worktree.config.yaml:2:15  there is no variable named `NOPE` here',
      '  2 |   A: "{{upper NOPE}}"',
      '                    ^^^^',
      '  Known: project, slug, slug_, slot, branch, path, main, user, resources.',
    ],
  },
  {
    claim: 'an undefined name in a helper in a helper',
    config: ['env:', '  A: "{{upper (lower slgu)}}"'],
    says: [
      'worktree.config.yaml:2:22  there is no variable named `slgu` here',
      '  2 |   A: "{{upper (lower slgu)}}"',
      '                           ^^^^',
      '  Did you mean `slug`?',
    ],
  },
  {
    claim: 'an undefined name in a block',
    config: ['env:', '  A: "{{#if branch}}x{{else}}{{slgu}}{{/if}}"'],
    says: [
      'worktree.config.yaml:2:32  there is no variable named `slgu` here',
      '  2 |   A: "{{#if branch}}x{{else}}{{slgu}}{{/if}}"',
      '                                     ^^^^',
      '  Did you mean `slug`?',
    ],
  },
  {
    claim: 'an undefined condition of a block',
    config: ['env:', '  A: "{{#if TYPO}}x{{/if}}"'],
    says: [
      'worktree.config.yaml:2:13  there is no variable named `TYPO` here',
      '  2 |   A: "{{#if TYPO}}x{{/if}}"',
      '                  ^^^^',
      '  Known: project, slug, slug_, slot, branch, path, main, user, resources.',
    ],
  },
  {
    claim: 'undefined names in a block of text, each in its own line',
    config: ['files:', '  note.md:', '    text: |', '      One: {{slug}}', '      Two: {{nope}}', '      Three: {{upper branhc}}'],
    says: [
      'worktree.config.yaml:5:14  there is no variable named `nope` here',
      '  5 |       Two: {{nope}}',
      '                   ^^^^',
      '  Known: project, slug, slug_, slot, branch, path, main, user, resources.',
      'worktree.config.yaml:6:22  there is no variable named `branhc` here',
      '  6 |       Three: {{upper branhc}}',
      '                           ^^^^^^',
      '  Did you mean `branch`?',
    ],
  },
  {
    claim: 'a variable that is computed further below',
    config: ['env:', '  A: "{{B}}"', '  B: x'],
    says: [
      'worktree.config.yaml:2:9  `B` is not computed yet',
      '  2 |   A: "{{B}}"',
      '              ^',
      '  Only the variables above can be used here: change the order.',
    ],
  },
  {
    claim: 'a part that a resource does not have',
    config: ['resources:', '  PORT: 3000', 'env:', '  A: "{{resources.PORT.host}}"'],
    says: [
      'worktree.config.yaml:4:9  `PORT` has no part named `host`',
      '  4 |   A: "{{resources.PORT.host}}"',
      '              ^^^^^^^^^^^^^^^^^^^',
      '  Known: port.',
    ],
  },
  {
    claim: 'a resource that does not exist',
    config: ['resources:', '  PORT: 3000', 'env:', '  A: "{{resources.PROT.port}}"'],
    says: [
      'worktree.config.yaml:4:9  there is no resource named `PROT`',
      '  4 |   A: "{{resources.PROT.port}}"',
      '              ^^^^^^^^^^^^^^^^^^^',
      '  Did you mean `PORT`?',
    ],
  },
  {
    claim: 'half of a name that has parts',
    config: ['env:', '  A: "{{main.PORT}}"'],
    says: [
      'worktree.config.yaml:2:9  `main.PORT` is not a name; `main.path` and `main.env.NAME` are',
      '  2 |   A: "{{main.PORT}}"',
      '              ^^^^^^^^^',
    ],
  },
  {
    claim: 'a helper that does not exist',
    config: ['env:', '  A: "{{uper slug}}"'],
    says: [
      'worktree.config.yaml:2:9  there is no helper named `uper`',
      '  2 |   A: "{{uper slug}}"',
      '              ^^^^',
      '  Did you mean `upper`?',
    ],
  },
  {
    claim: 'a helper with too many arguments',
    config: ['env:', '  A: "{{upper slug branch}}"'],
    says: [
      'worktree.config.yaml:2:9  `upper` takes 1 argument, not 2',
      '  2 |   A: "{{upper slug branch}}"',
      '              ^^^^^',
      '  For example `{{upper slug_}}`.',
    ],
  },
  {
    claim: 'a helper with too few arguments',
    config: ['env:', '  A: "{{default branch}}"'],
    says: [
      'worktree.config.yaml:2:9  `default` takes 2 arguments, not 1',
      '  2 |   A: "{{default branch}}"',
      '              ^^^^^^^',
      '  For example `{{default main.env.NAME "none"}}`.',
    ],
  },
  {
    claim: 'a helper without anything to work on',
    config: ['env:', '  A: "{{upper}}"'],
    says: [
      'worktree.config.yaml:2:9  `upper` is a helper and needs something to work on',
      '  2 |   A: "{{upper}}"',
      '              ^^^^^',
      '  For example `{{upper slug_}}`.',
    ],
  },
  {
    claim: 'a block that does not exist',
    config: ['env:', '  A: "{{#each branch}}x{{/each}}"'],
    says: [
      'worktree.config.yaml:2:10  there is no block named `#each`',
      '  2 |   A: "{{#each branch}}x{{/each}}"',
      '               ^^^^',
      '  Known: if, unless.',
    ],
  },
  {
    claim: 'a partial',
    config: ['env:', '  A: "{{> note}}"'],
    says: [
      'worktree.config.yaml:2:6  partials and decorators are not allowed in templates',
      '  2 |   A: "{{> note}}"',
      '           ^^^^^^^^^^^^',
    ],
  },
  {
    claim: 'a template that ends too early',
    config: ['env:', '  A: "{{slug"'],
    says: [
      'worktree.config.yaml:2:6  the template cannot be parsed: it ends too early',
      '  2 |   A: "{{slug"',
      '           ^^^^^^^^',
      '  A `}}` or a closing `{{/if}}` is missing.',
    ],
  },
  {
    claim: 'a block that is closed by another',
    config: ['env:', '  A: "{{#if slug}}x{{/unless}}"'],
    says: [
      'worktree.config.yaml:2:6  `{{#if}}` is closed by `{{/unless}}`',
      '  2 |   A: "{{#if slug}}x{{/unless}}"',
      '           ^^^^^^^^^^^^^^^^^^^^^^^^^^',
    ],
  },
  {
    claim: 'a template without quotes',
    config: ['env:', '  A: {{slug}}'],
    says: [
      'worktree.config.yaml:2:6  a value that begins with `{{` must be in quotes',
      '  2 |   A: {{slug}}',
      '           ^^',
      '  Like this: `"{{PORT}}"`.',
    ],
  },
  {
    claim: 'a template in the `env` of a step',
    config: ['resources:', '  PORT: 3000', 'steps:', '  seed: { run: npm run seed, env: { API: "http://localhost:{{PORT}}" } }'],
    says: [
      'worktree.config.yaml:4:42  `{{PORT}}` is not filled in here',
      '  4 |   seed: { run: npm run seed, env: { API: "http://localhost:{{PORT}}" } }',
      '                                               ^^^^^^^^^^^^^^^^^^^^^^^^^^^',
      '  A command gets every variable through its environment: write it into the command as `$NAME`.',
    ],
  },
  {
    claim: 'a template in a path',
    config: ['files:', '  "{{slug}}.md": { text: hello }'],
    says: [
      'worktree.config.yaml:2:3  `{{slug}}` is not filled in here',
      '  2 |   "{{slug}}.md": { text: hello }',
      '        ^^^^^^^^^^^^^',
      '  Templates are for `url`, `env`, `set`, `text` and template files.',
    ],
  },
  {
    claim: 'a template in the source of a resource',
    config: ['resources:', '  DATABASE_URL: { type: sqlite, from: "{{slug}}.db" }'],
    says: [
      'worktree.config.yaml:2:39  `{{slug}}` is not filled in here',
      '  2 |   DATABASE_URL: { type: sqlite, from: "{{slug}}.db" }',
      '                                            ^^^^^^^^^^^^^',
      '  Templates are for `url`, `env`, `set`, `text` and template files.',
    ],
  },
  {
    claim: 'a config that is a list',
    config: ['- PORT'],
    says: [
      'worktree.config.yaml:1:1  a config is a map',
      '  1 | - PORT',
      '      ^',
      '  It begins like this: `resources:`, and below it `  PORT: 3000`.',
    ],
  },
  {
    claim: 'a key that stands twice',
    config: ['env:', '  A: x', '  A: y'],
    says: ['worktree.config.yaml:3:3  `A` stands here a second time', '  3 |   A: y', '        ^', '  Keep one of them.'],
  },
  {
    claim: 'a tab',
    config: ['resources:', '\tPORT: 3000'],
    says: ['worktree.config.yaml:2:1  a tab stands where spaces should', '  2 |  PORT: 3000', '      ^', '  YAML is indented with spaces.'],
  },
  {
    claim: 'a quote that is not closed, at the quote and not at the end of the file',
    config: ['project: "shop', 'resources:', '  PORT: 3000'],
    says: ['worktree.config.yaml:1:10  a double quote is opened here and never closed', '  1 | project: "shop', '               ^'],
  },
  {
    claim: 'two colons in a line',
    config: ['steps:', '  say: echo a: b'],
    says: [
      'worktree.config.yaml:2:8  there are two `: ` in one line',
      '  2 |   say: echo a: b',
      '             ^',
      '  Put a value that holds `: ` in quotes.',
    ],
  },
  {
    claim: 'an entry that is indented too far',
    config: ['resources:', '  PORT: 3000', '   DATABASE_URL: sqlite'],
    says: [
      'worktree.config.yaml:2:9  goes on in the next line, which is indented too far',
      '  2 |   PORT: 3000',
      '              ^',
      '  Entries of one map begin in the same column.',
    ],
  },
  {
    claim: 'a resource dropped for one error causes no other',
    config: [
      'resources:',
      '  PORT: { type: prt, base: 3000 }',
      'url: "http://localhost:{{PORT}}/{{resources.PORT.port}}"',
      'steps:',
      '  seed: { run: x, needs: [PORT] }',
    ],
    says: [
      'worktree.config.yaml:2:17  `prt` is not a resource type',
      '  2 |   PORT: { type: prt, base: 3000 }',
      '                      ^^^',
      '  Did you mean `port`?',
    ],
  },
  {
    claim: 'a section dropped for one error causes no other',
    config: ['resources: [PORT]', 'url: "http://localhost:{{PORT}}"', 'steps:', '  seed: { run: x, needs: [PORT] }'],
    says: ['worktree.config.yaml:1:12  `resources` must be a map, not a list', '  1 | resources: [PORT]', '                 ^'],
  },
  {
    claim: 'a step dropped for one error causes no other',
    config: ['steps:', '  a: { run: x, needs: [c] }', '  b: { rnu: y, needs: [] }', '  c: z', '  d: { run: w, needs: [b] }'],
    says: [
      'worktree.config.yaml:3:8  unknown key `rnu` in `steps.b`',
      '  3 |   b: { rnu: y, needs: [] }',
      '             ^^^',
      '  Did you mean `run`?',
    ],
  },
  {
    claim: 'a variable dropped for one error causes no other',
    config: ['env:', '  A: [x]', '  B: "{{A}}"'],
    says: ['worktree.config.yaml:2:6  `env.A` must be text, not a list', '  2 |   A: [x]', '           ^'],
  },
  {
    claim: 'several problems in different sections are told at once, in the order of the file',
    config: [
      'project: my shop',
      'resources:',
      '  PORT: 0',
      '  DB: sqlit',
      'env:',
      '  A: "{{NOPE}}"',
      'files:',
      '  ../x: copy',
      'steps:',
      '  a: { run: x, needs: [b] }',
      'envFiles: [5]',
      'keep: 1 day',
    ],
    says: [
      'worktree.config.yaml:1:10  `project` must be made of letters, digits, ., _ and -, beginning with a letter or a digit, not "my shop"',
      '  1 | project: my shop',
      '               ^^^^^^^',
      'worktree.config.yaml:3:9  `resources.PORT.base` must be at least 1, not 0',
      '  3 |   PORT: 0',
      '              ^',
      'worktree.config.yaml:4:7  `sqlit` is not a resource type',
      '  4 |   DB: sqlit',
      '            ^^^^^',
      '  Did you mean `sqlite`?',
      'worktree.config.yaml:6:9  there is no variable named `NOPE` here',
      '  6 |   A: "{{NOPE}}"',
      '              ^^^^',
      '  Known: project, slug, slug_, slot, branch, path, main, user, resources, , PORT, DB.',
      'worktree.config.yaml:8:3  `../x` leaves the worktree',
      '  8 |   ../x: copy',
      '        ^^^^',
      'worktree.config.yaml:10:24  there is no step or resource named `b`',
      '  10 |   a: { run: x, needs: [b] }',
      '                              ^',
      '  Known: a, PORT, DB.',
      'worktree.config.yaml:11:12  `envFiles[0]` must be text, not 5',
      '  11 | envFiles: [5]',
      '                  ^',
      '  Put it in quotes: "5".',
      'worktree.config.yaml:12:7  `keep` must be a number and a unit, like 30s, 10m or 1d, not "1 day"',
      '  12 | keep: 1 day',
      '             ^^^^^',
    ],
  },
  {
    claim: 'a wrong value of the local override is shown where it stands',
    config: ['resources:', '  PORT: 3000'],
    local: ['project: x', 'resources:', '  PORT: 99999'],
    says: [
      'worktree.config.local.yaml:3:9  `resources.PORT.base` must be at most 65535, not 99999',
      '  3 |   PORT: 99999',
      '              ^^^^^',
    ],
  },
  {
    claim: 'a wrong value under a local override is shown in the committed file',
    config: ['resources:', '  PORT: 99999'],
    local: ['project: x'],
    says: [
      'worktree.config.yaml:2:9  `resources.PORT.base` must be at most 65535, not 99999',
      '  2 |   PORT: 99999',
      '              ^^^^^',
    ],
  },
  {
    claim: 'problems of both files are told at once',
    config: ['resources:', '  PORT: 99999'],
    local: ['project: my shop'],
    says: [
      'worktree.config.local.yaml:1:10  `project` must be made of letters, digits, ., _ and -, beginning with a letter or a digit, not "my shop"',
      '  1 | project: my shop',
      '               ^^^^^^^',
      'worktree.config.yaml:2:9  `resources.PORT.base` must be at most 65535, not 99999',
      '  2 |   PORT: 99999',
      '              ^^^^^',
    ],
  },
  {
    claim: 'a local override that cannot be parsed does not hide what is wrong with the committed file',
    config: ['resources:', '  PORT: 99999'],
    local: ['project: "x'],
    says: [
      'worktree.config.local.yaml:1:10  a double quote is opened here and never closed',
      '  1 | project: "x',
      '               ^',
      'worktree.config.yaml:2:9  `resources.PORT.base` must be at most 65535, not 99999',
      '  2 |   PORT: 99999',
      '              ^^^^^',
    ],
  },
  {
    claim: 'a local override that is no map',
    config: ['resources:', '  PORT: 3000'],
    local: ['- PORT'],
    says: [
      'worktree.config.local.yaml:1:1  a config is a map',
      '  1 | - PORT',
      '      ^',
      '  It begins like this: `resources:`, and below it `  PORT: 3000`.',
    ],
  },
  {
    claim: 'a committed file that is no map is not hidden by a local override',
    config: ['- PORT'],
    local: ['resources:', '  PORT: 3000'],
    says: [
      'worktree.config.yaml:1:1  a config is a map',
      '  1 | - PORT',
      '      ^',
      '  It begins like this: `resources:`, and below it `  PORT: 3000`.',
    ],
  },
  {
    claim: 'an unknown key of the local override',
    config: ['resources:', '  PORT: 3000'],
    local: ['resources:', '  PORT: { bse: 3000 }'],
    says: [
      'worktree.config.local.yaml:2:11  unknown key `bse` in `resources.PORT`',
      '  2 |   PORT: { bse: 3000 }',
      '                ^^^',
      '  Did you mean `base`?',
    ],
  },
];

function folder(files: Record<string, string>): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-config-'));
  onTestFinished(() => fs.rmSync(root, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text);
  }
  return root;
}

async function printed(root: string): Promise<string[]> {
  const loaded = await loadConfig(root, root);
  return loaded.state === 'wrong' ? loaded.problems.flatMap((problem) => formatProblem(problem).split('\n')) : [loaded.state];
}

const text = (lines: string[]) => `${lines.join('\n')}\n`;

describe('each wrong config is told with its place, its line, a caret and what to do', () => {
  test.each(TABLE)('$claim', async ({ config, local, says }) => {
    const root = folder({ 'worktree.config.yaml': text(config), ...(local ? { [LOCAL_NAME]: text(local) } : {}) });
    expect(await printed(root)).toEqual(says);
  });

  test('the table has no case twice', () => {
    expect(new Set(TABLE.map(({ config, local }) => JSON.stringify([config, local]))).size).toBe(TABLE.length);
  });
});

test('two configs are an error that names both', async () => {
  const root = folder({
    'worktree.config.yaml': 'resources:\n  PORT: 3000\n',
    'worktree.config.json': '{}',
    'worktree.config.yml': 'env: {}\n',
  });
  expect(await printed(root)).toEqual([
    'worktree.config.yml  is a second config beside worktree.config.yaml',
    '  Keep one of them.',
    'worktree.config.json  is a second config beside worktree.config.yaml',
    '  Keep one of them.',
  ]);
});

test('a branch without a config is no problem, also when a local override is there', async () => {
  expect(await printed(folder({ [LOCAL_NAME]: 'resources: 5\n' }))).toEqual(['absent']);
});

test('a wrong name in a template file is told with its line and column in that file', async () => {
  const root = folder({
    'worktree.config.yaml': 'files:\n  note.md: { template: .worktree/note.hbs }\n',
    '.worktree/note.hbs': '{{slug}}\n\nOn {{#if slot}}{{branhc}}{{/if}}\n',
  });
  expect(await printed(root)).toEqual([
    'worktree.config.yaml:2:24  .worktree/note.hbs:3:18  there is no variable named `branhc` here',
    '  2 |   note.md: { template: .worktree/note.hbs }',
    '                             ^^^^^^^^^^^^^^^^^^',
    '  Did you mean `branch`?',
  ]);
});

test('a template file that is a link, or lies behind one, is not read', async () => {
  const root = folder({
    'worktree.config.yaml': 'files:\n  a: { template: link.hbs }\n  b: { template: folder/passwd }\n  c: { template: sub }\n',
    'sub/x': '',
  });
  fs.symlinkSync('/etc/passwd', path.join(root, 'link.hbs'));
  fs.symlinkSync('/etc', path.join(root, 'folder'));
  expect((await printed(root)).filter((line) => line.startsWith('worktree'))).toEqual([
    'worktree.config.yaml:2:18  `link.hbs` is or goes through a symbolic link, and is not followed',
    'worktree.config.yaml:3:18  `folder/passwd` is or goes through a symbolic link, and is not followed',
    'worktree.config.yaml:4:18  `sub` is a folder',
  ]);
});

describe('JSON configs', () => {
  const CASES: [claim: string, json: string[], says: string[]][] = [
    [
      'a comma too many',
      ['{', '  "resources": { "PORT": 3000 },', '}'],
      ['worktree.config.json:3:1  is not valid JSON: Expected double-quoted property name'],
    ],
    ['a comment', ['{', '  # ports', '  "resources": { "PORT": 3000 }', '}'], ['worktree.config.json:2:3  JSON has no comments']],
    ['text without quotes', ['{', '  "project":', '    shop', '}'], ['worktree.config.json:3:5  text in JSON is in double quotes']],
    ['text in single quotes', ['{ \'project\': "shop" }'], ['worktree.config.json:1:3  text in JSON is in double quotes']],
    ['YAML in a file called .json', ['project: shop'], ['worktree.config.json:1:1  is YAML, in a file that is called .json']],
    ['a brace that is missing', ['{ "project": "shop"'], ['worktree.config.json:2:1  Flow map must end with a }']],
    ['a key that stands twice', ['{ "project": "a", "project": "b" }'], ['worktree.config.json:1:19  `project` stands here a second time']],
    ['a wrong value', ['{ "resources": {', '  "PORT": "3000" } }'], ['worktree.config.json:2:11  `3000` is not a resource type']],
  ];
  test.each(CASES)('%s', async (_claim, json, says) => {
    const lines = await printed(folder({ 'worktree.config.json': text(json) }));
    expect(lines.filter((line) => line.startsWith('worktree.config'))).toEqual(says);
  });
});

test('a long line is cut around its problem, and the caret still stands below it', async () => {
  const root = folder({ 'worktree.config.yaml': `env: { A: "${'x'.repeat(300)}", B: [y], C: "${'z'.repeat(300)}" }\n` });
  const [, line = '', caret = ''] = await printed(root);
  expect(line.length).toBeLessThan(140);
  expect(line.slice(caret.indexOf('^')).startsWith('[y]')).toBe(true);
});

test('characters that hide or move text are printed as their numbers, and the caret stays in place', async () => {
  const [first, line = '', caret = ''] = await printed(folder({ 'worktree.config.yaml': 'env: { A: "\u202e\u200b", B: [y] }\n' }));
  expect(first).toBe('worktree.config.yaml:1:20  `env.B` must be text, not a list');
  expect(line).toContain('"\\u{202e}\\u{200b}"');
  expect(line.slice(caret.indexOf('^')).startsWith('[y]')).toBe(true);
});
