import process from 'node:process';
import { check } from './commands/check.ts';
import { down } from './commands/down.ts';
import { env } from './commands/env.ts';
import { gc } from './commands/gc.ts';
import { logs } from './commands/logs.ts';
import { remove } from './commands/remove.ts';
import { run } from './commands/run.ts';
import { status } from './commands/status.ts';
import { goOn, hook, up } from './commands/up.ts';
import { explain, Failure } from './outcome.ts';
import { printableLines } from './report/print.ts';
import { redact } from './report/secrets.ts';
import { VERSION } from './version.ts';

const EXAMPLES: Record<string, string> = {
  init: '$ npx coppice init               in the main worktree: shows a worktree.config.yaml, and asks\n  $ npx coppice init --yes         without a terminal: writes it and installs the hook',
  install:
    '$ npx coppice install            once in a clone; best as "prepare": "coppice install || true"\n  $ npx coppice install --agents cursor,claude',
  up: '$ git coppice up                 in a worktree: to be sure that it is ready\n  $ git coppice up feature         from anywhere in the repository\n  $ git coppice up --step seed     only this step, again',
  down: '$ git coppice down feature',
  remove: '$ git coppice remove feature',
  gc: '$ git coppice gc --dry-run',
  status: '$ git coppice status\n  $ git coppice status --json | jq ".worktrees[].url"',
  env: '$ eval "$(git coppice env)"\n  $ git coppice env --json',
  run: '$ git coppice run -- npm run dev',
  logs: '$ git coppice logs install',
  watch: '$ git coppice watch              until Ctrl-C\n  $ git coppice watch --all        every repository, e.g. as a service',
  doctor: '$ git coppice doctor\n  $ git coppice doctor --json | jq ".results[] | select(.level == \\"problem\\")"',
  trust: '$ git coppice trust              on a terminal: shows, compares, asks\n  $ git coppice trust --digest sha256:…    in a script',
  check: '$ npx coppice check              in CI: judges the file, never the machine',
};

/**
 * Relative entries of PATH mean programs of whatever folder a command runs in: husky puts `node_modules/.bin` first, which in
 * a new worktree is the branch's, `git` and all.
 */
function forgetRelativePath(): void {
  const absolute = (process.env.PATH ?? '').split(':').filter((entry) => entry.startsWith('/'));
  process.env.PATH = absolute.join(':');
}

/** The hook takes no detour through the command line's parser. */
async function main(argv: string[]): Promise<number> {
  forgetRelativePath();
  const [verb, first = '', second = ''] = argv;
  if (verb === 'hook') return hook();
  if (verb === 'go-on') return goOn(first, second);
  // `git coppice logs x | head`: who reads our output may stop reading. A hook prints nothing there, and does not open it.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  return parse(argv);
}

