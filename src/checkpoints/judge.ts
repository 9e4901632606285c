import path from 'node:path';
import { missingShard, temporaryName } from './layouts/completeness.js';
import type { Layout } from './layouts/layout.js';
import { parseName } from './layouts/names.js';
import type { Unit } from './unit.js';
import { promises } from './verify/formats.js';

/**
 * What is missing for the save to have ended, in words; undefined: nothing.
 * @param older the checkpoints before it, when it is the newest one and may have been cut off; what all of them have,
 *   it must have too
 */
export function incomplete(
  layout: Layout,
  unit: Unit,
  older: readonly Unit[] | undefined,
): string | undefined {
  if (unit.unreadable !== undefined) return undefined;
  const unended = unit.passedOver ?? unit.unended ?? layout.incomplete(unit) ?? missingShard(unit);
  if (unended !== undefined) return unended;
  if (unit.barren) return 'it holds no checkpoint data: its save did not end';
  if (!older) return undefined;
  return temporaryName(unit) ?? missingPart(unit, older, layout.marksEnd === true);
}

/** How many of those before are compared: the newest, as a script changes what it saves. */
const compared = 8;

/** @param marked the end of a save is marked: fewer files of a kind are then a training on fewer ranks */
function missingPart(unit: Unit, older: readonly Unit[], marked: boolean): string | undefined {
  const { template } = parseName(unit.id);
  const [first, ...others] = older
    .filter((one) => parseName(one.id).template === template)
    .slice(-compared)
    .map(partsOf);
  const own = partsOf(unit);
  for (const [part, count] of first ?? []) {
    if ((own.get(part) ?? 0) >= (marked ? 1 : count)) continue;
    if (!others.every((parts) => parts.get(part) === count)) continue;
    // a single one may have had a note that is written once; weights are not
    const counts = others.length > 0 || promises[path.extname(part)] !== undefined;
    if (counts) return `${part.replace(/#/g, 'N')} is missing, which every checkpoint before it has`;
  }
  return undefined;
}

/** How many files of each kind of name, digits aside. */
function partsOf(unit: Unit): ReadonlyMap<string, number> {
  const parts = new Map<string, number>();
  for (const file of unit.files) {
    const { template } = parseName(file.path);
    parts.set(template, (parts.get(template) ?? 0) + 1);
  }
  return parts;
}
