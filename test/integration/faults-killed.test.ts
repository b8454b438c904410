import { expect, test } from 'vitest';
import { at, faultCases } from '../fixtures/fault-cases.ts';
import { VERBS } from '../fixtures/fault-shop.ts';

const { points, everywhere } = faultCases();

test.for(VERBS)(
  '%s, killed before each change that it makes and after each program that it starts: up makes it ready, gc leaves nothing, others keep what they have',
  { timeout: 900_000 },
  async (verb) => {
    const changes = (await points(verb)).filter((point) => point.changes);
    expect(changes.length).toBeGreaterThan(20);
    await everywhere(
      verb,
      changes.map((point) => at(point, point.name.startsWith('start ') ? 'kill' : 'kill-before')),
    );
  },
);
