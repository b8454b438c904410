import fs from 'node:fs';
import type { Repository } from '../git/worktrees.ts';
import { knownRepositories, readRepositoryId } from '../ledger/repositories.ts';
import { openStateDir } from '../ledger/state-dir.ts';
import { describe } from '../take-down.ts';
import { findVanished } from '../vanished.ts';
import { type Finding, note } from './finding.ts';

/** What worktrees that are gone still hold, and repositories that are not where they were. */
export function examineLeftOver({ commonDir }: Repository): Finding[] {
  const state = openStateDir();
  const id = readRepositoryId(commonDir);
  const vanished = id === null ? [] : findVanished({ state, commonDir, repository: id });
  const orphans = vanished.map(({ record }) => {
    const held = [...record.left, ...Object.values(record.resources)].filter((resource) => resource.state !== 'destroyed').map(describe);
    return note(record.slug, `the worktree is gone and still holds ${held.join(', ') || 'its slot'}`, 'git coppice gc');
  });
  const lost = knownRepositories(state)
    .filter((known) => !fs.existsSync(known.commonDir))
    .map((known) =>
      note(
        'repository',
        `${known.commonDir} is not there; its ports stay reserved`,
        `npx coppice gc --forget ${known.commonDir}, if it is gone for good`,
      ),
    );
  return [...orphans, ...lost];
}
