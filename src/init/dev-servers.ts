import { type DevServer, fromVariable, server, WRITTEN } from './dev-server.ts';
import { filesLike, folderOf, inFolder, type Look, packageFolders, packageJson, textOf } from './look.ts';
import { otherServers, procfileServers } from './other-servers.ts';

interface Framework {
  title: string;
  words: RegExp;
  port: number;
  reads: boolean;
  /** How it is told another port. */
  flag: string;
}

/** By the words of a script. Which of them read PORT is in their documentation. */
const SCRIPTS: Framework[] = [
  { title: 'Next.js', words: /\bnext(?: dev)?\b(?! (?:build|start|lint|export|telemetry))/, port: 3000, reads: true, flag: '-p' },
  { title: 'Nuxt', words: /\bnux(?:t|i) dev\b/, port: 3000, reads: true, flag: '--port' },
  { title: 'Astro', words: /\bastro dev\b/, port: 4321, reads: false, flag: '--port' },
  { title: 'Angular', words: /\bng serve\b/, port: 4200, reads: false, flag: '--port' },
  { title: 'Create React App', words: /\breact-scripts start\b/, port: 3000, reads: true, flag: '--port' },
  { title: 'Vue CLI', words: /\bvue-cli-service serve\b/, port: 8080, reads: true, flag: '--port' },
  { title: 'React Router', words: /\b(?:react-router dev|remix vite:dev)\b/, port: 5173, reads: false, flag: '--port' },
  { title: 'Gatsby', words: /\bgatsby develop\b/, port: 8000, reads: false, flag: '--port' },
  { title: 'webpack', words: /\bwebpack(?:-dev-server| serve)\b/, port: 8080, reads: false, flag: '--port' },
  { title: 'Wrangler', words: /\bwrangler(?: pages)? dev\b/, port: 8787, reads: false, flag: '--port' },
  { title: 'Vite', words: /\bvite\b(?!:| build| preview| optimize|-node)/, port: 5173, reads: false, flag: '--port' },
];
const STARTS = ['dev', 'develop', 'start:dev', 'dev:web', 'dev:client', 'dev:server', 'dev:api', 'serve', 'start'];
/** One that a variable gives, perhaps with a default. */
const GIVEN = /(?:(?:--port|-p)[ =]|\bPORT=)["']?\$\{?([A-Z_][A-Z0-9_]*)(?::-(\d{2,5}))?/;

/** The development servers of a repository, each once. */
export function devServers(look: Look): DevServer[] {
  const node = packageFolders(look).flatMap((folder) => nodeServers(look, folder));
  const procfile = procfileServers(look);
  // A Procfile starts what is here, at a port that it says.
  const other = otherServers(look).map((one) => {
    const started = procfile.find(({ command }) => one.starts.test(command));
    return started === undefined ? one.server : { ...one.server, ...started.server, title: one.server.title };
  });
  const more = procfile.filter((started) => !otherServers(look).some((one) => one.starts.test(started.command))).map((one) => one.server);
  return [...node, ...other, ...more].filter(
    (one, index, all) => all.findIndex((another) => another.port === one.port && another.folder === one.folder) === index,
  );
}

function nodeServers(look: Look, folder: string): DevServer[] {
  const scripts = packageJson(look, folder)?.scripts ?? {};
  const found: DevServer[] = [];
  for (const name of STARTS) {
    const command = scripts[name];
    if (command === undefined || (found.length > 0 && /^(serve|start)$/.test(name))) continue;
    const where = `the script \`${name}\` of ${inFolder(folder, 'package.json')}`;
    const framework = SCRIPTS.find(({ words }) => words.test(command));
    const [, given, fallback] = GIVEN.exec(command) ?? [];
    const written = Number(WRITTEN.exec(command)?.[1] ?? 0);
    if (given !== undefined) found.push(server(folder, framework?.title ?? 'the app', Number(fallback ?? framework?.port ?? 3000), given));
    else if (framework !== undefined) found.push(ofFramework(look, folder, framework, command, where, written));
    else if (written !== 0)
      found.push(server(folder, 'the app', written, null, { fixed: where, instead: { text: fromVariable(command, written), where } }));
  }
  return found.length > 0 ? found : ownServer(look, folder);
}

const CONFIG_PORT = /\bport:\s*(\d{2,5})/;
const CONFIG_VARIABLE =
  /\bport:[^,\n}]*?(?:process\.env|env)\.([A-Z_][A-Z0-9_]*)[^,\n}]*?(?:(?:\|\||\?\?)\s*["']?(\d{2,5}))?["']?\s*\)*\s*[,\n}]/;

/** @param written the port in the script; 0 when there is none */
function ofFramework(look: Look, folder: string, framework: Framework, command: string, where: string, written: number): DevServer {
  const { title, reads, flag, words } = framework;
  const config = filesLike(look, /(^|\/)(vite|nuxt|astro)\.config\.[cm]?[jt]s$/).find((file) => folderOf(file) === folder) ?? '';
  const text = textOf(look, config);
  const inConfig = Number(CONFIG_PORT.exec(text)?.[1] ?? 0);
  const [, read, fallback] = CONFIG_VARIABLE.exec(text) ?? [];
  if (written === 0 && read !== undefined) return server(folder, title, Number(fallback ?? framework.port), read);
  const run = `npx ${words.exec(command)?.[0] ?? ''} ${flag} "$PORT"`;
  if (written !== 0)
    return server(folder, title, written, null, { fixed: where, command: run, instead: { text: fromVariable(command, written), where } });
  if (reads) return server(folder, title, inConfig || framework.port, 'PORT');
  const port = inConfig || framework.port;
  if (inConfig !== 0)
    return server(folder, title, port, null, {
      fixed: config,
      command: run,
      instead: { text: `port: Number(process.env.PORT ?? ${port})`, where: config },
    });
  const instead = { text: command.replace(words, (match) => `${match} ${flag} \${PORT:-${port}}`), where };
  return server(folder, title, port, null, { command: run, instead });
}

/** A server in the repository's own code. */
function ownServer(look: Look, folder: string): DevServer[] {
  const files = ['', 'src/', 'server/'].flatMap((sub) =>
    ['server', 'index', 'app', 'main'].flatMap((name) =>
      ['js', 'ts', 'mjs', 'cjs', 'mts'].map((end) => inFolder(folder, `${sub}${name}.${end}`)),
    ),
  );
  for (const file of files) {
    const text = textOf(look, file);
    const [, name, port] = /process\.env\.([A-Z_]*PORT)\)?\s*(?:\|\||\?\?)\s*["']?(\d{2,5})/.exec(text) ?? [];
    if (name !== undefined) return [server(folder, file, Number(port), name)];
    const read = /process\.env\.([A-Z_]*PORT)\b/.exec(text)?.[1];
    if (read !== undefined) return [server(folder, file, 3000, read)];
    const [, listened, said] = /\.listen\(\s*(\d{2,5})|\bport:\s*(\d{4,5})/.exec(text) ?? [];
    const number = Number(listened ?? said ?? 0);
    if (number !== 0)
      return [server(folder, file, number, null, { fixed: file, instead: { text: `process.env.PORT ?? ${number}`, where: file } })];
  }
  return [];
}
