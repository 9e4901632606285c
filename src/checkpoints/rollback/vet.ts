import type { Manifest } from '../manifest.js';
import { damageOf, type HeldSpare } from '../spares/spare.js';
import type { Unit } from '../unit.js';
import type { RecordedFile } from '../verify/against.js';
import { isDeep, type VerifyMode } from '../verify/depth.js';
import type { UnitFiles } from '../verify/unit.js';

export interface Vetting {
  readonly mode: VerifyMode;
  readonly readBytesPerS?: number;
  /** ms since 1970: what was judged since then, every byte read, is not read again. */
  readonly since: number;
}

/**
 * Reads a target in the folder once more before everything else leaves it.
 * @returns what is wrong with it, in words
 * @throws the system's error when it cannot be read
 */
export async function vetUnit(
  root: string,
  unit: Unit,
  manifest: Manifest,
  vetting: Vetting,
): Promise<string | undefined> {
  if (manifest.depth === 'deep' && manifest.judgedAt >= vetting.since) return undefined;
  const plain = unit.files.filter((file) => file.kind === 'file');
  return read(
    { root, files: plain.map((file) => file.path), expected: unit.expected, bytes: sum(plain) },
    manifest.files,
    vetting,
  );
}

/** The same of a target in the vault. The bytes of one that is copied are held against their digests on the way. */
export async function vetSpare(
  held: HeldSpare,
  manifest: Manifest,
  vetting: Vetting,
): Promise<string | undefined> {
  const damage = damageOf(held);
  const { spare, root, present } = held;
  const isRead = spare.how === 'copy' && spare.files.every((file) => file.digest !== undefined);
  if (damage !== undefined || isRead) return damage;
  if (manifest.depth === 'deep' && manifest.judgedAt >= vetting.since) return undefined;
  const plain = present.filter((file) => file.kind === 'file');
  const files = { root, files: plain.map((file) => file.path), expected: new Map(), bytes: sum(plain) };
  return read(files, spare.files, vetting);
}

const sum = (files: readonly { readonly size: number }[]): number =>
  files.reduce((bytes, file) => bytes + file.size, 0);

async function read(
  unit: UnitFiles & { readonly bytes: number },
  recorded: readonly RecordedFile[],
  { mode, readBytesPerS }: Vetting,
): Promise<string | undefined> {
  // not for a rollback to what was just verified
  const [{ verifyAgainst }, { verifyUnit }] = await Promise.all([
    import('../verify/against.js'),
    import('../verify/unit.js'),
  ]);
  const pace = { goOn: () => true, ...(readBytesPerS !== undefined && { readBytesPerS }) };
  const verdict = isDeep({ mode, bytes: unit.bytes, ...pace })
    ? await verifyAgainst(recorded, unit, pace)
    : await verifyUnit(unit, { ...pace, deep: false });
  return verdict.damage;
}
