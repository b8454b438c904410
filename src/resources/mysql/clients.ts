import fs from 'node:fs';
import path from 'node:path';
import { Failure } from '../../outcome.ts';
import { type Address, isOnThisMachine, serverName } from '../address.ts';
import { type ServerKind, socketOf } from './server.ts';

/** The server's own programs: the pair that dumps and loads, from one maker. */
export interface Clients {
  /** The words to start each with. */
  dump: string;
  load: string;
  /** Where they find the server. */
  host: string;
  port: number;
  socket: string | null;
}

const PAIRS = { MariaDB: ['mariadb-dump', 'mariadb'], MySQL: ['mysqldump', 'mysql'] } as const;

/**
 * Finds the programs: here, those of the server's maker first, else in the container that publishes its port.
 * @throws {Failure} when there are none
 */
export async function findClients(kind: ServerKind, address: Address): Promise<Clients> {
  const pairs = kind.product === 'MariaDB' ? [PAIRS.MariaDB, PAIRS.MySQL] : [PAIRS.MySQL, PAIRS.MariaDB];
  const here = pairs.find((programs) => programs.every(isOnPath));
  const { host, port } = address;
  if (here !== undefined) return { dump: here[0], load: here[1], host: host || 'localhost', port, socket: socketOf(address) };
  const inside = isOnThisMachine(host) ? await inContainer(pairs, port) : null;
  if (inside !== null) return inside;
  const [dump, load] = PAIRS[kind.product];
  throw new Failure(
    `To copy a database of ${serverName(address)} (${kind.product}), the programs \`${dump}\` and \`${load}\` are needed, and are neither on the PATH nor in a container that publishes port ${port}. Install ${kind.product}'s client programs (e.g. the package \`${kind.product === 'MariaDB' ? 'mariadb-client' : 'mysql-client'}\`).`,
  );
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
    try {
      fs.accessSync(path.join(folder, program), fs.constants.X_OK);
      return path.isAbsolute(folder);
    } catch {
      return false; // whatever the reason, it cannot be run from there
    }
  });
}

async function inContainer(pairs: readonly (readonly [string, string])[], port: number): Promise<Clients | null> {
  if (!isOnPath('docker')) return null;
  for (const id of (await docker(['ps', '--quiet', '--filter', `publish=${port}`])).split('\n').filter(Boolean)) {
    // `3306/tcp -> 0.0.0.0:33060`
    const ports = (await docker(['port', id])).split('\n');
    const inner = ports.find((line) => line.endsWith(`:${port}`))?.split('/')[0];
    const has = async (program: string) => (await docker(['exec', id, 'sh', '-c', 'command -v "$0"', program])) !== '';
    for (const [dump, load] of pairs) {
      if (inner === undefined || !(await has(dump)) || !(await has(load))) continue;
      const start = (program: string) => `docker exec -i -e MYSQL_PWD ${id} ${program}`;
      return { dump: start(dump), load: start(load), host: '127.0.0.1', port: Number(inner), socket: null };
    }
  }
  return null;
}

/** What docker prints; nothing when it fails, e.g. because its daemon does not run. */
async function docker(args: string[]): Promise<string> {
  const { execa } = await import('execa');
  const { stdout, failed } = await execa('docker', args, { reject: false, stdin: 'ignore', stderr: 'ignore', timeout: 10_000 });
  return failed ? '' : stdout.trim();
}
