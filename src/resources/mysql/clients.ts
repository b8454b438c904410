import fs from 'node:fs';
import path from 'node:path';
import { Failure } from '../../outcome.ts';
import { type Address, isOnThisMachine } from '../address.ts';
import { containerHas, containersPublishing } from '../container.ts';
import { type ServerKind, serverOf, socketOf } from './server.ts';

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
 * Finds the programs: those of the server's maker, here or in the container that publishes its port, else the other maker's, which
 * cannot copy everything.
 * @throws {Failure} when there are none
 */
export async function findClients(kind: ServerKind, address: Address): Promise<Clients> {
  const pairs = kind.product === 'MariaDB' ? [PAIRS.MariaDB, PAIRS.MySQL] : [PAIRS.MySQL, PAIRS.MariaDB];
  const { host, port } = address;
  for (const programs of pairs) {
    const [dump, load] = programs;
    if (programs.every(isOnPath)) return { dump, load, host: host || 'localhost', port, socket: socketOf(address) };
    const inside = isOnThisMachine(host) ? await inContainer(programs, port) : null;
    if (inside !== null) return inside;
  }
  const [dump, load] = PAIRS[kind.product];
  throw new Failure(
    `To copy a database of ${serverOf(address)} (${kind.product}), the programs \`${dump}\` and \`${load}\` are needed, and are neither on the PATH nor in a container that publishes port ${port}. Install ${kind.product}'s client programs (e.g. the package \`${kind.product === 'MariaDB' ? 'mariadb-client' : 'mysql-client'}\`).`,
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

async function inContainer([dump, load]: readonly [string, string], published: number): Promise<Clients | null> {
  for (const publisher of await containersPublishing(published)) {
    if (!(await containerHas(publisher, dump)) || !(await containerHas(publisher, load))) continue;
    const start = (program: string) => `docker exec -i -e MYSQL_PWD ${publisher.id} ${program}`;
    return { dump: start(dump), load: start(load), host: '127.0.0.1', port: publisher.port, socket: null };
  }
  return null;
}
