import { type Finding, finding } from './findings.ts';
import { isMap } from './look.ts';

const STEPS = [10, 20, 30, 40, 70, 11, 13, 17];

/**
 * Bases that do not meet: with a step of 10, port 8000 of the eighth worktree would be another's base 8080. Of two with one base
 * the second follows the first.
 */
export function basesApart(found: Finding[]): Finding[] {
  const bases = found.map(baseOf);
  return found.map((one, index) => {
    const base = bases[index] ?? null;
    if (base === null) return one;
    const first = bases.indexOf(base);
    if (first !== index) return finding('env', one.name, `{{${found[first]?.name}}}`, `the same port as ${found[first]?.name}`);
    const meets = (step: number) =>
      bases.some((other) => {
        const slot = ((other ?? 0) - base) / step;
        return other !== null && other > base && Number.isInteger(slot) && slot <= 10;
      });
    const step = STEPS.find((candidate) => !meets(candidate)) ?? 19;
    if (step === 10) return one;
    const options = isMap(one.value) ? one.value : { type: 'port', base };
    return { ...one, value: { ...options, step }, why: `${one.why}; a step of ${step}, so that no worktree meets another base` };
  });
}

function baseOf({ section, value }: Finding): number | null {
  if (section !== 'resources') return null;
  const base = isMap(value) && value.type === 'port' ? value.base : value;
  return typeof base === 'number' ? base : null;
}