async function parse(argv: string[]): Promise<number> {
  const { Command, CommanderError, Option } = await import('commander');
  let code = 0;
  const end = async (result: Promise<number>) => {
    code = await result;
  };
  const program = new Command('coppice')
    .description(
      'One repository, many worktrees, each with its own ports, databases, env files and dependencies.\nWorktrees are added with plain `git worktree add`; worktree.config.yaml says what each gets.',
    )
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeErr: (text) => void process.stderr.write(redact(text)) })
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: false });
  const verb = (usage: string, description: string) => {
    const name = usage.split(' ', 1)[0] ?? '';
    return program
      .command(usage)
      .description(description)
      .addHelpText('after', `\nExample:\n  ${EXAMPLES[name] ?? ''}`);
  };

  verb('init', 'look at the repository, show a worktree.config.yaml with the reason for each line, write it, install the hook')
    .option('-y, --yes', 'write it without asking')
    .option('--print', 'only print it, on stdout')
    .action((options) => end(import('./commands/init.ts').then(({ init }) => init(options))));
  verb('install', 'install the git hook, the launcher and the alias `git coppice` in this clone')
    .option('--agents [programs]', 'also write the set-up files of programs that skip git hooks: those used here, or named')
    .option('--uninstall', 'undo it')
    .action(async (options) => end((await import('./commands/install.ts')).install(options)));
  verb('up [worktree]', 'set a worktree up; the same result however often; resumes after a failure; waits for a set-up that runs')
    .option('--dry-run', 'say what would be done, and change nothing')
    .option('--step <name>', 'of the steps, only this one, again')
    .option('--force', 'run steps again that succeeded before')
    .option('--quiet', 'say nothing unless something was done or failed; nothing at all in the main worktree')
    .action((worktree, options) => end(up(worktree, options)));
  verb('down [worktree]', 'run its teardown and give its resources back, SQLite files too; other files stay, and so does its slot')
    .option('--force', 'even when the worktree is locked')
    .action((worktree, options) => end(down(worktree, options)));
  verb('remove <worktree>', 'teardown, `git worktree remove`, and everything that it held; refuses what git refuses')
    .option('--force', 'even with changes that are not committed')
    .action((worktree, options) => end(remove(worktree, options)));
  verb('gc', 'give back, now, what belongs to worktrees that are gone')
    .option('--dry-run', 'say what would be given back, and change nothing')
    .option('--all', 'in every repository known on this machine')
    .option('--merged', 'also name worktrees whose branch is merged')
    .option('--forget <name>', 'give up what is gone for good: a repository by its path, one thing by what gc calls it')
    .addOption(new Option('--expired', 'only what `keep:` no longer keeps').hideHelp())
    .action((options) => end(gc(options)));
  verb('status', 'every worktree: state, slot, URL, databases, what listens, how long its set-up took')
    .option('--json', 'as JSON on stdout')
    .option('--watch', 'again every second')
    .action((options) => end(status(options)));
  verb('env [worktree]', "print a worktree's variables for a shell")
    .option('--json', 'as JSON')
    .option('--dotenv', 'as an env file')
    .action((worktree, options) => end(env(worktree, options)));
  verb('run <command> [args...]', "run a command with this worktree's variables; passes on its exit code, 125 when it could not start")
    .passThroughOptions()
    .action((command, args) => end(run(command, args)));
  verb('logs [step]', 'what a step printed')
    .option('-f, --follow', 'go on printing what is added')
    .option('--worktree <worktree>', 'of another worktree')
    .action((step, options) => end(logs(step, options)));
  verb('watch', 'set up worktrees that appear without the hook, and give back what those held that vanish, until Ctrl-C')
    .option('--all', 'of every repository known on this machine')
    .option('--once', 'only what is to be done now')
    .action((options) => end(import('./commands/watch.ts').then(({ watch }) => watch(options))));
  verb('doctor', 'what is wrong on this machine, each with what mends it')
    .option('--fix', 'mend what needs no question')
    .option('--json', 'as JSON on stdout')
    .action((options) => end(import('./commands/doctor.ts').then(({ doctor }) => doctor(options))));
  verb('trust [worktree]', 'what would run, and what changed since it was approved; approves it')
    .option('--digest <digest>', 'approve just this, without asking')
    .option('--remote <name>', "count a remote that was added later as this team's own")
    .action((worktree, options) => end(import('./commands/trust.ts').then(({ trust }) => trust(worktree, options))));
  verb('check [folder]', 'judge worktree.config.yaml, for CI and editors')
    .option('--json', 'as JSON on stdout')
    .action((folder, options) => end(check(folder, options)));

  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
  return code;
}

// A terminal that was closed takes no more words; what was begun is still brought to its end.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
});

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
    // Nothing is left to wait for: what a set-up has begun has ended, and git waits.
    if (process.argv[2] === 'hook') process.exit();
  },
  (error: unknown) => {
    process.stderr.write(`${printableLines(explain(error))}\n`);
    process.exitCode = error instanceof Failure ? error.exitCode : 1;
  },
);
