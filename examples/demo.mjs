// `npm run demo`: three worktrees of one app at once, with the packed package as a user gets it.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
/** A command that is not done by then, or an app that does not answer by then, has failed. */
const DEADLINE_MS = 180_000;

/** What ends the story early: a claim that is not true, or a command that failed. */
class NotTrue extends Error {}

const began = Date.now();
/** What was started here and has not ended; each leads a process group of its own, so that all it started can be told to stop. */
const running = new Set();
const root = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'coppice-demo-'));
const environment = ownEnvironment();
let folder = root;
let claims = 0;
let interrupted = false;

async function story() {
  const base = await freeBase();

  heading('A repository with a small app, and Coppice installed as a user would');
  say(`Everything is in ${root}, which is removed at the end.`);
  const tarball = await pack();
  fs.cpSync(path.join(REPOSITORY, 'examples', 'notes'), path.join(root, 'notes'), { recursive: true, filter: isSource });
  if (base !== 3000) useBase(base);
  enter('notes');
  await run('git init --quiet');
  await run(`npm install --save-dev ../${tarball}`);
  await run('npx coppice install');
  await run('git add --all');
  await run('git commit --quiet --message "Notes"');
  await run('cat worktree.config.yaml');

  heading('The main worktree: an env file, a database and a note');
  await run('cp .env.example .env');
  await run('npm run --silent migrate');
  const main = await start('npm start --silent', base);
  await post(main, 'from the main worktree');

  heading('Two more with plain git worktree add, while the app runs');
  await run('git worktree add ../notes-a -b feature/a');
  await run('git worktree add ../notes-b -b feature/b');
  await run('git coppice status');
  const a = await ready('feature/a');
  const b = await ready('feature/b');
  claim(`each has a port of its own: ${base}, ${a.port} and ${b.port}`, new Set([base, a.port, b.port]).size === 3);
  for (const name of ['notes-a', 'notes-b']) {
    enter(name);
    await run('cat .env');
    claim(`git sees nothing new in ${name}`, (await run('git status --porcelain')) === '');
  }

  heading('All three run at once');
  enter('notes-a');
  const appA = await start('git coppice run -- node server.mjs', a.port);
  enter('notes-b');
  const appB = await start('npm start --silent', b.port);
  claim('both began with a copy of the main note', same(await texts(appA), await texts(appB), ['from the main worktree']));
  await post(main, 'only in main');
  await post(appA, 'only in a');
  await post(appB, 'only in b');
  claim('the main worktree has its own notes', same(await texts(main), ['from the main worktree', 'only in main']));
  claim('notes-a has the copied note and its own', same(await texts(appA), ['from the main worktree', 'only in a']));
  claim('notes-b has the copied note and its own', same(await texts(appB), ['from the main worktree', 'only in b']));
  claim(`the home page of notes-b says port ${b.port}`, (await page(appB)).includes(`<h1>Notes on port ${b.port}</h1>`));

  heading('One is removed with plain git worktree remove');
  await stop(appB);
  enter('notes');
  await run('git worktree remove ../notes-b');
  await run('git coppice status');
  claim('its folder is gone, and its database with it', !fs.existsSync(path.join(root, 'notes-b')));
  claim('Coppice knows that it is gone', (await status('feature/b'))?.state === 'removed');
  await run('git coppice gc');
  const held = await run(`git coppice status --json | node -p "JSON.parse(fs.readFileSync(0)).worktrees.map((w) => w.url).join(' ')"`);
  claim(`port ${b.port} and the database are given back`, held.trim() === `http://localhost:${a.port}`);
  claim(
    'the other two still answer',
    same(await texts(main), ['from the main worktree', 'only in main']) && (await texts(appA)).length === 2,
  );

  heading('The next worktree gets the port that was given back');
  await run('git worktree add ../notes-c -b feature/c');
  const c = await ready('feature/c');
  claim(`notes-c has port ${b.port}, as notes-b had`, c.port === b.port);
  enter('notes-c');
  const appC = await start('npm start --silent', c.port);
  claim(
    'its data is a new copy of the main notes, without those of notes-b',
    same(await texts(appC), ['from the main worktree', 'only in main']),
  );

  heading('The apps are stopped');
  for (const app of [main, appA, appC]) await stop(app);
  claim('their ports are free', (await Promise.all([base, a.port, b.port].map(isFree))).every(Boolean));
}

