import type { Announcer } from './announcer.js';
import { JsonCheckpoints } from './json-checkpoints.js';
import type { ManagerSettings } from './options.js';
import type { RecoveryInternals } from './ports.js';
import { realClock } from './real-clock.js';

/** Those in a manager's folder. A damaged one that is passed over is told as a problem: who loads gets another. */
export function openCheckpoints(
  { checkpointDir, keepCheckpoints }: ManagerSettings,
  { clock = realClock }: RecoveryInternals,
  announcer: Announcer,
): JsonCheckpoints {
  return new JsonCheckpoints({
    dir: checkpointDir,
    keep: keepCheckpoints,
    now: () => clock.now(),
    onNotice: (message) => announcer.problem(new Error(message)),
  });
}
