import type { RuleReport } from './rule-report.ts';
import type { Config } from './schema.ts';
import { MAX_PROBLEMS } from './source.ts';

/** Two bases closer than this many slots are taken for a mistake: each takes the other's port from an early worktree. */
const SLOTS_LOOKED_AT = 10;

/** Ports of two worktrees, or of one and the main worktree, that would be the same. */
export function basesApart(config: Config, report: RuleReport): void {
  const ports = Object.entries(config.resources).flatMap(([name, spec]) =>
    spec.type === 'port' ? [{ name, base: spec.base, step: spec.step }] : [],
  );
  let told = 0;
  for (const [index, one] of ports.entries()) {
    if (one.base + one.step > 65_535)
      report(
        ['resources', one.name, 'base'],
        `\`${one.name}\`: ${one.base} + ${one.step} is above 65535, so no worktree could have a port`,
        { hint: 'Choose a lower base.' },
      );
    for (const other of ports.slice(index + 1)) {
      // Looking for another base takes its time, and of many clashes the first ones say enough.
      if (told === MAX_PROBLEMS) return;
      if (one.base === other.base) {
        told += 1;
        report(['resources', other.name, 'base'], `\`${other.name}\` has the same base as \`${one.name}\`: ${one.base}`, {
          hint: another(other, ports),
        });
        continue;
      }
      const [low, high] = one.base < other.base ? [one, other] : [other, one];
      const slot = meetingSlot(low, high);
      if (slot !== null) {
        told += 1;
        report(
          ['resources', other.name, 'base'],
          `\`${low.name}\` of worktree ${slot} would be ${high.base} (${low.base} + ${slot} × ${low.step}), the base of \`${high.name}\``,
          { hint: another(high, ports) },
        );
      }
    }
  }
}

interface PortBase {
  name: string;
  base: number;
  step: number;
}

/** The slot in which the lower port's number is the higher one's base, or null when it is none of the first. */
function meetingSlot(low: PortBase, high: PortBase): number | null {
  const slot = (high.base - low.base) / low.step;
  return Number.isInteger(slot) && slot <= SLOTS_LOOKED_AT ? slot : null;
}

/** The next base above a port's own that meets none of the others. */
function another(port: PortBase, ports: PortBase[]): string | null {
  for (let base = port.base + 1; base + port.step <= 65_535; base += 1) {
    const moved = { ...port, base };
    const meets = ports.some(
      (other) =>
        other.name !== port.name &&
        meetingSlot(...((other.base <= base ? [other, moved] : [moved, other]) as [PortBase, PortBase])) !== null,
    );
    if (!meets) return `Give \`${port.name}\` another base, e.g. ${base}.`;
  }
  return null;
}
