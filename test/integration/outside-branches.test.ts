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

/** The stranger's commit as a pull request of the origin's. */
const request = ({ world, stranger, origin }: Clone) => world.git(stranger, 'push', '-q', origin, 'gift:refs/pull/1/head');

/** A worktree of the stranger's branch, once the branch that led to it is no more. */
async function withoutTopic({ git, addIn }: Clone) {
  await git('checkout', '-q', 'main');
  await git('branch', '-q', '-D', 'topic');
  await git('fetch', '-q', 'origin');
  return addIn('w', '@', 'gifts/gift');
}

async function commit({ world }: Clone, folder: string, name: string): Promise<void> {
  writeFiles(folder, { [`${name}.txt`]: `${name}\n` });
  await world.git(folder, 'add', '-A');
  await world.git(folder, 'commit', '-qm', name);
}

/** Another clone of the origin, without a worktree. */
async function bareClone({ world, origin }: Clone, how = '--bare'): Promise<string> {
  const bare = path.join(world.root, 'bare/.bare');
  await world.git(world.root, 'clone', '-q', how, origin, bare);
  await world.coppice(bare, 'install');
  return bare;
}

/** Another clone of the origin, of the newest commit alone. */
async function shallowClone({ world, origin }: Clone): Promise<string> {
  const shallow = path.join(world.root, 'shallow');
  await world.git(world.root, 'clone', '-q', '--depth', '1', `file://${origin}`, shallow);
  await world.coppice(shallow, 'install');
  return shallow;
}

/** A remote of one's own, which was not there when something was approved first. */
async function pushToFork({ world, git }: Clone, branch: string): Promise<void> {
  const fork = path.join(world.root, 'fork.git');
  await world.git(world.root, 'init', '-q', '--bare', fork);
  await git('remote', 'add', 'fork', fork);
  await git('push', '-q', '-u', 'fork', branch);
}

