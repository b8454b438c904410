import { type DevServer, fromVariable, server, WRITTEN } from './dev-server.ts';
import { pythonOf } from './installs.ts';
import { filesLike, type Look, textOf } from './look.ts';

/** A server that is not Node's, and the commands that start it. */
interface OtherServer {
  server: DevServer;
  starts: RegExp;
}

/** Frameworks of other languages, at the root. Which variable they read is in their documentation. */
export function otherServers(look: Look): OtherServer[] {
  const found: OtherServer[] = [];
  const add = (one: DevServer, starts: RegExp) => found.push({ server: one, starts });
  if (/^\s*gem ["']rails["']/m.test(textOf(look, 'Gemfile'))) add(server('', 'Rails (puma)', 3000, 'PORT'), /\brails s(erver)?\b|\bpuma\b/);
  if (look.files.has('manage.py') && /django/i.test(textOf(look, 'manage.py')))
    add(server('', 'Django', 8000, null, { command: `${pythonOf(look)} manage.py runserver "$PORT"` }), /\brunserver\b/);
  if (look.files.has('artisan')) add(server('', '`php artisan serve`', 8000, 'SERVER_PORT'), /\bartisan serve\b/);
  if (/:phoenix\b/.test(textOf(look, 'mix.exs'))) add(phoenix(look), /\bphx\.server\b/);
  const build = ['pom.xml', 'build.gradle', 'build.gradle.kts'].map((file) => textOf(look, file)).join('\n');
  if (/spring-boot|org\.springframework\.boot/.test(build)) add(spring(look), /\b(spring-boot:run|bootRun)\b/);
  const python = ['pyproject.toml', 'requirements.txt'].map((file) => textOf(look, file)).join('\n');
  if (/\bfastapi\b/i.test(python)) add(server('', 'uvicorn', 8000, 'UVICORN_PORT'), /\b(uvicorn|fastapi)\b/);
  else if (/^\s*["']?flask\b/im.test(python)) add(server('', 'Flask', 5000, 'FLASK_RUN_PORT'), /\bflask\b/);
  if (look.files.has('go.mod')) for (const one of goServer(look)) add(one, /\bgo run\b|\bair\b/);
  return found;
}

function phoenix(look: Look): DevServer {
  const dev = textOf(look, 'config/dev.exs');
  // What stands below is for production.
  const [before = ''] = textOf(look, 'config/runtime.exs').split(/if config_env\(\) == :prod/);
  if (/"PORT"/.test(dev + before))
    return server('', 'Phoenix', Number(/"PORT"\)?\s*(?:\|\||,)\s*"(\d+)"/.exec(dev + before)?.[1] ?? 4000), 'PORT');
  const port = Number(/\bport:\s*(\d{2,5})/.exec(dev)?.[1] ?? 4000);
  const where = 'config/dev.exs';
  return server('', 'Phoenix', port, null, {
    fixed: where,
    instead: { text: `port: String.to_integer(System.get_env("PORT") || "${port}")`, where },
  });
}

/** `server.port`, in either form of its settings. */
const SPRING_PORT = String.raw`(?:server\.port\s*[=:]|^server:\s*\n(?:\s+.*\n)*?\s+port:)\s*["']?`;

function spring(look: Look): DevServer {
  const settings = filesLike(look, /(^|\/)application\.(properties|ya?ml)$/)
    .map((file) => textOf(look, file))
    .join('\n');
  const [, variable, fallback] = new RegExp(String.raw`${SPRING_PORT}\$\{([A-Z_]+)(?::(\d+))?\}`, 'm').exec(settings) ?? [];
  const literal = new RegExp(String.raw`${SPRING_PORT}(\d{2,5})`, 'm').exec(settings)?.[1];
  return server('', 'Spring Boot', Number(fallback ?? literal ?? 8080), variable ?? 'SERVER_PORT');
}

function goServer(look: Look): DevServer[] {
  for (const file of filesLike(look, /(^|\/)main\.go$/)) {
    const text = textOf(look, file);
    const name = /os\.(?:Getenv|LookupEnv)\("([A-Z_]*PORT)"\)/.exec(text)?.[1];
    const literal = /"(?:[\w.]*:)?(\d{4,5})"/.exec(text)?.[1];
    if (name !== undefined) return [server('', file, Number(literal ?? 8080), name)];
    if (literal !== undefined && /ListenAndServe|\.Run\(|\.Start\(|\.Listen\(/.test(text))
      return [server('', file, Number(literal), null, { fixed: file, instead: { text: 'os.Getenv("PORT")', where: file } })];
  }
  return [];
}

/** What a Procfile starts at a port that it writes out. */
export function procfileServers(look: Look): { server: DevServer; command: string }[] {
  return ['Procfile.dev', 'Procfile'].flatMap((file) =>
    [...textOf(look, file).matchAll(/^([\w-]+):\s*(.+)$/gm)].flatMap(([, name = '', command = '']) => {
      const port = Number(WRITTEN.exec(command)?.[1] ?? 0);
      if (port === 0) return [];
      const where = `\`${name}\` of ${file}`;
      return [
        { server: server('', `\`${name}\``, port, null, { fixed: where, instead: { text: fromVariable(command, port), where } }), command },
      ];
    }),
  );
}
