import type { ResourceType } from './resource.ts';
import type { ResourceOptions } from './schemas.ts';

/** A reserved port. The reservation is a claim, taken with the slot; there is nothing else to make. */
export const port: ResourceType<ResourceOptions<'port'>> = {
  parts: ['port'],
  filledBySteps: false,
  outside: 'nothing',
  resolve(options, context) {
    const value = String(context.port ?? options.base);
    const carry = context.port === null ? [] : [{ kind: 'port' as const, from: options.base, to: context.port }];
    return {
      value,
      variables: { [context.name]: value },
      parts: { port: value },
      made: { port: value },
      source: null,
      carry,
      detail: value,
    };
  },
  intact: () => Promise.resolve(true),
  create: (_options, resolved) => Promise.resolve({ detail: resolved.detail }),
  destroy: () => Promise.resolve(),
};
