import os from 'node:os';
import type { Parts } from '../supervisor/parts.js';
import { createHooks } from './hooks.js';
import { createPreflight } from './preflight/check-host.js';
import type { RunPlan } from './run-plan.js';
import type { HeldRun } from './take-up.js';
import { withoutOwnWords } from './worker-env.js';

/** What is asked of the host and of the user's own commands between attempts. */
export interface BetweenAttempts extends Pick<Parts, 'checkHost' | 'runHook'> {
  close(): Promise<void>;
}

export function betweenAttempts(
  plan: RunPlan,
  { run }: HeldRun,
  checkpointDirs: () => readonly string[],
  notice: (text: string) => void,
): BetweenAttempts {
  const facts = {
    ...{ run: run.name, runDir: run.dir, stateDir: plan.stateDir },
    ...{ cwd: plan.cwd, host: os.hostname() },
  };
  const { argv, preflight: checks } = plan;
  const env = withoutOwnWords(process.env);
  const preflight = createPreflight({ facts, argv, env, checks, checkpointDirs, notice });
  const hooks = createHooks(plan.hooks, facts, notice);
  return {
    checkHost: (question) => preflight.checkHost(question),
    runHook: (name, context, signal) => hooks.run(name, context, signal),
    async close() {
      await preflight.close();
      hooks.close();
    },
  };
}
