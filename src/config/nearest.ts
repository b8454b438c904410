import leven from 'leven';

/** The edit distance at which counting ends. */
const MOST = 4;

/** The candidate that a wrong name was probably meant to be, or null when none is close. */
export function nearest(wrong: string, candidates: Iterable<string>): string | null {
  let best: { name: string; distance: number } | null = null;
  for (const name of candidates) {
    const distance = isSwap(wrong.toLowerCase(), name.toLowerCase())
      ? 1
      : leven(wrong.toLowerCase(), name.toLowerCase(), { maxDistance: MOST });
    if (best === null || distance < best.distance) best = { name, distance };
  }
  // Of a name of one or two letters too little is left when one of them is wrong. Everything further off counts as MOST.
  const allowed = wrong.length < 3 ? 0 : Math.min(MOST - 1, Math.max(1, Math.floor(wrong.length / 3)));
  return best && best.distance <= allowed ? best.name : null;
}

/** Whether two neighbouring letters changed places: the commonest slip, which the edit distance counts as two. */
function isSwap(one: string, other: string): boolean {
  const at = [...one].findIndex((letter, index) => letter !== other[index]);
  return at >= 0 && one.slice(0, at) + (one[at + 1] ?? '') + one[at] + one.slice(at + 2) === other;
}

/** A hint that names the nearest candidate, else lists them when they are few. */
export function didYouMean(wrong: string, candidates: Iterable<string>): string | null {
  const names = [...candidates];
  const best = nearest(wrong, names);
  if (best !== null) return `Did you mean \`${best}\`?`;
  return names.length > 0 && names.length <= 20 ? `Known: ${names.join(', ')}.` : null;
}
