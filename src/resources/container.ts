/** A container that publishes a port of this machine. */
export interface Publisher {
  id: string;
  /** The port inside of it. */
  port: number;
}

/** The containers that publish a port of this machine; none where there is no Docker. */
export async function containersPublishing(port: number): Promise<Publisher[]> {
  const publishers: Publisher[] = [];
  for (const id of (await docker(['ps', '--quiet', '--filter', `publish=${port}`])).split('\n').filter(Boolean)) {
    // `3306/tcp -> 0.0.0.0:33060`
    const ports = (await docker(['port', id])).split('\n');
    const inner = ports.find((line) => line.endsWith(`:${port}`))?.split('/')[0];
    if (inner !== undefined) publishers.push({ id, port: Number(inner) });
  }
  return publishers;
}

/** Whether a container has a program. */
export async function containerHas({ id }: Publisher, program: string): Promise<boolean> {
  return (await docker(['exec', id, 'sh', '-c', 'command -v "$0"', program])) !== '';
}

/** What docker prints; nothing when it fails, e.g. because its daemon does not run or it is not installed. */
async function docker(args: string[]): Promise<string> {
  const { execa } = await import('execa');
  const { stdout, failed } = await execa('docker', args, { reject: false, stdin: 'ignore', stderr: 'ignore', timeout: 10_000 });
  return failed ? '' : stdout.trim();
}
