import path from 'node:path';
import { verifyFile, type Depth } from './file.js';
import { missingShard } from './named-shards.js';
import { paceOf } from './pace.js';
import { quote } from './quote.js';
import { otherStep } from './recorded-steps.js';
import type { UnitFiles, UnitVerdict } from './unit.js';

/** Of how many files the structure is looked at together: that is waiting more than work. */
const structuresAtOnce = 8;

/**
 * All files of one checkpoint, in this thread. The first damage ends it.
 * @throws the system's error when a file cannot be read, ENOENT if it vanished
 */
export async function lookAtUnit(unit: UnitFiles, depth: Depth): Promise<UnitVerdict> {
  const pace = paceOf(depth.readBytesPerS);
  const digests = new Map<string, string>();
  const nonFinite: { nan?: string; inf?: string } = {};
  let deep = depth.deep;
  let unproven: string | undefined;
  const verdict = (damage: string | undefined): UnitVerdict => ({
    ...(damage === undefined ? {} : { damage }),
    digests,
    depth: deep ? 'deep' : 'structure',
    nonFinite,
    ...(unproven === undefined ? {} : { unproven }),
  });
  if (unit.files.length === 0) return verdict('it holds no file');
  const several = unit.files.length > 1;
  for (let at = 0, some: readonly string[]; at < unit.files.length; at += some.length) {
    some = unit.files.slice(at, at + (deep ? 1 : structuresAtOnce));
    const own = { ...depth, deep };
    const looks = some.map((file) =>
      verifyFile(path.join(unit.root, file), own, unit.expected.get(file), pace),
    );
    for (const [index, found] of (await Promise.all(looks)).entries()) {
      const file = some[index] ?? '';
      if (found.damage !== undefined) return verdict(several ? `${file}: ${found.damage}` : found.damage);
      if (found.digest === undefined) deep = false;
      else digests.set(file, found.digest);
      if (found.unproven !== undefined) unproven ??= several ? `${file}: ${found.unproven}` : found.unproven;
      const { nan, inf } = found.nonFinite ?? {};
      const where = several ? ` of ${file}` : '';
      if (nan !== undefined) nonFinite.nan ??= `${quote(nan)}${where}`;
      if (inf !== undefined) nonFinite.inf ??= `${quote(inf)}${where}`;
    }
  }
  return verdict((await missingShard(unit)) ?? (await otherStep(unit)));
}
