import { readEnvText } from '../../files/env-text.ts';
import { Failure } from '../../outcome.ts';
import { learn, learnSecret } from '../../report/secrets.ts';
import type { Recipe } from './recipe.ts';

/** What a command's stdout says. Every bit of it may be secret: no message here may show any of it. */
export interface Output {
  /** Null when it gives only variables. */
  value: string | null;
  variables: Record<string, string>;
  parts: Record<string, string>;
}

/**
 * Reads what `create` printed.
 * @param name the resource's name, the variable that the app reads
 * @throws {Failure} when there is nothing of what is expected in it
 */
export function readOutput({ output, value, keep }: Pick<Recipe, 'output' | 'value' | 'keep'>, name: string, stdout: string): Output {
  const read = { text: readText, json: readJson, env: readEnv }[output](stdout, name, value);
  if (Object.values({ value: read.value ?? '', ...read.variables, ...read.parts }).some((text) => text.includes('\0')))
    throw new Failure('`create` printed a NUL character, which no variable can hold.');
  const lacking = keep.find((part) => !Object.hasOwn(read.parts, part));
  if (lacking !== undefined)
    throw new Failure(`\`keep\` names \`${lacking}\`, which is not in what \`create\` printed.${known(read.parts)}`);
  return read;
}

const HOST_NAME = /^(?:[a-z0-9-]{1,40}\.)+[a-z]{2,20}(?::\d+)?$/;

/** Makes known what is secret in it: of the value all but names of hosts and of what was made, of the rest what says so. */
export function learnOutput(output: Output, name: string): Output {
  const { value, variables, parts } = output;
  learn({ ...parts, ...variables });
  if (value !== null && !HOST_NAME.test(value)) learnSecret(value, name);
  return output;
}

function readText(stdout: string, name: string): Output {
  const value = stdout.trim();
  if (value === '')
    throw new Failure(`\`create\` printed nothing on stdout, so ${name} has no value. Print one, e.g. with \`echo "$COPPICE_NAME"\`.`);
  return { value, variables: { [name]: value }, parts: {} };
}

function readJson(stdout: string, name: string, key = 'value'): Output {
  const parts = Object.fromEntries(
    Object.entries(parseObject(stdout)).flatMap(([part, value]) => (isScalar(value) ? [[part, String(value)]] : [])),
  );
  const value = Object.hasOwn(parts, key) ? parts[key] : undefined;
  if (value === undefined)
    throw new Failure(
      `What \`create\` printed has no text under \`${key}\`, which is to be the value.${known(parts)} Name another with \`value:\`.`,
    );
  return { value, variables: { [name]: value }, parts };
}

/** JSON.parse quotes its input in its message: that is not shown. */
function parseObject(stdout: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(stdout);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new Failure(
      '`create` did not print one JSON object on stdout, which `output: json` asks for. What else it says belongs on stderr.',
    );
  return parsed;
}

function isScalar(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** What shells, loaders, Node and git go by: a service's output must not set it. */
const NOT_THE_APPS =
  /^(PATH|HOME|SHELL|USER|IFS|ENV|BASH_ENV|BASH_FUNC_.*|CDPATH|TMPDIR|LD_.*|DYLD_.*|NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|GIT_.*|COPPICE|COPPICE_.*)$/;

function readEnv(stdout: string, name: string, key: string | undefined): Output {
  const parts = readEnvText(stdout);
  if (Object.keys(parts).length === 0) throw new Failure('`create` printed no `NAME=value` line on stdout, which `output: env` asks for.');
  const odd = Object.keys(parts).find((variable) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable));
  if (odd !== undefined) throw new Failure(`\`create\` printed a line for \`${odd}\`, which cannot be an environment variable.`);
  const dangerous = Object.keys(parts).find((variable) => NOT_THE_APPS.test(variable));
  if (dangerous !== undefined)
    throw new Failure(
      `\`create\` printed a line for \`${dangerous}\`, which would change how every program runs. Print only what the app reads.`,
    );
  const own = key ?? name;
  const value = Object.hasOwn(parts, own) ? (parts[own] ?? null) : null;
  if (key !== undefined && value === null)
    throw new Failure(`What \`create\` printed has no line for \`${key}\`, which \`value:\` names.${known(parts)}`);
  return { value, variables: value === null ? parts : { ...parts, [name]: value }, parts };
}

/** The names alone. */
function known(parts: Record<string, string>): string {
  const names = Object.keys(parts);
  return names.length === 0 ? '' : ` There is: ${names.join(', ')}.`;
}
