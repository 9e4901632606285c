import type { Heartbeat, Phase } from './types.js';

/** A heartbeat being read. `recognised`: at least one known key had a legal value. */
export interface Draft {
  readonly heartbeat: { -readonly [Key in keyof Heartbeat]: Heartbeat[Key] };
  readonly metrics: Record<string, number>;
  recognised: boolean;
  metricsCount: number;
}

/** Other numbers kept of one heartbeat, and the length of their names. */
const mostMetrics = 32;
const longestName = 64;
const longestPath = 4096;

const phases: Readonly<Record<string, Phase>> = {
  startup: 'startup',
  train: 'train',
  eval: 'eval',
  checkpoint: 'checkpoint',
  done: 'done',
};

/** Starts a heartbeat without anything in it. */
export function newDraft(): Draft {
  const metrics: Record<string, number> = {};
  return { heartbeat: { metrics }, metrics, recognised: false, metricsCount: 0 };
}

/**
 * Takes one key of a heartbeat; an illegal value of a known key is passed over, and so is text under unknown keys.
 * @returns whether it was a known key with a legal value
 */
export function setField(draft: Draft, key: string, value: number | string): boolean {
  if (isKnown(key)) {
    const legal = setKnown(draft.heartbeat, key, value);
    draft.recognised ||= legal;
    return legal;
  }
  if (typeof value === 'number' && draft.metricsCount < mostMetrics && key.length <= longestName) {
    draft.metrics[key] = value;
    draft.metricsCount++;
  }
  return false;
}

type KnownKey = 'step' | 'epoch' | 'loss' | 'grad_norm' | 'total_steps' | 'phase' | 'checkpoint' | 'rank';

const known: ReadonlySet<string> = new Set<KnownKey>([
  'step',
  'epoch',
  'loss',
  'grad_norm',
  'total_steps',
  'phase',
  'checkpoint',
  'rank',
]);
const isKnown = (key: string): key is KnownKey => known.has(key);

const isCount = (value: number | string): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

function setKnown(heartbeat: Draft['heartbeat'], key: KnownKey, value: number | string): boolean {
  switch (key) {
    case 'step':
      if (!isCount(value)) return false;
      heartbeat.step = value;
      return true;
    case 'total_steps':
      if (!isCount(value)) return false;
      heartbeat.totalSteps = value;
      return true;
    case 'rank':
      if (!isCount(value)) return false;
      heartbeat.rank = value;
      return true;
    case 'epoch':
      if (typeof value !== 'number' || !Number.isFinite(value)) return false;
      heartbeat.epoch = value;
      return true;
    case 'loss':
      if (typeof value !== 'number') return false;
      heartbeat.loss = value;
      return true;
    case 'grad_norm':
      if (typeof value !== 'number') return false;
      heartbeat.gradNorm = value;
      return true;
    case 'phase': {
      const phase = Object.hasOwn(phases, value) ? phases[value] : undefined;
      if (phase === undefined) return false;
      heartbeat.phase = phase;
      return true;
    }
    case 'checkpoint':
      if (typeof value !== 'string' || value === '' || value.length > longestPath) return false;
      heartbeat.checkpoint = value;
      return true;
  }
}
