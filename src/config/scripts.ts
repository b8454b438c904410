import path from 'node:path';
import { standing } from '../files/inside.ts';
import { matcher } from '../trust/tree.ts';
import type { Config } from './schema.ts';

/** What runs the file that is named behind it. */
const INTERPRETERS = /^(sh|bash|dash|zsh|node|tsx|ts-node|bun|deno|python[\d.]*|ruby|perl|php|source|\.)$/;
const PASSED_OVER = /^(-.*|run|exec|env|nice|time|[A-Za-z_]\w*=.*)$/;

/**
 * The scripts of the branch that steps run and that are not under their `inputs`: such a script can change without anybody
 * being asked. @returns a sentence each
 */
export async function scriptsNobodyLooksAt({ steps }: Pick<Config, 'steps'>, root: string): Promise<string[]> {
  const sentences: string[] = [];
  for (const [name, { run, cwd = '.', inputs = [] }] of Object.entries(steps)) {
    const { among } = await matcher(inputs);
    const scripts = scriptsIn(run).map((script) => path.posix.normalize(path.posix.join(cwd, script)));
    const there = [...new Set(scripts)].filter((script) => standing(root, script) === 'file');
    const lookedAt = new Set(among(there));
    for (const script of there.filter((name) => !lookedAt.has(name)))
      sentences.push(
        `the step ${name} runs ${script}, which can change without anybody being asked: \`inputs: [${script}]\` makes it a part of what is approved`,
      );
  }
  return sentences;
}

/** The words of a command that are programs by their path, or are given to an interpreter. */
function scriptsIn(run: string): string[] {
  return run.split(/[;&|\n(){}]+/).flatMap((command) => {
    const words = command
      .trim()
      .split(/\s+/)
      .map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
    const [program = '', ...more] = words.filter((word, index) => !PASSED_OVER.test(word) || (index === 0 && word === '.'));
    const script = INTERPRETERS.test(program) ? more[0] : program.includes('/') ? program : undefined;
    return script === undefined || script.startsWith('/') || /[$*?`]/.test(script) ? [] : [script];
  });
}