/** Only what a program needs to run and npm needs to reach its registry. HOME, git's config and Coppice's state are the demo's own. */
function ownEnvironment() {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(PATH|LANG|LC_.*|TERM|TMPDIR|SHELL|USER|LOGNAME|(https?|no|all)_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|npm_config_((.*:)?registry|https?_proxy|proxy|noproxy|cafile|ca))$/i.test(
      name,
    ),
  );
  const home = path.join(root, 'home');
  const gitConfig = path.join(root, 'gitconfig');
  fs.mkdirSync(home);
  fs.writeFileSync(gitConfig, '[user]\n\tname = Demo\n\temail = demo@example.com\n[init]\n\tdefaultBranch = main\n');
  const programs = (process.env.PATH ?? '').split(path.delimiter).filter((entry) => !entry.startsWith(REPOSITORY + path.sep));
  return {
    ...Object.fromEntries(kept),
    // npm puts this repository's programs first, which a user would not have; and one Node runs all of the demo.
    PATH: [path.dirname(process.execPath), ...programs].join(path.delimiter),
    HOME: home,
    XDG_STATE_HOME: path.join(root, 'state'),
    XDG_CONFIG_HOME: path.join(home, '.config'),
    GIT_CONFIG_GLOBAL: gitConfig,
    GIT_CONFIG_NOSYSTEM: '1',
    NO_COLOR: '1',
    // Read, for the registry that it may name; npm writes only to the cache.
    npm_config_userconfig: process.env.npm_config_userconfig ?? process.env.NPM_CONFIG_USERCONFIG ?? path.join(os.homedir(), '.npmrc'),
    npm_config_cache: path.join(root, 'npm'),
    npm_config_loglevel: 'error',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  };
}

/** Packs the built repository. Its scripts are left out: they would install hooks in the repository. */
async function pack() {
  await run(`npm pack --ignore-scripts --pack-destination "${root}"`, REPOSITORY);
  const tarball = fs.readdirSync(root).find((name) => name.endsWith('.tgz'));
  claim('npm packs the repository', tarball !== undefined);
  return tarball;
}

function isSource(file) {
  return !['node_modules', '.env', '.git'].includes(path.basename(file)) && !/\.db(-|$)/.test(file);
}

/** 3000, or the next hundred where the app of the main worktree can listen. */
async function freeBase() {
  for (let base = 3000; base < 6000; base += 100) if (await isFree(base)) return base;
  throw new NotTrue('one of the ports 3000, 3100 … 5900 is free for the main worktree');
}

async function isFree(port) {
  const free = (host) =>
    new Promise((resolve) => {
      const server = net.createServer();
      server.once('error', ({ code }) => resolve(code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT'));
      server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
    });
  for (const host of ['127.0.0.1', '::1', '0.0.0.0', '::']) if (!(await free(host))) return false;
  return true;
}

function useBase(base) {
  say(`Port 3000 is in use on this machine, so the app's is ${base} here.`);
  for (const name of ['worktree.config.yaml', '.env.example']) {
    const file = path.join(root, 'notes', name);
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('3000', String(base)));
  }
}

function heading(text) {
  console.log(`\n${bold(text)}\n`);
}

function say(text) {
  console.log(text);
}

function claim(text, isTrue) {
  if (!isTrue) throw new NotTrue(text);
  claims += 1;
  console.log(`✓ ${text}`);
}

function enter(name) {
  console.log(`$ cd ${folder === root ? name : `../${name}`}`);
  folder = path.join(root, name);
}

/** Runs a command as the reader sees it, and shows what it prints. @returns what it printed */
async function run(command, cwd = folder) {
  console.log(`$ ${command}`);
  return quietly(command, cwd, (line) => console.log(dim(`  ${line}`)));
}

/** @returns what the command printed @throws {NotTrue} when it fails */
async function quietly(command, cwd, show = () => {}) {
  const child = launch(command, cwd);
  let printed = '';
  onLines(child, (line) => {
    printed += `${line}\n`;
    if (line !== '') show(line);
  });
  const { code, late } = await within(DEADLINE_MS, child.ended, child);
  if (late || code !== 0) throw new NotTrue(`\`${command}\` succeeds (${late ? 'it took too long' : `exit code ${code}`})\n${printed}`);
  return printed;
}

/** Starts an app, and waits until it says that it listens on this port. */
async function start(command, port) {
  console.log(`$ ${command} &`);
  const child = launch(command, folder);
  const listens = new Promise((resolve) => {
    onLines(child, (line) => {
      console.log(dim(`  ${line}`));
      const [, origin] = /^Notes on (http:\S+)$/.exec(line) ?? [];
      if (origin !== undefined) resolve({ origin });
    });
  });
  const { origin } = await within(DEADLINE_MS, Promise.race([listens, child.ended]), child);
  claim(`the app in ${path.basename(folder)} listens on port ${port}`, origin === `http://localhost:${port}`);
  return { child, origin };
}

async function stop({ child }) {
  signal(child, 'SIGTERM');
  const { late } = await within(10_000, child.ended, child);
  if (late) throw new NotTrue('an app ends when it is told to');
}

/** A process group of its own, which is told to stop as a whole. `ended` is when all of it has closed its output. */
function launch(command, cwd) {
  if (interrupted) throw new NotTrue('the demo is not interrupted');
  const child = spawn('/bin/sh', ['-c', `exec 2>&1; ${command}`], {
    cwd,
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  child.ended = new Promise((resolve) => {
    child.on('close', (code, name) => {
      running.delete(child);
      resolve({ code: code ?? name });
    });
  });
  running.add(child);
  return child;
}

function onLines({ stdout }, use) {
  let rest = '';
  stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    lines.forEach(use);
  });
  stdout.on('end', () => {
    if (rest !== '') use(rest);
  });
}

function signal({ pid }, name) {
  try {
    process.kill(-pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** What the promise gives; or, when that takes too long, the process is killed and `late` is true. */
async function within(ms, promise, child) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => {
      signal(child, 'SIGKILL');
      resolve({ late: true });
    }, ms);
  });
  const result = await Promise.race([promise, late]);
  clearTimeout(timer);
  return result;
}

