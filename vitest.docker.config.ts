import { defineConfig } from 'vitest/config';
import { yaml } from './scripts/yaml.ts';

/** The tests that start a Docker engine: apart from the others, since not every machine may run one. */
export default defineConfig({
  plugins: [yaml],
  test: {
    include: ['test/docker/**/*.test.ts'],
    globalSetup: ['test/fixtures/runner.ts'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    sequence: { shuffle: true },
    maxWorkers: 1,
  },
});
