/**
 * Why a path of a config cannot be used, or null when it can. A path of a config is relative, stays in the worktree,
 * never goes through git's own files, and uses `/`.
 */
export function badPath(value: string): string | null {
  if (value === '') return 'is empty';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(value)) return 'has a control character in it';
  if (value.startsWith('/') || value.startsWith('~') || /^[A-Za-z]:[\\/]/.test(value)) return 'is not relative to the worktree';
  const parts = value.split('/');
  if (parts.includes('..')) return 'leaves the worktree';
  // Case folds, and HFS+ ignores some characters: .GIT and .g\u200cit are .git on a Mac.
  if (parts.some((part) => part.replace(/\p{Cf}/gu, '').toLowerCase() === '.git')) return "is among git's own files";
  if (parts.every((part) => part === '' || part === '.')) return 'is the worktree itself';
  return null;
}
