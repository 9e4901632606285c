import path from 'node:path';
import type { Standing } from '../policy/checkpoint.js';
import { isGone } from '../util/os/dir-walk.js';
import { errorCode } from '../util/os/durable.js';
import { formatBytes } from '../util/text.js';
import type { Layout } from './layouts/layout.js';
import { isTemporary, parseName } from './layouts/names.js';
import { sizeOf, type Unit } from './unit.js';
import { promises } from './verify/formats.js';

/** Larger ones are judged by structure: reading them takes longer than a restart should. */
const deepLimitBytes = 20 * 1024 ** 3;

export interface Judgement {
  readonly standing: Standing;
  readonly why: string;
  readonly depth: 'deep' | 'structure' | 'none';
  readonly digests: ReadonlyMap<string, string>;
  /** Whether it holds until the files change; else it is asked again next time. */
  readonly lasting: boolean;
}

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
  const unended = layout.incomplete(unit);
  if (unended !== undefined) return unended;
  if (unit.barren) return 'it holds no checkpoint data: its save did not end';
  if (!older) return undefined;
  const temporary = unit.files.find((file) => isTemporary(path.basename(file.path)));
  if (temporary) return `${temporary.path} is still under a temporary name`;
  return missingPart(unit, older);
}

function missingPart(unit: Unit, older: readonly Unit[]): string | undefined {
  const { template } = parseName(unit.id);
  const [first, ...others] = older.filter((one) => parseName(one.id).template === template).map(partsOf);
  const own = partsOf(unit);
  for (const [part, count] of first ?? []) {
    if ((own.get(part) ?? 0) >= count || !others.every((parts) => parts.get(part) === count)) continue;
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

/**
 * Judges a complete checkpoint by its content, and makes it durable if it is good.
 * @param goOn asked between blocks of 4 MiB; once it says no, the structure decides
 * @returns undefined if it vanished meanwhile
 */
export async function judgeContent(
  root: string,
  unit: Unit,
  options: { readonly goOn: () => boolean; readonly durable: boolean },
): Promise<Judgement | undefined> {
  // loads the hash library: not for a look that verifies nothing
  const { verifyUnit, syncUnit } = await import('./verify/unit.js');
  const plain = unit.files.filter((file) => file.kind === 'file').map((file) => file.path);
  const files = { root, files: plain, expected: unit.expected };
  const bytes = sizeOf(unit);
  try {
    const verdict = await verifyUnit(files, { deep: bytes <= deepLimitBytes, goOn: options.goOn });
    const { digests, depth } = verdict;
    if (verdict.damage !== undefined)
      return { standing: 'corrupt', why: verdict.damage, depth, digests, lasting: true };
    if (options.durable) await syncUnit(files, [...unit.folders, '.']);
    const how = depth === 'deep' ? 'every byte was read' : 'its structure was checked';
    return { standing: 'verified', why: `${how}, ${formatBytes(bytes)}`, depth, digests, lasting: true };
  } catch (error) {
    const code = errorCode(error);
    if (isGone(error)) return undefined;
    if (code === undefined) throw error;
    return unreadable(code);
  }
}

export const unreadable = (why: string): Judgement => ({
  standing: 'complete',
  why: `it cannot be read (${why})`,
  depth: 'none',
  digests: new Map(),
  lasting: false,
});
