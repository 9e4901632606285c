import { classify } from '../failure/classify.js';
import { createHeartbeatReader } from '../progress/heartbeat.js';
import type { Parts } from '../supervisor/parts.js';
import type { Clock } from '../supervisor/ports.js';
import { watchHeartbeatFiles } from './heartbeat-files.js';
import type { RunPlan } from './run-plan.js';

/** How a run's output is read: by what is recognised, and by the expressions of its configuration. */
export function readingOf(
  { policy, heartbeat, patterns }: RunPlan,
  clock: Clock,
): Pick<Parts, 'classify' | 'heartbeatReader' | 'watchFiles'> {
  const find = (pattern: string, line: string): boolean => patterns?.get(pattern)?.test(line) ?? false;
  const own = patterns?.get(heartbeat.pattern ?? '');
  return {
    classify: (autopsy) => classify(autopsy, policy.rules, find),
    heartbeatReader: () => createHeartbeatReader(own && { user: (line) => own.groups(line) }),
    ...(heartbeat.files.length > 0 && {
      watchFiles: (grew) => watchHeartbeatFiles(heartbeat.files, clock, grew),
    }),
  };
}
