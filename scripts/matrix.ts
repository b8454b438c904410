import fs from 'node:fs';

/** What test/integration/matrix.test.ts found. */
export const RESULTS = 'node_modules/.cache/coppice/matrix.json';

/** One worktree that was added with plain git. */
export interface Cell {
  manager: string;
  /** Without config hooks (before git 2.54), or with them. */
  git: 'before' | 'since';
  /** Where `git worktree add` was called. */
  situation: string;
  /** Set up exactly once; or not, and `doctor` says so. */
  result: 'ready' | 'cannot';
}

const MARKS = { ready: '✓', cannot: '✗' };

/** docs/matrix.md from those results. */
export function matrixPage(): string {
  const { versions, cells } = JSON.parse(fs.readFileSync(RESULTS, 'utf8')) as { versions: Record<Cell['git'], string>; cells: Cell[] };
  const distinct = (values: string[]) => [...new Set(values)].sort();
  const situations = distinct(cells.map(({ situation }) => situation));
  const managers = distinct(cells.map(({ manager }) => manager));
  const mark = (manager: string, situation: string) =>
    (['before', 'since'] as const)
      .map((git) => cells.find((cell) => cell.manager === manager && cell.situation === situation && cell.git === git))
      .map((cell) => (cell ? MARKS[cell.result] : '?'))
      .join(' ');
  return [
    '# Where the hook fires',
    '',
    '<!-- Written by `npm run matrix` from what test/integration/matrix.test.ts found. -->',
    '',
    'Plain `git worktree add`, called from each place, in repositories whose hooks are kept in each way, with the real programs. In each',
    'field first git before 2.54, then git 2.54 and later, which also runs the hook that the config names.',
    `✓: the worktree was set up exactly once, and \`git status\` in it is clean. ✗: it was not, and \`git coppice doctor\` says so.`,
    '',
    `Measured with git ${versions.before} and ${versions.since}.`,
    '',
    `| hooks are kept by | ${situations.join(' | ')} |`,
    `| --- |${' --- |'.repeat(situations.length)}`,
    ...managers.map((manager) => `| ${manager} | ${situations.map((situation) => mark(manager, situation)).join(' | ')} |`),
    '',
    'What each way needs, and what skips the hook: [hook.md](hook.md).',
    '',
  ].join('\n');
}