/** What `git coppice status --json` says of a branch's worktree. */
async function status(branch) {
  const { worktrees } = JSON.parse(await quietly('git coppice status --json', path.join(root, 'notes')));
  return worktrees.find((worktree) => worktree.branch === branch);
}

async function ready(branch) {
  const { state, url } = (await status(branch)) ?? {};
  claim(`the worktree of ${branch} is ready, at ${url}`, state === 'ready');
  return { port: Number(new URL(url).port) };
}

async function post(app, text) {
  const body = JSON.stringify({ text });
  const response = await request(app, '/notes', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  console.log(`POST ${app.origin}/notes ${body}`);
  console.log(dim(`  ${response.status} ${(await response.text()).trim()}`));
  if (response.status !== 201) throw new NotTrue(`the app at ${app.origin} takes a note`);
}

/** The notes that an app lists. */
async function texts(app) {
  const notes = await (await request(app, '/notes')).json();
  console.log(`GET ${app.origin}/notes`);
  console.log(dim(`  ${JSON.stringify(notes)}`));
  return notes.map(({ text }) => text);
}

async function page(app) {
  const text = await (await request(app, '/')).text();
  console.log(`GET ${app.origin}/`);
  return text;
}

function request({ origin }, address, options = {}) {
  return fetch(`${origin}${address}`, { ...options, signal: AbortSignal.timeout(DEADLINE_MS) });
}

function same(...values) {
  return new Set(values.map((value) => JSON.stringify(value))).size === 1;
}

function bold(text) {
  return styled(1, text);
}

function dim(text) {
  return styled(2, text);
}

function styled(code, text) {
  return process.stdout.isTTY && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** Ends what was started here, and removes the folder. */
async function cleanUp() {
  await Promise.all(
    [...running].map(async (child) => {
      signal(child, 'SIGTERM');
      if ((await within(5000, child.ended, child)).late) await child.ended;
    }),
  );
  fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 });
}

async function interrupt(code) {
  if (interrupted) return;
  interrupted = true;
  await cleanUp();
  process.exit(code);
}

process.on('SIGINT', () => interrupt(130));
process.on('SIGTERM', () => interrupt(143));
process.on('SIGHUP', () => interrupt(129));
// The reader of a pipe has gone.
process.stdout.on('error', () => interrupt(1));

try {
  await story();
} catch (error) {
  if (!interrupted) {
    process.exitCode = 1;
    console.error(error instanceof NotTrue ? `\n✗ not true: ${error.message}` : error);
  }
}
if (!interrupted) {
  await cleanUp();
  if (process.exitCode === undefined) console.log(`\n${claims} claims shown, all true, in ${((Date.now() - began) / 1000).toFixed(1)} s`);
}
