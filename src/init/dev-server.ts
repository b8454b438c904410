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
  /** What to write instead, and where. */
  instead: { text: string; where: string } | null;
}

/** A server that reads a variable, as most do. */
export function server(folder: string, title: string, port: number, variable: string | null, more: Partial<DevServer> = {}): DevServer {
  return { folder, title, port, variable, fixed: null, command: null, instead: null, ...more };
}

/** A port written into a command. */
export const WRITTEN = /(?:(?:--port|--server\.port|-p)[ =]|\bPORT=)(\d{2,5})(?![\d:.])/;

/** The command with the port from a variable, and what was written as its default. */
export function fromVariable(command: string, port: number): string {
  return command.replace(WRITTEN, (match) => match.replace(String(port), `\${PORT:-${port}}`));
}
