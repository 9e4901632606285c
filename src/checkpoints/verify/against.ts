import type { Depth } from './file.js';
import { verifyUnit, type UnitFiles, type UnitVerdict } from './unit.js';

/** A file as a manifest keeps it. */
export interface RecordedFile {
  readonly path: string;
  readonly digest?: string;
}

/**
 * Reads every byte again and holds it against what a manifest recorded: the only way to see that a disk changed bytes
 * which no format's own checksum covers.
 * @throws like `verifyUnit`
 */
export async function verifyAgainst(
  recorded: readonly RecordedFile[],
  unit: UnitFiles,
  depth: Omit<Depth, 'deep'>,
): Promise<UnitVerdict> {
  const verdict = await verifyUnit(unit, { ...depth, deep: true });
  const changed = verdict.damage ?? otherBytes(recorded, verdict.digests);
  return changed === undefined ? verdict : { ...verdict, damage: changed };
}

/** The first file that has another digest than when it was recorded, in words. What has none on either side says nothing. */
export function otherBytes(
  recorded: readonly RecordedFile[],
  seen: ReadonlyMap<string, string>,
): string | undefined {
  const file = recorded.find(({ path, digest }) => {
    const now = seen.get(path);
    return digest !== undefined && now !== undefined && kindOf(now) === kindOf(digest) && now !== digest;
  });
  return file && `${file.path}: its bytes are not those that were verified, though nobody wrote to it since`;
}

/** Digests by another algorithm, of another version of trainguard, cannot be compared. */
const kindOf = (digest: string): string => digest.slice(0, digest.indexOf(':'));
