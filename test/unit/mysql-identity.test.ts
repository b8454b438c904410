import { describe, expect, test } from 'vitest';
import { compare } from '../../src/resources/mysql/identity.ts';

describe('whether a server is the one that was met before', () => {
  test.for([
    ['the data has the same name', { uuid: 'a', home: 'h /d' }, { uuid: 'a', home: 'other /d' }, 'same'],
    ['the data has another name, in the same place', { uuid: 'a', home: 'h /d' }, { uuid: 'b', home: 'h /d' }, 'another'],
    ['the data was made in the same second, in a new container', { birth: '1', home: 'h /d' }, { birth: '1', home: 'i /d' }, 'same'],
    ['the data was made later, in the same place', { birth: '1', home: 'h /d' }, { birth: '2', home: 'h /d' }, 'another'],
    ['a user who sees less, in the same place', { birth: '1', home: 'h /d' }, { home: 'h /d' }, 'same'],
    ['a user who sees less, elsewhere: a new container, or another server', { birth: '1', home: 'h /d' }, { home: 'i /d' }, 'unknown'],
    ['another product', { uuid: 'a', home: 'h /d' }, { birth: '1', home: 'i /d' }, 'unknown'],
    ['nothing is known of either', {}, {}, 'unknown'],
  ] as const)('%s', ([_, before, now, is]) => {
    expect(compare(before, now)).toBe(is);
  });
});
