import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { records } from '../fixtures/ledger.ts';
import { makeYard, type Yard } from '../fixtures/trust.ts';
import { read, writeFiles } from '../fixtures/world.ts';

/** A clone with an origin, in which coppice was installed; and a stranger's copy of it, with a commit of the stranger's. */
interface Clone extends Yard {
  clone: string;
  origin: string;
  stranger: string;
  git(...args: string[]): Promise<string>;
  addIn(name: string, ...more: string[]): Promise<{ path: string; said: string; code: number | null }>;
}

async function makeClone(): Promise<Clone> {
  const yard = await makeYard();
  const { world, main } = yard;
  const [origin, stranger, clone] = ['origin.git', 'stranger', 'clone'].map((name) => path.join(world.root, name)) as [
    string,
    string,
    string,
  ];
  await world.git(world.root, 'clone', '-q', '--bare', main, origin);
  await world.git(world.root, 'clone', '-q', origin, clone);
  await world.git(world.root, 'clone', '-q', origin, stranger);
  writeFiles(stranger, { 'package.json': '{ "scripts": { "postinstall": "touch ../canary" } }\n' });
  await world.git(stranger, 'checkout', '-q', '-b', 'gift');
  await world.git(stranger, 'add', '-A');
  await world.git(stranger, 'commit', '-qm', 'gift');
  expect((await world.coppice(clone, 'install')).code).toBe(0);
  const git = (...args: string[]) => world.git(clone, ...args);
  return {
    ...yard,
    clone,
    origin,
    stranger,
    git,
    async addIn(name, ...more) {
      const folder = path.join(world.root, name);
      const result = await world.run(clone, 'git', ['worktree', 'add', ...more.map((word) => (word === '@' ? folder : word))]);
      return { path: folder, said: result.stderr, code: result.code };
    },
  };
}

const ready = (folder: string) => fs.existsSync(path.join(folder, 'ran.log'));

