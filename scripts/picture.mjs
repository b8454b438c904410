// Draws docs/run.svg from a real run in a terminal of its own (`script` of util-linux; needs sqlite3): npm run build && node scripts/picture.mjs
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const COLUMNS = 86;
const CELL = { width: 8.4, height: 20 };
const MARGIN = 20;
const COLORS = { 1: 'bold', 2: 'dim', 31: 'red', 32: 'green', 33: 'yellow' };
/** How a terminal is told a colour: ESC [ codes m. */
const COLOR = `${String.fromCharCode(27)}\\[([\\d;]*)m`;
const ROOT = path.resolve(import.meta.dirname, '..');

const FILES = {
  'worktree.config.yaml': 'resources:\n  PORT: 3000\n  DATABASE_URL: sqlite\nsteps:\n  install: npm ci\n',
  'package.json': '{ "name": "shop", "version": "1.0.0" }\n',
  'package-lock.json':
    '{ "name": "shop", "version": "1.0.0", "lockfileVersion": 3, "packages": { "": { "name": "shop", "version": "1.0.0" } } }\n',
  '.gitignore': '.env\n*.db\nnode_modules/\n',
};
const ENV_FILE = 'PORT=3000\nDATABASE_URL=file:./dev.db\nAPI_URL=http://localhost:3000/api\nSESSION_KEY=not-for-you\n';
const COMMANDS = ['cat worktree.config.yaml', 'git worktree add ../feature -b feature', 'cat ../feature/.env', 'git coppice status'];

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'coppice-picture-'));
try {
  fs.writeFileSync(path.join(ROOT, 'docs/run.svg'), draw(record(folder)));
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}

/** Runs the commands in a new repository. @returns the lines that a terminal shows */
function record(root) {
  const shop = path.join(root, 'shop');
  fs.mkdirSync(shop);
  fs.writeFileSync(path.join(root, 'gitconfig'), '[user]\nname = A\nemail = a@example.com\n[init]\ndefaultBranch = main\n');
  // CI: colours, but no spinner, whose frames a picture cannot show.
  const env = {
    PATH: process.env.PATH,
    HOME: root,
    LANG: 'C.UTF-8',
    TERM: 'xterm-256color',
    CI: '1',
    COPPICE_STATE_DIR: path.join(root, 'state'),
    GIT_CONFIG_GLOBAL: path.join(root, 'gitconfig'),
    GIT_CONFIG_NOSYSTEM: '1',
  };
  const run = (program, ...args) => execFileSync(program, args, { cwd: shop, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  for (const [name, text] of Object.entries(FILES)) fs.writeFileSync(path.join(shop, name), text);
  run('git', 'init', '-q');
  run('git', 'add', '-A');
  run('git', 'commit', '-qm', 'first');
  fs.writeFileSync(path.join(shop, '.env'), ENV_FILE);
  run('sqlite3', 'dev.db', 'create table orders (id)');
  run(process.execPath, path.join(ROOT, 'dist/cli.cjs'), 'install');
  return COMMANDS.flatMap((command) => {
    const shown = run('script', '-qec', `stty cols ${COLUMNS} -onlcr; ${command}`, '/dev/null');
    return [`\u001b[1m$ ${command}\u001b[22m`, ...shown.trimEnd().split(/\r?\n/), ''];
  }).slice(0, -1);
}

/** Terminal lines with colours as an SVG. */
function draw(lines) {
  const width = COLUMNS * CELL.width + 2 * MARGIN;
  const height = lines.length * CELL.height + 2 * MARGIN;
  const rows = lines.map((line, row) => {
    const y = MARGIN + (row + 0.75) * CELL.height;
    return spans(line)
      .map(({ text, column, style }) => `<text x="${(MARGIN + column * CELL.width).toFixed(1)}" y="${y}"${style}>${escapeXml(text)}</text>`)
      .join('');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeXml(COMMANDS.join('; '))}">
<style>
rect { fill: #161b22 }
text { fill: #d6dde6; font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
.bold { font-weight: 700; fill: #ffffff } .dim { fill: #8b949e } .red { fill: #ff7b72 } .green { fill: #56d364 } .yellow { fill: #e3b341 }
</style>
<rect width="${width}" height="${height}" rx="8"/>
${rows.filter((row) => row !== '').join('\n')}
</svg>
`;
}

/** A line cut where its colour changes. Each part has a place of its own, so that another font moves nothing. */
function spans(line) {
  const found = [];
  const active = new Set();
  let column = 0;
  for (const part of line.split(new RegExp(`(${COLOR.replace('(', '(?:')})`))) {
    const codes = new RegExp(`^${COLOR}$`).exec(part)?.[1];
    if (codes !== undefined) {
      for (const code of codes.split(';').map(Number)) {
        if (code === 22) for (const name of ['bold', 'dim']) active.delete(name);
        else if (code === 39) for (const name of ['red', 'green', 'yellow']) active.delete(name);
        else if (COLORS[code]) active.add(COLORS[code]);
        else active.clear();
      }
      continue;
    }
    // A run of spaces would be one space in a viewer that knows no `white-space`.
    for (const { 0: text, index } of part.matchAll(/\S+(?: \S+)*/g))
      found.push({ text, column: column + index, style: active.size > 0 ? ` class="${[...active].join(' ')}"` : '' });
    column += part.length;
  }
  return found;
}

function escapeXml(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
