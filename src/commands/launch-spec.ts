import type { Effect } from '../policy/effect.js';
import { attemptDirOf } from '../runs/run-dir.js';
import type { LaunchSpec } from '../supervisor/ports.js';
import { applyResume } from './resume.js';
import { recipeFor } from './resume-plan.js';
import type { RunPlan } from './run-plan.js';
import type { HeldRun } from './take-up.js';
import { isInsideWorker, withoutServer, workerEnv } from './worker-env.js';

/**
 * What an attempt is launched as.
 * @param serverEnv where its workers report by HTTP
 */
export function launchSpec(
  plan: RunPlan,
  held: HeldRun,
  launch: Extract<Effect, { type: 'launch' }>,
  serverEnv?: Readonly<Record<string, string>>,
): LaunchSpec {
  const dir = held.store?.dir;
  const recipe = recipeFor(plan.resume, held.store?.layout ?? '');
  const point = launch.resume && { ...launch.resume, ...(dir !== undefined && { dir }) };
  const { argv, env } = applyResume(plan.argv, recipe, point);
  // what the user's shell names is another server, whose token would go before our token file
  const user = serverEnv ? withoutServer(process.env) : process.env;
  const { TRAINGUARD_CA: ca } = process.env;
  // whom the user trusts may be more than our certificate; what an outer run's workers are to trust is no user's word
  const trust = ca !== undefined && ca !== '' && !isInsideWorker(process.env) ? { TRAINGUARD_CA: ca } : {};
  return {
    attemptDir: attemptDirOf(held.run.dir, launch.attempt),
    attempt: launch.attempt,
    argv,
    cwd: plan.cwd,
    env: workerEnv(user, launch, dir, { ...serverEnv, ...trust, ...env, ...launch.env }),
    runId: held.run.id,
    stopSignal: plan.policy.stop.signal,
    stdin: plan.stdin,
  };
}
