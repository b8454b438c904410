import leven from 'leven';

/** The candidate that a wrong name was probably meant to be, or null when none is close. */
export function nearest(wrong: string, candidates: Iterable<string>): string | null {
  let best: { name: string; distance: number } | null = null;
  for (const name of candidates) {
    const distance = leven(wrong.toLowerCase(), name.toLowerCase(), { maxDistance: 4 });
    if (best === null || distance < best.distance) best = { name, distance };
  }
  // Of a name of one or two letters too little is left when one of them is wrong.
  const allowed = wrong.length < 3 ? 0 : Math.max(1, Math.floor(wrong.length / 3));
  return best && best.distance <= allowed ? best.name : null;
}

/** A hint that names the nearest candidate, else lists them when they are few. */
export function didYouMean(wrong: string, candidates: Iterable<string>): string | null {
  const names = [...candidates];
  const best = nearest(wrong, names);
  if (best !== null) return `Did you mean \`${best}\`?`;
  return names.length > 0 && names.length <= 12 ? `Known: ${names.join(', ')}.` : null;
}
