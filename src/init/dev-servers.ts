import { filesLike, folderOf, inFolder, type Look, packageFolders, packageJson, textOf } from './look.ts';

/** A program that listens in development, as the repository starts it. */
export interface DevServer {
  /** `''` is the root. */
  folder: string;
  /** What it is, for comments: `Next.js`. */
  title: string;
  /** The port that it takes by itself. */
  port: number;
  /** The variable that it reads; null: only its command can change the port. */
  variable: string | null;
  /** Where the port is written out, so that no variable counts: `the script "dev" of package.json`. */
  fixed: string | null;
  /** A command that takes the port from a variable, `$PORT` in it. */
  command: string | null;
  /** What to write instead where the port is fixed. */
  instead: string | null;
}

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
/** A port written into a command. */
const WRITTEN = /(?:(?:--port|--server\.port|-p)[ =]|\bPORT=)(\d{2,5})(?![\d:.])/;
/** One that a variable gives, perhaps with a default. */
const GIVEN = /(?:(?:--port|-p)[ =]|\bPORT=)["']?\$\{?([A-Z_][A-Z0-9_]*)(?::-(\d{2,5}))?/;

/** The development servers of a repository, each once. */
export function devServers(look: Look): DevServer[] {
  const node = packageFolders(look).flatMap((folder) => nodeServers(look, folder));
  return [...node, ...otherServers(look), ...procfileServers(look)].filter(
    (server, index, all) => all.findIndex((other) => other.port === server.port && other.folder === server.folder) === index,
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
    const written = WRITTEN.exec(command)?.[1];
    if (given !== undefined) {
      const port = Number(fallback ?? framework?.port ?? 3000);
      found.push({ folder, title: framework?.title ?? 'the app', port, variable: given, fixed: null, command: null, instead: null });
    } else if (framework !== undefined) found.push(ofFramework(look, folder, framework, command, where, written));
    else if (written !== undefined) {
      const instead = command.replace(WRITTEN, (match, port: string) => match.replace(port, `\${PORT:-${port}}`));
      found.push({ folder, title: 'the app', port: Number(written), variable: null, fixed: where, command: null, instead });
    }
  }
  return found.length > 0 ? found : ownServer(look, folder);
}

function ofFramework(
  look: Look,
  folder: string,
  framework: Framework,
  command: string,
  where: string,
  written: string | undefined,
): DevServer {
  const { title, reads, flag, words } = framework;
  const config = filesLike(look, /(^|\/)(vite|nuxt|astro)\.config\.[cm]?[jt]s$/).find((file) => folderOf(file) === folder);
  const text = config === undefined ? '' : textOf(look, config);
  const inConfig = /\bport:\s*(\d{2,5})/.exec(text)?.[1];
  const [, read, fallback] =
    /\bport:[^,\n}]*?(?:process\.env|env)\.([A-Z_][A-Z0-9_]*)[^,\n}]*?(?:(?:\|\||\?\?)\s*["']?(\d{2,5}))?["']?\s*\)*\s*[,\n}]/.exec(text) ??
    [];
  const port = Number(written ?? inConfig ?? fallback ?? framework.port);
  if (written === undefined && read !== undefined)
    return { folder, title, port, variable: read, fixed: null, command: null, instead: null };
  const [program = ''] = words.exec(command) ?? [];
  const run = `npx ${program} ${flag} "$PORT"`;
  const fixed = written !== undefined ? where : inConfig !== undefined && !reads ? (config ?? null) : null;
  const instead =
    written === undefined
      ? reads
        ? null
        : command.replace(words, (match) => `${match} ${flag} \${PORT:-${port}}`)
      : command.replace(WRITTEN, (match) => match.replace(written, `\${PORT:-${written}}`));
  return { folder, title, port, variable: reads && fixed === null ? 'PORT' : null, fixed, command: run, instead };
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
    if (name !== undefined) return [{ folder, title: file, port: Number(port), variable: name, fixed: null, command: null, instead: null }];
    const read = /process\.env\.([A-Z_]*PORT)\b/.exec(text)?.[1];
    if (read !== undefined) return [{ folder, title: file, port: 3000, variable: read, fixed: null, command: null, instead: null }];
    const literal = /\.listen\(\s*(\d{2,5})|\bport:\s*(\d{4,5})/.exec(text);
    const number = literal?.[1] ?? literal?.[2];
    if (number !== undefined)
      return [
        { folder, title: file, port: Number(number), variable: null, fixed: file, command: null, instead: `process.env.PORT ?? ${number}` },
      ];
  }
  return [];
}

/** Frameworks of other languages, at the root. */
function otherServers(look: Look): DevServer[] {
  const at = (title: string, port: number, variable: string | null, more: Partial<DevServer> = {}): DevServer => ({
    folder: '',
    title,
    port,
    variable,
    fixed: null,
    command: null,
    instead: null,
    ...more,
  });
  const found: DevServer[] = [];
  if (/^\s*gem ["']rails["']/m.test(textOf(look, 'Gemfile'))) found.push(at('Rails (puma)', 3000, 'PORT'));
  if (look.files.has('manage.py') && /django/i.test(textOf(look, 'manage.py')))
    found.push(at('Django', 8000, null, { command: 'python manage.py runserver "$PORT"' }));
  if (look.files.has('artisan')) found.push(at('`php artisan serve`', 8000, 'SERVER_PORT'));
  if (/:phoenix\b/.test(textOf(look, 'mix.exs'))) found.push(phoenix(look, at));
  const build = ['pom.xml', 'build.gradle', 'build.gradle.kts'].map((file) => textOf(look, file)).join('\n');
  if (/spring-boot|org\.springframework\.boot/.test(build)) {
    const settings = filesLike(look, /(^|\/)application\.(properties|ya?ml)$/)
      .map((file) => textOf(look, file))
      .join('\n');
    const [, variable, fallback] =
      /(?:server\.port\s*[=:]|^server:\s*\n(?:\s+.*\n)*?\s+port:)\s*["']?\$\{([A-Z_]+)(?::(\d+))?\}/m.exec(settings) ?? [];
    const [, literal] = /(?:server\.port\s*[=:]|^server:\s*\n(?:\s+.*\n)*?\s+port:)\s*["']?(\d{2,5})/m.exec(settings) ?? [];
    found.push(at('Spring Boot', Number(fallback ?? literal ?? 8080), variable ?? 'SERVER_PORT'));
  }
  const python = ['pyproject.toml', 'requirements.txt'].map((file) => textOf(look, file)).join('\n');
  if (/\bfastapi\b/i.test(python)) found.push(at('uvicorn', 8000, 'UVICORN_PORT'));
  else if (/^\s*["']?flask\b/im.test(python)) found.push(at('Flask', 5000, 'FLASK_RUN_PORT'));
  if (look.files.has('go.mod')) found.push(...goServer(look, at));
  return found;
}

function phoenix(
  look: Look,
  at: (title: string, port: number, variable: string | null, more?: Partial<DevServer>) => DevServer,
): DevServer {
  const dev = textOf(look, 'config/dev.exs');
  const [before = ''] = textOf(look, 'config/runtime.exs').split(/if config_env\(\) == :prod/);
  if (/"PORT"/.test(dev + before)) return at('Phoenix', Number(/"PORT"\)?\s*(?:\|\||,)\s*"(\d+)"/.exec(dev + before)?.[1] ?? 4000), 'PORT');
  const port = Number(/\bport:\s*(\d{2,5})/.exec(dev)?.[1] ?? 4000);
  return at('Phoenix', port, null, { fixed: 'config/dev.exs', instead: `port: String.to_integer(System.get_env("PORT") || "${port}")` });
}

function goServer(
  look: Look,
  at: (title: string, port: number, variable: string | null, more?: Partial<DevServer>) => DevServer,
): DevServer[] {
  for (const file of filesLike(look, /(^|\/)main\.go$/)) {
    const text = textOf(look, file);
    const name = /os\.(?:Getenv|LookupEnv)\("([A-Z_]*PORT)"\)/.exec(text)?.[1];
    const literal = /"(?:[\w.]*:)?(\d{4,5})"/.exec(text)?.[1];
    if (name !== undefined) return [at(file, Number(literal ?? 8080), name)];
    if (literal !== undefined && /ListenAndServe|\.Run\(|\.Start\(|\.Listen\(/.test(text))
      return [at(file, Number(literal), null, { fixed: file, instead: 'os.Getenv("PORT")' })];
  }
  return [];
}

/** What a Procfile starts at a port that it writes out. */
function procfileServers(look: Look): DevServer[] {
  return ['Procfile.dev', 'Procfile'].flatMap((file) =>
    [...textOf(look, file).matchAll(/^([\w-]+):\s*(.+)$/gm)].flatMap(([, name = '', command = '']): DevServer[] => {
      const port = WRITTEN.exec(command)?.[1];
      if (port === undefined) return [];
      const instead = command.replace(WRITTEN, (match) => match.replace(port, `\${PORT:-${port}}`));
      return [
        { folder: '', title: `\`${name}\``, port: Number(port), variable: null, fixed: `\`${name}\` of ${file}`, command: null, instead },
      ];
    }),
  );
}
