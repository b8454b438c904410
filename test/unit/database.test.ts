import { describe, expect, test } from 'vitest';
import { derivedFrom, markOf, namesHolding, whose } from '../../src/resources/database.ts';

describe('whose a database is', () => {
  const ours = markOf('me', 'n1');
  const meant = { nonce: 'n1' };
  const created = { nonce: 'n1', created: 'yes' };

  test.for([
    ['never written down, empty and unmarked', null, {}, true, 'foreign'],
    ['never written down, with a mark of this worktree', ours, {}, true, 'foreign'],
    ['without word of success, with our mark', ours, meant, false, 'ours'],
    ["without word of success, with this worktree's mark of another time", markOf('me', 'n2'), meant, true, 'foreign'],
    ['without word of success, unmarked where all that we make is marked', '', meant, true, 'foreign'],
    ['without word of success, where nothing can be marked, with nothing in it', null, meant, true, 'ours'],
    ['without word of success, where nothing can be marked, with something in it', null, meant, false, 'foreign'],
    ['made, with our mark', ours, created, false, 'ours'],
    ['made, and its mark is missing', '', created, false, 'ours'],
    ['made, where nothing can be marked', null, created, false, 'ours'],
    ["made, with another worktree's mark", markOf('you', 'n1'), created, true, 'foreign'],
    ["made, with a person's comment", 'do not drop', created, false, 'foreign'],
  ] as const)('%s', ([, comment, record, holdsNothing, expected]) => {
    expect(whose({ name: 'a', comment }, record, 'me', holdsNothing)).toBe(expected);
  });
});

describe('what is derived from a database', () => {
  const none = new Set<string>();

  test('is what the pattern says, and never itself', () => {
    const existing = ['shop__a', 'test_shop__a', 'test_shop__a_1', 'shop__a_test', 'my_test_shop__a', 'test_shop'];
    expect(derivedFrom('shop__a', ['test_{database}*'], existing, none)).toEqual(['test_shop__a', 'test_shop__a_1']);
    expect(derivedFrom('shop__a', ['{database}_test'], existing, none)).toEqual(['shop__a_test']);
    expect(derivedFrom('shop__a', ['{database}*'], existing, none)).toEqual(['shop__a_test']);
  });

  test("is not what is derived from a neighbour, nor a neighbour's database", () => {
    const existing = ['shop__a', 'shop__ab', 'test_shop__a_1', 'test_shop__ab', 'test_shop__ab_1'];
    expect(derivedFrom('shop__a', ['test_{database}*'], existing, none)).toEqual(['test_shop__a_1']);
    expect(derivedFrom('shop__a', ['test_{database}*'], ['test_shop__ab_1'], new Set(['shop__ab']))).toEqual([]);
    expect(derivedFrom('shop__a', ['{database}*'], ['shop__a_1', 'shop__ab', 'shop__ab_1'], new Set(['shop__ab']))).toEqual(['shop__a_1']);
    expect(derivedFrom('shop__a', ['test_{database}*'], ['test_shop__a_1'], new Set(['test_shop__a_1']))).toEqual([]);
  });

  test('is not what could as well be derived from the source, or from any other database with a longer name', () => {
    const existing = ['shop_dev', 'shop_development', 'shop_development_test', 'shop_dev_test'];
    expect(derivedFrom('shop_dev', ['{database}*'], existing, new Set(['shop_development']))).toEqual(['shop_dev_test']);
    expect(derivedFrom('shop__a', ['{database}*'], ['shop__a', 'shop__ab_test', 'shop__a_test'], new Set(['shop__ab', 'shop']))).toEqual([
      'shop__a_test',
    ]);
    expect(derivedFrom('b', ['*{database}'], ['b', 'xx_b', 'yb'], new Set(['xx_b']))).toEqual(['yb']);
  });

  test('what could ever count as derived is all that holds the name', () => {
    expect(namesHolding('a', ['a', 'test_a', 'a_1', 'b'])).toEqual(['test_a', 'a_1']);
  });

  test('is told by the letters of its name, whatever they mean elsewhere', () => {
    expect(derivedFrom('a.c+(x)$', ['test_{database}.*'], ['test_a.c+(x)$.1', 'test_abc+(x)$.1', 'test_a.c+(x)$1'], none)).toEqual([
      'test_a.c+(x)$.1',
    ]);
  });
});
