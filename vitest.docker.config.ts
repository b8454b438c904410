import { defineConfig } from 'vitest/config';

/** The tests that start a Docker engine: apart from the others, since not every machine may run one. */
export default defineConfig({
  test: {
    include: ['test/docker/**/*.test.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    sequence: { shuffle: true },
    maxWorkers: 1,
  },
});
