/** `checkpoints.verify` of the configuration. */
export type VerifyMode = 'auto' | 'deep' | 'shallow';

export interface DepthQuestion {
  readonly mode: VerifyMode;
  readonly bytes: number;
  /** Undefined: not known yet. */
  readonly saveIntervalMs?: number;
  /** How fast it may be read; undefined: as fast as it goes. */
  readonly readBytesPerS?: number;
}

/** What is read within a minute on most disks is always read. */
const alwaysDeepBytes = 20 * 1024 ** 3;
/** A verification may take this part of the time between two saves. */
const shareOfInterval = 0.1;
/** What a local disk is trusted to read and one core to check, bytes a second. */
const assumedBytesPerS = 500 * 1024 ** 2;

/** Whether every byte of a checkpoint is read, or its structure only. */
export function isDeep({ mode, bytes, saveIntervalMs, readBytesPerS }: DepthQuestion): boolean {
  if (mode !== 'auto') return mode === 'deep';
  if (bytes <= alwaysDeepBytes) return true;
  const takesMs = (bytes / Math.min(assumedBytesPerS, readBytesPerS ?? Infinity)) * 1000;
  return saveIntervalMs !== undefined && takesMs < shareOfInterval * saveIntervalMs;
}

/**
 * The usual time between two saves: the median of the last ones, so that a restart between them does not count.
 * @param savedAt ms since 1970, oldest first
 */
export function saveInterval(savedAt: readonly number[]): number | undefined {
  const last = savedAt.slice(-8);
  const gaps = last.slice(1).map((at, index) => at - (last[index] ?? at));
  return gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)];
}
