import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { LOCAL_ENV_VARS, withoutLocalGitVars } from '../../src/git/git.ts';

test('what git calls local to a repository is what children do not inherit', () => {
  const listed = execFileSync('git', ['rev-parse', '--local-env-vars'], { encoding: 'utf8' }).trim().split('\n');
  expect([...LOCAL_ENV_VARS].sort()).toEqual(expect.arrayContaining(listed));
  const env = withoutLocalGitVars({ GIT_DIR: 'x', GIT_CONFIG_KEY_0: 'x', GIT_CONFIG_VALUE_12: 'x', GIT_AUTHOR_NAME: 'kept', PATH: '/bin' });
  expect(env).toEqual({ GIT_AUTHOR_NAME: 'kept', PATH: '/bin' });
});
