/** A checkpoint's standing (DESIGN section 7), worst evidence wins. */
export type Standing = 'partial' | 'complete' | 'verified' | 'safe' | 'tainted' | 'suspect' | 'corrupt';

/** One restorable unit in the checkpoint folder, as it was found at an inspection. JSON. */
export interface CheckpointFact {
  /** Its name in the checkpoint folder: `checkpoint-1200`, `step-40.npz`. */
  readonly id: string;
  readonly path: string;
  /** The heartbeat step seen when it became complete. Unknown is not zero. */
  readonly step?: number;
  /** The number in its name, which only orders it. */
  readonly number?: number;
  /** Newest mtime among its files, ms since 1970. */
  readonly modifiedAt: number;
  readonly sizeBytes: number;
  readonly standing: Standing;
  /** What its standing rests on, in words. */
  readonly why: string;
  /** Written while an attempt of this run was alive. */
  readonly ours: boolean;
  /** It lies in the vault only: the trainer has removed it, or written over it. `path` is where a rollback puts it back. */
  readonly spare?: true;
  /** The next one is written over it. */
  readonly inPlace?: true;
  /** A person said that it is to be kept. */
  readonly pinned?: true;
}

/** Whether `a` lies further in the training than `b`; unknown `b` is behind everything. */
export function isFurther(a: CheckpointFact, b: CheckpointFact | undefined): boolean {
  if (!b) return true;
  // as the folder is ordered: steps may be counted from each launch
  if (a.number !== undefined && b.number !== undefined) return a.number > b.number;
  if (a.step !== undefined && b.step !== undefined) return a.step > b.step;
  return a.modifiedAt > b.modifiedAt;
}

/** Whether nothing but its time says that the first lies further than the second. */
export const isNewerOnly = (a: CheckpointFact, b: CheckpointFact): boolean =>
  (a.number === undefined || b.number === undefined) && (a.step === undefined || b.step === undefined);

/** Standings from which training may go on. */
export const isUsable = (standing: Standing): boolean => standing === 'verified' || standing === 'safe';

/**
 * What the next save is likely to need, bytes: as much as the newest good one; undefined: nobody knows.
 * @param checkpoints oldest first
 */
export const nextSaveBytes = (checkpoints: readonly CheckpointFact[]): number | undefined =>
  checkpoints.findLast(({ standing }) => isUsable(standing))?.sizeBytes;

/** Room that the next save needs besides, bytes; undefined: nobody knows, or none, since it is written over the last one. */
export const roomToSave = (checkpoints: readonly CheckpointFact[]): number | undefined =>
  nextSaveBytes(checkpoints.filter(({ inPlace }) => inPlace !== true));

/** Whether two facts speak of the same checkpoint: a spare that was put back has another id, and its time to the microsecond. */
export const isSameCheckpoint = (
  a: Pick<CheckpointFact, 'path' | 'modifiedAt'>,
  b: Pick<CheckpointFact, 'path' | 'modifiedAt'>,
): boolean => a.path === b.path && Math.abs(a.modifiedAt - b.modifiedAt) < 1;
