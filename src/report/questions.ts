import { createInterface } from 'node:readline';

/** Whether somebody is there to answer. */
export function isTerminal(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Asks one question after another; whoever closes the input has said no to the rest. */
export function openQuestions(): { agrees(question: string): Promise<boolean>; close(): void } {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answers = lines[Symbol.asyncIterator]();
  return {
    async agrees(question) {
      process.stderr.write(`${question} (y/n) `);
      const answer = await answers.next();
      if (answer.done) process.stderr.write('\n');
      return answer.done !== true && /^y(es)?$/i.test(answer.value.trim());
    },
    close: () => lines.close(),
  };
}
