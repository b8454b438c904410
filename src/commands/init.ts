import fs from 'node:fs';
import path from 'node:path';
import { agentFiles } from '../agents/table.ts';
import { CONFIG_NAMES, configsIn } from '../config/find.ts';
import { findPlace, type Place } from '../git/worktrees.ts';
import { gatherLook } from '../init/gather.ts';
import { packageJson } from '../init/look.ts';
import { propose } from '../init/propose.ts';
import { judged, planned } from '../init/prove.ts';
import { configText } from '../init/text.ts';
import { errorCode, Failure } from '../outcome.ts';
import { isTerminal, openQuestions } from '../report/questions.ts';
import { openReporter, type Reporter } from '../report/reporter.ts';
import { redact } from '../report/secrets.ts';
import { approve } from '../trust/judge.ts';
import { readSettings } from '../trust/settings.ts';
import { install } from './install.ts';

export interface InitOptions {
  yes?: boolean;
  print?: boolean;
}

const [NAME = ''] = CONFIG_NAMES;

/** `coppice init`: looks at the repository, shows a config with the reason for each line, asks, writes it, installs the hook. */
export async function init(options: InitOptions): Promise<number> {
  const report = await openReporter();
  const place = await findPlace(process.cwd());
  const root = place.worktree?.path ?? place.repository.main;
  if (root === null) throw new Failure('There is no worktree here to look at. Go to one, then `coppice init`.', 2);
  const [there] = configsIn(root);
  if (there !== undefined) throw new Failure(`There is a ${there} already. \`npx coppice check\` judges it; init changes nothing.`, 2);
  const look = await gatherLook(root, place.repository.main ?? root);
  const text = redact(configText(propose(look)));
  const closure = await judged(text, NAME, root);
  if (options.print) {
    process.stdout.write(text);
    return 0;
  }
  report.text(text);
  await sayPlan(closure, place, root, report);
  if (!options.yes && !isTerminal()) {
    report.text(`Nothing was written. \`npx coppice init --yes\` writes it as ${NAME} and installs the hook.`);
    return 0;
  }
  const questions = options.yes ? null : openQuestions();
  try {
    if (questions !== null && !(await questions.agrees(`Write it as ${NAME} and install the hook?`))) {
      report.text('Nothing was written.');
      return 0;
    }
    writeNew(path.join(root, NAME), text);
    report.done('config', NAME);
    // Who agreed to it has approved it.
    approve(closure, place, await readSettings(place), 'init');
    report.done('approved', closure.digest);
    await install((await wantsAgents(place, questions, report)) ? { agents: true } : {});
  } finally {
    questions?.close();
  }
  const scripts = packageJson(look)?.scripts;
  if (scripts !== undefined && !/\bcoppice install\b/.test(Object.values(scripts).join('\n')))
    report.text(
      'So that every clone has the hook after its install, have in package.json: "prepare": "coppice install || true" (with husky: "husky; coppice install || true")',
    );
  if (process.cwd() !== root) report.text(`It is at the root: cd ${root}`);
  report.text(
    `Read it, commit it (with package.json and its lockfile, where coppice is in them), then add a worktree:\n  git add ${NAME} && git commit -m "Worktrees get an environment of their own"\n  git worktree add ../feature -b feature`,
  );
  return 0;
}

/** What a worktree would get, by the same plan as `up --dry-run`. What is not known yet is said; it keeps nobody from writing the file. */
async function sayPlan(closure: Awaited<ReturnType<typeof judged>>, place: Place, root: string, report: Reporter): Promise<void> {
  try {
    const { slot, lines } = await planned(closure, place, root);
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

/** Programs that add worktrees without git's hooks have set-up files of their own. Who said `--yes` was not asked about those. */
async function wantsAgents({ repository }: Place, questions: ReturnType<typeof openQuestions> | null, report: Reporter): Promise<boolean> {
  if (repository.main === null) return false;
  const missing = agentFiles(repository.main).filter(({ state }) => state === 'missing');
  if (missing.length === 0) return false;
  const names = missing.map(({ program }) => program).join(', ');
  if (questions !== null)
    return questions.agrees(`Write the set-up files of ${names} too, for worktrees that are added without git's hooks?`);
  report.text(`${names}: \`npx coppice install --agents\` writes the set-up files, for worktrees that are added without git's hooks`);
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