describe("somebody else's work waits, whatever its config", () => {
  const kinds: Record<string, { why: string; make(clone: Clone): Promise<{ path: string; said: string; code: number | null }> }> = {
    'on a remote that was added later': {
      why: 'its commit is only on the remote gifts, which was added after',
      async make({ git, stranger, addIn }) {
        await git('remote', 'add', 'gifts', stranger);
        await git('fetch', '-q', 'gifts');
        return addIn('w', '@', 'gifts/gift');
      },
    },
    'on a remote that was added later, as a branch that follows it': {
      why: 'its commit is only on the remote gifts, which was added after',
      async make({ git, stranger, addIn }) {
        await git('remote', 'add', '-f', 'gifts', stranger);
        return addIn('w', '--track', '-b', 'gift', '@', 'gifts/gift');
      },
    },
    'on a remote whose URL is another by now': {
      why: 'its commit is only on the remote origin, which has another URL',
      async make({ git, stranger, addIn }) {
        await git('remote', 'set-url', 'origin', stranger);
        await git('fetch', '-q');
        return addIn('w', '@', 'origin/gift');
      },
    },
    'fetched into a branch': {
      why: 'its branch was made by `git fetch',
      async make({ git, stranger, addIn }) {
        await git('fetch', '-q', stranger, 'gift:gift');
        return addIn('w', '@', 'gift');
      },
    },
    'a pull request of the known remote': {
      why: 'its branch was made by `git fetch origin refs/pull/1/head:pr`',
      async make({ git, stranger, origin, world, addIn }) {
        await world.git(stranger, 'push', '-q', origin, 'gift:refs/pull/1/head');
        await git('fetch', 'origin', 'refs/pull/1/head:pr');
        return addIn('w', '@', 'pr');
      },
    },
    'checked out as gh and glab do': {
      why: 'its branch follows refs/pull/1/head, a pull or merge request',
      async make({ git, stranger, origin, world, addIn }) {
        await world.git(stranger, 'push', '-q', origin, 'gift:refs/pull/1/head');
        await git('fetch', '-q', 'origin', 'refs/pull/1/head');
        const commit = (await git('rev-parse', 'FETCH_HEAD')).trim();
        await git('branch', 'pr', commit);
        await git('config', 'branch.pr.remote', 'origin');
        await git('config', 'branch.pr.merge', 'refs/pull/1/head');
        return addIn('w', '@', 'pr');
      },
    },
    'a branch that follows a bare URL': {
      why: 'which is no remote of this repository',
      async make({ git, stranger, addIn }) {
        await git('branch', 'pr');
        await git('config', 'branch.pr.remote', stranger);
        await git('config', 'branch.pr.merge', 'refs/heads/gift');
        return addIn('w', '@', 'pr');
      },
    },
    'a pull request, where all are fetched beside the branches': {
      why: 'its commit is only on origin/pr/1, which is no branch of a known remote',
      async make({ git, stranger, origin, world, addIn }) {
        await world.git(stranger, 'push', '-q', origin, 'gift:refs/pull/1/head');
        await git('config', '--add', 'remote.origin.fetch', '+refs/pull/*/head:refs/remotes/origin/pr/*');
        await git('fetch', '-q');
        return addIn('w', '--no-track', '-b', 'pr', '@', 'origin/pr/1');
      },
    },
    'a pull request, where nothing else is fetched': {
      why: 'its commit is only on origin/pr/1, which is no branch of a known remote',
      async make({ git, stranger, origin, world, addIn }) {
        await world.git(stranger, 'push', '-q', origin, 'gift:refs/pull/1/head');
        await git('config', '--replace-all', 'remote.origin.fetch', '+refs/pull/*/head:refs/remotes/origin/pr/*');
        await git('fetch', '-q');
        await git('branch', '-r', '-d', 'origin/main');
        return addIn('w', '--no-track', '-b', 'pr', '@', 'origin/pr/1');
      },
    },
    'a tag of a URL, by FETCH_HEAD': {
      why: 'its commit was fetched from ',
      async make({ git, stranger, world, addIn }) {
        await world.git(stranger, 'tag', '-a', '-m', 'v1', 'v1');
        await git('fetch', '-q', stranger, 'tag', 'v1');
        return addIn('w', '--detach', '@', 'FETCH_HEAD');
      },
    },
    'what lies behind FETCH_HEAD': {
      why: 'its commit was fetched from ',
      async make({ git, stranger, world, addIn }) {
        await world.git(stranger, 'commit', '-q', '--allow-empty', '-m', 'more');
        await git('fetch', '-q', stranger, 'gift');
        return addIn('w', '--detach', '@', 'FETCH_HEAD^');
      },
    },
    'added from FETCH_HEAD': {
      why: 'its commit was fetched from ',
      async make({ git, stranger, addIn }) {
        await git('fetch', '-q', stranger, 'gift');
        return addIn('w', '--detach', '@', 'FETCH_HEAD');
      },
    },
    'a branch made from FETCH_HEAD': {
      why: 'its branch was made from FETCH_HEAD',
      async make({ git, stranger, addIn }) {
        await git('fetch', '-q', stranger, 'gift');
        return addIn('w', '-b', 'gift', '@', 'FETCH_HEAD');
      },
    },
    'a pull request from FETCH_HEAD, also when its branch was made by a fetch before': {
      why: 'its commit was fetched from ',
      async make({ git, stranger, origin, world, addIn }) {
        await world.git(stranger, 'push', '-q', origin, 'gift:refs/pull/1/head');
        await git('fetch', '-q', 'origin', 'refs/pull/1/head:pr');
        await git('fetch', '-q', 'origin', 'refs/pull/1/head');
        return addIn('w', '--detach', '@', 'FETCH_HEAD');
      },
    },
  };

  test.each(Object.entries(kinds))('%s', async (_, { why, make }) => {
    const clone = await makeClone();
    const added = await make(clone);
    expect([added.code, added.said]).toEqual([0, expect.stringContaining(why)]);
    expect(ready(added.path)).toBe(false);
    expect(records(clone.world)).toEqual([]);
    // What git has forgotten by then still counts.
    fs.rmSync(path.join(clone.clone, '.git/FETCH_HEAD'), { force: true });
    const up = await clone.world.coppice(added.path, 'up');
    expect([up.code, up.stderr]).toEqual([3, expect.stringContaining(why)]);
    // A person looks, and says yes; it is the same as any other then.
    const [digest = ''] = /sha256:[0-9a-f]{64}/.exec(up.stderr) ?? [];
    expect((await clone.world.coppice(added.path, 'trust', '--digest', digest)).code).toBe(0);
    expect((await clone.world.coppice(added.path, 'up')).code).toBe(0);
    expect(ready(added.path)).toBe(true);
  });

  test('coppice.outside = allow turns it off, and a remote can be said to be the team’s own', async () => {
    const clone = await makeClone();
    const { git, stranger, addIn, world } = clone;
    await git('remote', 'add', '-f', 'gifts', stranger);
    await addIn('held', '-b', 'held', '@', 'gifts/gift');
    expect(ready(path.join(world.root, 'held'))).toBe(false);
    expect((await world.coppice(clone.clone, 'trust', '--remote', 'gifts')).code).toBe(0);
    await addIn('known', '-b', 'known', '@', 'gifts/gift');
    expect(ready(path.join(world.root, 'known'))).toBe(true);
    await git('config', 'coppice.outside', 'allow');
    await git('fetch', '-q', stranger, 'gift:fetched');
    await addIn('allowed', '@', 'fetched');
    expect(ready(path.join(world.root, 'allowed'))).toBe(true);
  });
});

