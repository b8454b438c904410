import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { CONFIG_NAMES, configsIn } from '../config/find.ts';
import { findPlace, type Place } from '../git/worktrees.ts';
import { gatherLook } from '../init/gather.ts';
import { packageJson } from '../init/look.ts';
import { propose } from '../init/propose.ts';
import { judged, planned } from '../init/prove.ts';
import { configText } from '../init/text.ts';
import { errorCode, Failure } from '../outcome.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { install } from './install.ts';

export interface InitOptions {
  yes?: boolean;
  print?: boolean;
}

const [NAME = ''] = CONFIG_NAMES;

/** Programs that may add worktrees without git's hooks, by what they leave in a repository. */
const PROGRAMS = [
  { name: 'Cursor', files: /^\.cursor\// },
  { name: 'Codex', files: /^\.codex\// },
  { name: 'Conductor', files: /^conductor\.json$/ },
  { name: 'Claude Code', files: /^(\.claude\/|CLAUDE\.md$)/ },
];

/** `coppice init`: looks at the repository, shows a config with the reason for each line, asks, writes it, installs the hook. */
export async function init(options: InitOptions): Promise<number> {
  const report = await openReporter();
  const place = await findPlace(process.cwd());
  const root = place.worktree?.path ?? place.repository.main;
  if (root === null) throw new Failure('There is no worktree here to look at. Go to one, then `coppice init`.', 2);
  const [there] = configsIn(root);
  if (there !== undefined) throw new Failure(`There is a ${there} already. \`npx coppice check\` judges it; init changes nothing.`, 2);
  const look = await gatherLook(root, place.repository.main ?? root);
  const text = configText(propose(look));
  const config = await judged(text, NAME, root);
  if (options.print) {
    process.stdout.write(text);
    return 0;
  }
  report.text(text);
  await sayPlan(config, place, root, report);
  if (!(options.yes ?? (await agrees(report)))) return 0;
  writeNew(path.join(root, NAME), text);
  report.done('config', NAME);
  await install({});
  const programs = PROGRAMS.filter(({ files }) => [...look.files, ...look.ignored].some((file) => files.test(file)));
  if (programs.length > 0)
    report.text(
      `${programs.map(({ name }) => name).join(', ')}: \`npx coppice install --agents\` writes the set-up files, for worktrees that are added without git's hooks`,
    );
  const scripts = packageJson(look)?.scripts;
  if (scripts !== undefined && !/\bcoppice install\b/.test(Object.values(scripts).join('\n')))
    report.text(
      'So that every clone has the hook after its install, have in package.json: "prepare": "coppice install || true" (with husky: "husky && (coppice install || true)")',
    );
  report.text(
    `Read it, commit it, then add a worktree:\n  git add ${NAME} && git commit -m "Worktrees get an environment of their own"\n  git worktree add ../feature -b feature`,
  );
  return 0;
}

/** What a worktree would get, by the same plan as `up --dry-run`. What is not known yet is said; it keeps nobody from writing the file. */
async function sayPlan(config: Awaited<ReturnType<typeof judged>>, place: Place, root: string, report: Reporter): Promise<void> {
  try {
    const { slot, lines } = await planned(config, place, root);
    if (lines.length === 0) return;
    report.title(`a worktree feature would get slot ${slot}`);
    for (const { name, detail, ok } of lines) {
      if (ok) report.same(name, detail);
      else report.warn(`${name}: ${detail}`);
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report.warn(`a worktree cannot be planned yet: ${error.message}`);
  }
}

/** Asks on a terminal. Elsewhere nobody can answer, so nothing is written. */
async function agrees(report: Reporter): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    report.text(`Nothing was written. \`coppice init --yes\` writes it as ${NAME} and installs the hook.`);
    return false;
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise<string>((resolve) => {
    lines.on('close', () => resolve(''));
    lines.question(`Write it as ${NAME} and install the hook? (y/n) `, resolve);
  });
  lines.close();
  if (/^y(es)?$/i.test(answer.trim())) return true;
  report.text('Nothing was written.');
  return false;
}

/** Never over a file that has come to stand there meanwhile. */
function writeNew(file: string, text: string): void {
  try {
    fs.writeFileSync(file, text, { flag: 'wx' });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new Failure(`${file} was made meanwhile, and is left as it is.`, 2);
  }
}
