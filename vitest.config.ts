import { defineConfig } from 'vitest/config';
import { yaml } from './scripts/yaml.ts';

export default defineConfig({
  plugins: [yaml],
  test: {
    include: ['test/unit/**/*.test.ts', 'test/integration/**/*.test.ts'],
    globalSetup: ['test/fixtures/programs.ts', 'test/fixtures/runner.ts'],
    testTimeout: 300_000,
    hookTimeout: 180_000,
    // Order is no part of what a test claims.
    sequence: { shuffle: true },
    maxWorkers: 3,
  },
});