/** A worktree `w` beside another repository. */
async function addTo({ world }: Clone, repository: string, ...words: string[]) {
  const result = await world.run(repository, 'git', ['worktree', 'add', ...words]);
  return { path: path.join(repository, '../w'), said: result.stderr, code: result.code };
}

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
    'a pull request, fetched by hand beside the branches': {
      why: 'its commit is only on origin/pr/1, which is no branch of a known remote',
      async make(clone) {
        await request(clone);
        await clone.git('fetch', '-q', 'origin', 'pull/1/head:refs/remotes/origin/pr/1');
        await clone.git('fetch', '-q', 'origin');
        return clone.addIn('w', '@', 'origin/pr/1');
      },
    },
    'a pull request that was fetched by hand again, with the branches': {
      why: 'its commit is only on origin/pr/1, which is no branch of a known remote',
      async make(clone) {
        const all = ['origin', '+refs/heads/*:refs/remotes/origin/*', '+refs/pull/*/head:refs/remotes/origin/pr/*'];
        await request(clone);
        await clone.git('fetch', '-q', ...all);
        await clone.world.git(clone.stranger, 'commit', '-q', '--allow-empty', '-m', 'more');
        await request(clone);
        await clone.git('fetch', '-q', ...all);
        await clone.git('fetch', '-q', 'origin');
        return clone.addIn('w', '@', 'origin/pr/1');
      },
    },
    'a stranger’s branch, fetched by hand beside the known remote’s': {
      why: 'its commit is only on origin/gift, which is no branch of a known remote',
      async make({ git, stranger, addIn }) {
        await git('fetch', '-q', stranger, 'gift:refs/remotes/origin/gift');
        await git('fetch', '-q', 'origin');
        return addIn('w', '--no-track', '-b', 'gift', '@', 'origin/gift');
      },
    },
    'a pull request, as a CI system fetches it': {
      why: 'its commit is only on pull/1/merge, which is no branch of a known remote',
      async make(clone) {
        await request(clone);
        await clone.git('fetch', '-q', 'origin', '+refs/pull/1/head:refs/remotes/pull/1/merge');
        await clone.git('fetch', '-q', 'origin', 'main');
        return clone.addIn('w', '@', 'refs/remotes/pull/1/merge');
      },
    },
    'a pull request, as a CI system fetches it by its commit, with all refs packed': {
      why: 'its commit is only on pull/1/merge, which is no branch of a known remote',
      async make(clone) {
        await request(clone);
        const commit = (await clone.world.git(clone.stranger, 'rev-parse', 'gift')).trim();
        await clone.git('fetch', '-q', 'origin', `+${commit}:refs/remotes/pull/1/merge`);
        await clone.git('fetch', '-q', 'origin', 'main');
        await clone.git('pack-refs', '--all');
        return clone.addIn('w', '@', 'refs/remotes/pull/1/merge');
      },
    },
    'a pull request, where all are fetched elsewhere': {
      why: 'its commit is only on refs/requests/1, which is no branch of a known remote',
      async make(clone) {
        await request(clone);
        await clone.git('config', '--add', 'remote.origin.fetch', '+refs/pull/*/head:refs/requests/*');
        await clone.git('fetch', '-q');
        await clone.git('fetch', '-q', 'origin', 'main');
        return clone.addIn('w', '--detach', '@', 'refs/requests/1');
      },
    },
    'a pull request, fetched under its own name': {
      why: 'its commit is only on refs/pull/1/head, which is no branch of a known remote',
      async make(clone) {
        await request(clone);
        await clone.git('fetch', '-q', 'origin', 'refs/pull/*:refs/pull/*');
        await clone.git('fetch', '-q', 'origin');
        return clone.addIn('w', '--detach', '@', 'refs/pull/1/head');
      },
    },
    'a pull request in a bare clone, whose branches are its own': {
      why: 'its commit is only on refs/requests/1, which is no branch of a known remote',
      async make(clone) {
        await request(clone);
        const bare = await bareClone(clone);
        await clone.world.git(bare, 'config', 'remote.origin.fetch', '+refs/pull/*/head:refs/requests/*');
        await clone.world.git(bare, 'fetch', '-q');
        await clone.world.git(bare, 'fetch', '-q', 'origin', 'main');
        return addTo(clone, bare, '--detach', '../w', 'refs/requests/1');
      },
    },
    'a branch that a failed pull has made': {
      why: 'its branch was made by `git pull --ff-only origin refs/pull/1/head:pr`',
      async make(clone) {
        await request(clone);
        await commit(clone, clone.clone, 'a');
        expect((await clone.world.run(clone.clone, 'git', ['pull', '--ff-only', 'origin', 'refs/pull/1/head:pr'])).code).not.toBe(0);
        await clone.git('fetch', '-q', 'origin');
        return clone.addIn('w', '@', 'pr');
      },
    },
    'on a remote that was added later, which a branch was rebased onto': {
      why: 'its commit is only on the remote gifts, which was added after',
      async make(clone) {
        await clone.git('remote', 'add', '-f', 'gifts', clone.stranger);
        await clone.git('checkout', '-q', '-b', 'topic');
        await clone.git('rebase', '-q', 'gifts/gift');
        return withoutTopic(clone);
      },
    },
    'on a remote that was added later, whose commits a rebase came to one by one': {
      why: 'its commit is only on the remote gifts, which was added after',
      async make(clone) {
        await clone.world.git(clone.stranger, 'commit', '-q', '--allow-empty', '-m', 'more');
        await clone.git('remote', 'add', '-f', 'gifts', clone.stranger);
        await clone.git('checkout', '-q', '-b', 'topic', '--no-track', 'gifts/gift');
        await clone.git('rebase', '-q', '-x', 'true', 'main');
        return withoutTopic(clone);
      },
    },
    'on a remote that was added later, which a cherry-pick came to': {
      why: 'its commit is only on the remote gifts, which was added after',
      async make(clone) {
        await clone.git('remote', 'add', '-f', 'gifts', clone.stranger);
        await clone.git('checkout', '-q', '-b', 'topic');
        await clone.git('cherry-pick', '--ff', 'gifts/gift');
        return withoutTopic(clone);
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
      await clone.git('checkout', '-q', '-b', 'topic');
      await commit(clone, clone.clone, 'a');
      await pushToFork(clone, 'topic');
      await clone.git('checkout', '-q', 'main');
      return clone.addIn('w', '@', 'topic');
    },
    'a colleague’s branch of the known remote, fetched alone': async (clone) => {
      await clone.world.git(clone.stranger, 'push', '-q', 'origin', 'gift:colleague');
      await clone.git('fetch', '-q', 'origin', 'colleague');
      return clone.addIn('w', '@', 'origin/colleague');
    },
    'a shallow clone': async (clone) => addTo(clone, await shallowClone(clone), '../w', '-b', 'w'),
    'a bare layout': async (clone) => {
      const bare = await bareClone(clone);
      await clone.world.git(bare, 'config', 'remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*');
      await clone.world.git(bare, 'fetch', '-q');
      await clone.world.git(bare, 'worktree', 'add', '-q', '../main', 'main');
      return addTo(clone, bare, '../w', '-b', 'w');
    },
    'a colleague’s branch, by its own refspec in a shallow clone': async (clone) => {
      await clone.world.git(clone.stranger, 'push', '-q', 'origin', 'gift:colleague');
      const shallow = await shallowClone(clone);
      await clone.world.git(shallow, 'fetch', '-q', '--depth', '1', 'origin', 'colleague:refs/remotes/origin/colleague');
      return addTo(clone, shallow, '../w', 'origin/colleague');
    },
    'the known remote’s HEAD and a commit of it, fetched by hand': async (clone) => {
      await clone.world.git(clone.stranger, 'push', '-q', 'origin', 'gift:main');
      const made = (await clone.world.git(clone.stranger, 'rev-parse', 'gift')).trim();
      await clone.git('fetch', '-q', 'origin', 'HEAD:refs/remotes/origin/head', `${made}:refs/remotes/origin/commit`);
      await clone.git('branch', '-r', '-d', 'origin/main');
      return clone.addIn('w', '@', 'origin/head');
    },
    'what another program keeps as remote branches': async (clone) => {
      await commit(clone, clone.clone, 'a');
      const tree = (await clone.git('rev-parse', 'HEAD^{tree}')).trim();
      const made = (await clone.git('commit-tree', '-m', 'r1', tree)).trim();
      await clone.git('update-ref', '-m', 'r1', 'refs/remotes/git-svn', made);
      return clone.addIn('w', '--detach', '@', 'refs/remotes/git-svn');
    },
    'a branch with a pull request, in a bare clone': async (clone) => {
      await clone.world.git(clone.stranger, 'push', '-q', 'origin', 'gift:colleague');
      await request(clone);
      const bare = await bareClone(clone);
      await clone.world.git(bare, 'config', 'remote.origin.fetch', '+refs/pull/*/head:refs/requests/*');
      await clone.world.git(bare, 'fetch', '-q');
      await clone.world.git(bare, 'fetch', '-q', 'origin', 'main');
      return addTo(clone, bare, '../w', 'colleague');
    },
    'a branch of it, in a mirror with pull requests': async (clone) => {
      await clone.world.git(clone.stranger, 'push', '-q', 'origin', 'gift:colleague');
      await request(clone);
      return addTo(clone, await bareClone(clone, '--mirror'), '-b', 'w', '../w', 'colleague');
    },
    'a colleague’s branch, where all refs are fetched beside it': async (clone) => {
      await clone.world.git(clone.stranger, 'push', '-q', 'origin', 'gift:colleague');
      await request(clone);
      await clone.git('config', '--replace-all', 'remote.origin.fetch', '+refs/*:refs/remotes/origin/*');
      await clone.git('fetch', '-q', '--prune');
      return clone.addIn('w', '--detach', '@', 'origin/heads/colleague');
    },
    'rebased in a worktree that was removed, and pushed to a remote that was added later': async (clone) => {
      const first = await clone.addIn('first', '@', '-b', 'topic');
      await commit(clone, first.path, 'a');
      await commit(clone, clone.clone, 'b');
      await clone.world.git(first.path, 'rebase', '-q', 'main');
      await pushToFork(clone, 'topic');
      await clone.git('worktree', 'remove', '--force', first.path);
      return clone.addIn('w', '@', 'topic');
    },
    'a branch of one that was made in a worktree that was removed, and pushed': async (clone) => {
      const first = await clone.addIn('first', '@', '-b', 'topic');
      await commit(clone, first.path, 'a');
      await pushToFork(clone, 'topic');
      await clone.git('worktree', 'remove', '--force', first.path);
      return clone.addIn('w', '-b', 'w', '@', 'topic');
    },
    'a merge that a pull has made, and pushed': async (clone) => {
      await commit(clone, clone.clone, 'a');
      await clone.git('pull', '-q', '--no-rebase', '--no-edit', clone.stranger, 'gift');
      await pushToFork(clone, 'main');
      return clone.addIn('w', '-b', 'w', '@');
    },
    'rebased by a pull, and pushed': async (clone) => {
      await commit(clone, clone.clone, 'a');
      await clone.git('pull', '-q', '--rebase', clone.stranger, 'gift');
      await pushToFork(clone, 'main');
      return clone.addIn('w', '-b', 'w', '@');
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