describe("a person's own work never waits", () => {
  const commit = async ({ world }: Clone, folder: string, name: string) => {
    writeFiles(folder, { [`${name}.txt`]: `${name}\n` });
    await world.git(folder, 'add', '-A');
    await world.git(folder, 'commit', '-qm', name);
  };
  const own: Record<string, (clone: Clone) => Promise<{ path: string; said: string }>> = {
    'a new branch': ({ addIn }) => addIn('w', '@', '-b', 'w'),
    'a commit': async (clone) => {
      await commit(clone, clone.clone, 'a');
      return clone.addIn('w', '@', '-b', 'w');
    },
    'an amended commit': async (clone) => {
      await commit(clone, clone.clone, 'a');
      await clone.git('commit', '-q', '--amend', '-m', 'b');
      return clone.addIn('w', '@', '-b', 'w');
    },
    'a rebased branch': async (clone) => {
      await clone.git('checkout', '-q', '-b', 'topic');
      await commit(clone, clone.clone, 'a');
      await clone.git('checkout', '-q', 'main');
      await commit(clone, clone.clone, 'b');
      await clone.git('rebase', '-q', 'main', 'topic');
      await clone.git('checkout', '-q', 'main');
      return clone.addIn('w', '@', 'topic');
    },
    'a cherry-pick': async (clone) => {
      await clone.git('checkout', '-q', '-b', 'topic');
      await commit(clone, clone.clone, 'a');
      await clone.git('checkout', '-q', '-b', 'other', 'main');
      await clone.git('cherry-pick', 'topic');
      await clone.git('checkout', '-q', 'main');
      return clone.addIn('w', '@', 'other');
    },
    'a merge, of a stranger’s branch too': async (clone) => {
      await commit(clone, clone.clone, 'a');
      await clone.git('remote', 'add', '-f', 'gifts', clone.stranger);
      await clone.git('merge', '-q', '--no-edit', 'gifts/gift');
      return clone.addIn('w', '@', '-b', 'w');
    },
    'a stash': async (clone) => {
      writeFiles(clone.clone, { 'README.md': 'two\n' });
      await clone.git('stash', '-q');
      return clone.addIn('w', '@', 'stash@{0}', '--detach');
    },
    'a detached commit, after a fetch of everything': async (clone) => {
      await clone.git('fetch', '-q');
      return clone.addIn('w', '--detach', '@', 'HEAD');
    },
    'made in a worktree that was removed': async (clone) => {
      const first = await clone.addIn('first', '@', '-b', 'topic');
      await commit(clone, first.path, 'a');
      await clone.git('worktree', 'remove', '--force', first.path);
      return clone.addIn('w', '@', 'topic');
    },
    'a branch that was deleted and made again': async (clone) => {
      await clone.git('checkout', '-q', '-b', 'topic');
      await commit(clone, clone.clone, 'a');
      const made = (await clone.git('rev-parse', 'HEAD')).trim();
      await clone.git('checkout', '-q', 'main');
      await clone.git('branch', '-q', '-D', 'topic');
      return clone.addIn('w', '-b', 'topic', '@', made);
    },
    'pushed to a remote that was added later': async (clone) => {
      const fork = path.join(clone.world.root, 'fork.git');
      await clone.world.git(clone.world.root, 'init', '-q', '--bare', fork);
      await clone.git('remote', 'add', 'fork', fork);
      await clone.git('checkout', '-q', '-b', 'topic');
      await commit(clone, clone.clone, 'a');
      await clone.git('push', '-q', '-u', 'fork', 'topic');
      await clone.git('checkout', '-q', 'main');
      return clone.addIn('w', '@', 'topic');
    },
    'a colleague’s branch of the known remote, fetched alone': async (clone) => {
      await clone.world.git(clone.stranger, 'push', '-q', 'origin', 'gift:colleague');
      await clone.git('fetch', '-q', 'origin', 'colleague');
      return clone.addIn('w', '@', 'origin/colleague');
    },
    'a shallow clone': async (clone) => {
      const shallow = path.join(clone.world.root, 'shallow');
      await clone.world.git(clone.world.root, 'clone', '-q', '--depth', '1', `file://${clone.origin}`, shallow);
      await clone.world.coppice(shallow, 'install');
      const result = await clone.world.run(shallow, 'git', ['worktree', 'add', '../w', '-b', 'w']);
      return { path: path.join(clone.world.root, 'w'), said: result.stderr };
    },
    'a bare layout': async (clone) => {
      const bare = path.join(clone.world.root, 'bare/.bare');
      await clone.world.git(clone.world.root, 'clone', '-q', '--bare', clone.origin, bare);
      await clone.world.git(bare, 'config', 'remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*');
      await clone.world.coppice(bare, 'install');
      await clone.world.git(bare, 'fetch', '-q');
      await clone.world.git(bare, 'worktree', 'add', '-q', '../main', 'main');
      const result = await clone.world.run(bare, 'git', ['worktree', 'add', '../w', '-b', 'w']);
      return { path: path.join(clone.world.root, 'bare/w'), said: result.stderr };
    },
    'in a repository that gets its origin later': async (clone) => {
      const { main, world } = clone;
      await world.git(main, 'remote', 'add', 'origin', clone.origin);
      await world.git(clone.stranger, 'push', '-q', 'origin', 'gift:colleague');
      await world.git(main, 'fetch', '-q', 'origin');
      const result = await world.run(main, 'git', ['worktree', 'add', '../w', 'origin/colleague']);
      return { path: path.join(world.root, 'w'), said: result.stderr };
    },
  };

  test.each(Object.entries(own))('%s', async (_, make) => {
    const clone = await makeClone();
    const added = await make(clone);
    expect(added.said).not.toContain('not trusted');
    expect(ready(added.path)).toBe(true);
    expect(read(added.path, 'note.md')).toMatch(/^port 260/);
  });
});
