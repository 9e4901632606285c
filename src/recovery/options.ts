import { checkFields, type FieldRule, path, secondsAboveZero, wholeFrom } from './fields.js';
import type { WorkerTimes } from './ports.js';
import type { RecoveryManagerOptions, WorkerLimits } from './types.js';

/** As in both ancestors, but for the timeout, which they had not. */
const defaults = { heartbeatInterval: 5, maxFailures: 3, checkpointDir: 'checkpoints', keepCheckpoints: 3 };

/** A worker counts as failed when this many heartbeats in a row are missing. */
const intervalsUntilFailed = 3;

const limitRules: Readonly<Record<keyof WorkerLimits, FieldRule>> = {
  heartbeatInterval: secondsAboveZero,
  heartbeatTimeout: secondsAboveZero,
  maxFailures: wholeFrom(0),
};

const optionRules: Readonly<Record<keyof RecoveryManagerOptions, FieldRule>> = {
  ...limitRules,
  checkpointDir: path,
  keepCheckpoints: wholeFrom(1),
};

/** A manager's options, all known. */
export interface ManagerSettings {
  readonly times: WorkerTimes;
  readonly checkpointDir: string;
  readonly keepCheckpoints: number;
}

/** @throws TypeError, RangeError one clear sentence that names the option and what is allowed */
export function resolveOptions(options: RecoveryManagerOptions): ManagerSettings {
  checkFields('the options of RecoveryManager', options, optionRules);
  const heartbeatInterval = options.heartbeatInterval ?? defaults.heartbeatInterval;
  const heartbeatTimeout = options.heartbeatTimeout ?? heartbeatInterval * intervalsUntilFailed;
  checkOrder(heartbeatInterval, heartbeatTimeout, options.heartbeatInterval === undefined);
  return {
    times: {
      heartbeatTimeoutMs: heartbeatTimeout * 1000,
      maxFailures: options.maxFailures ?? defaults.maxFailures,
    },
    checkpointDir: options.checkpointDir ?? defaults.checkpointDir,
    keepCheckpoints: options.keepCheckpoints ?? defaults.keepCheckpoints,
  };
}

/**
 * The limits that a worker brings of its own; those that it leaves out are left out.
 * @throws TypeError, RangeError as above
 */
export function resolveLimits(limits: WorkerLimits): Partial<WorkerTimes> {
  checkFields('the limits of a worker', limits, limitRules);
  const { heartbeatInterval, heartbeatTimeout, maxFailures } = limits;
  if (heartbeatInterval !== undefined && heartbeatTimeout !== undefined)
    checkOrder(heartbeatInterval, heartbeatTimeout, false);
  const timeout =
    heartbeatTimeout ??
    (heartbeatInterval === undefined ? undefined : heartbeatInterval * intervalsUntilFailed);
  return {
    ...(timeout === undefined ? {} : { heartbeatTimeoutMs: timeout * 1000 }),
    ...(maxFailures === undefined ? {} : { maxFailures }),
  };
}

/**
 * A timeout below the interval would find every healthy worker failed.
 * @param usual the interval was left out
 */
function checkOrder(heartbeatInterval: number, heartbeatTimeout: number, usual: boolean): void {
  if (heartbeatTimeout >= heartbeatInterval) return;
  const wayOut = usual ? '; if workers beat more often, say so by heartbeatInterval' : '';
  const unit = usual ? 'seconds unless given' : 'seconds';
  throw new RangeError(
    `heartbeatTimeout is at least heartbeatInterval (${heartbeatInterval} ${unit}), not ${heartbeatTimeout}${wayOut}`,
  );
}
