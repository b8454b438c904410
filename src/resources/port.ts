import * as z from 'zod/mini';
import { about } from '../config/about.ts';
import type { ResourceType } from './resource.ts';

const schema = about(
  z.strictObject({
    type: z.literal('port'),
    base: about(z.int().check(z.minimum(1), z.maximum(65_535)), "The main worktree's port. A worktree gets `base + slot × step`."),
    step: about(z._default(z.int().check(z.minimum(1), z.maximum(1000)), 10), 'How far apart the ports of two worktrees are.'),
    export: about(z._default(z.boolean(), true), 'false: only a name for templates, not a variable of the app.'),
  }),
  'A TCP port, free now, and reserved on this machine for as long as the worktree lives. Short form: the base alone.',
);

/** A reserved port. The reservation is a claim, taken with the slot; there is nothing else to make. */
export const port: ResourceType<typeof schema> = {
  schema,
  parts: ['port'],
  filledBySteps: false,
  durable: false,
  resolve(options, context) {
    const value = String(context.port ?? options.base);
    const carry = context.port === null ? [] : [{ kind: 'port' as const, from: options.base, to: context.port }];
    return { value, parts: { port: value }, made: { port: value }, source: null, carry, detail: value };
  },
  present: () => false,
  intact: () => true,
  create: (_options, resolved) => Promise.resolve({ detail: resolved.value, mark: {} }),
  destroy: () => Promise.resolve(),
};
