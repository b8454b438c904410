import path from 'node:path';
import { expect, test } from 'vitest';
import { atOnce } from '../fixtures/at-once.ts';
import { heldClaims, records } from '../fixtures/ledger.ts';
import { makeWorld, type Result, read, type World } from '../fixtures/world.ts';

const CONFIG = 'resources: { PORT: 3000, VITE_PORT: 5173 }\n';

function add(world: World, repository: string, name: string): Promise<Result> {
  return atOnce(() => world.run(repository, 'git', ['worktree', 'add', `../${name}`, '-B', name]));
}

// Ten times over: what a race breaks, it breaks seldom.
test.for(Array.from({ length: 10 }, (_, index) => index + 1))(
  '50 worktrees added at once in 3 repositories never share a port (%i)',
  async () => {
    const world = makeWorld();
    const repositories = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        world.repository(name, { 'worktree.config.yaml': CONFIG, '.gitignore': '.env\n' }, { '.env': 'PORT=3000\n' }),
      ),
    );
    const adds = Array.from({ length: 50 }, (_, index) => ({ repository: repositories[index % 3] ?? '', name: `w${index}` }));
    const results = await Promise.all(adds.map(({ repository, name }) => add(world, repository, name)));

    for (const { code, stderr } of results) expect(code, stderr).toBe(0);
    const all = records(world);
    expect(all.filter(({ state }) => state === 'ready').length).toBe(50);
    const ports = all.flatMap((record) => Object.values(record.ports));
    expect(new Set(ports).size).toBe(100);
    for (const { id, ports: own, path: worktree, slot, repository } of all) {
      for (const port of Object.values(own)) expect(heldClaims(world).get(`port-${port}`)).toBe(id);
      expect(read(worktree, '.env')).toContain(`PORT=${own.PORT}\n`);
      expect(all.filter((other) => other.repository === repository && other.slot === slot).length).toBe(1);
    }
    const branches = all.map(({ branch }) => branch);
    expect(new Set(branches)).toEqual(new Set(adds.map(({ name }) => path.basename(name))));
  },
);
