import type { ResourceOptions } from '../schemas.ts';
import { PRESETS } from './presets.ts';

/** What is run for a resource: a config's own commands, or a preset's. */
export interface Recipe {
  create: string;
  check?: string | undefined;
  destroy?: string | undefined;
  output: 'text' | 'json' | 'env';
  /** The key of the output that is the value. */
  value?: string | undefined;
  /** The parts that are no secret, and that `destroy` needs. */
  keep: readonly string[];
  /** What the commands get beside the worktree's variables. */
  env: Readonly<Record<string, string>>;
  timeout: string;
  retries: number;
  /** The longest name that the service takes, in characters. */
  limit: number;
}

/** A preset as its YAML file has it. */
export interface Preset {
  description: string;
  options: Record<string, { description: string; required?: boolean; default?: string }>;
  create: string;
  check: string;
  destroy: string;
  output: Recipe['output'];
  value?: string;
  keep?: readonly string[];
  /** The longest name that the service takes. */
  limit?: number;
}

/** The presets' names. */
export type PresetName = keyof typeof PRESETS;

/** Where nothing is said of it. */
const LIMIT = 40;

/** The recipe that a config spells out. */
export function ownRecipe(options: ResourceOptions<'command'>): Recipe {
  return { ...options, limit: LIMIT };
}

/** The recipe of a preset: its options are variables of its commands, `project` as `OPTION_PROJECT`. */
export function presetRecipe(options: ResourceOptions<PresetName>): Recipe {
  const preset = PRESETS[options.type];
  const given = options as unknown as Record<string, unknown>;
  const env = Object.keys(preset.options).map((option) => [optionVariable(option), given[option]] as const);
  const { create, check, destroy, output, value, keep = [], limit = LIMIT } = preset;
  const { timeout, retries } = options;
  const set = env.filter((entry): entry is readonly [string, string] => typeof entry[1] === 'string');
  return { create, check, destroy, output, value, keep, limit, timeout, retries, env: Object.fromEntries(set) };
}

/** The variable that a preset's commands read an option from. */
export function optionVariable(option: string): string {
  return `OPTION_${option.replaceAll('-', '_').toUpperCase()}`;
}
