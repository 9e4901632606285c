import type { Effect } from '../policy/effect.js';

/** What of the environment is trainguard's own word to one attempt; never inherited by the next, or by a nested run. */
const ownWords = [
  'TRAINGUARD_ATTEMPT',
  'TRAINGUARD_CHECKPOINT_DIR',
  'TRAINGUARD_RESUME_FROM',
  'TRAINGUARD_RESUME_STEP',
  'TRAINGUARD_LAST_FAILURE',
  'TRAINGUARD_FAIL_STEP',
  'TRAINGUARD_SKIP_FROM_STEP',
  'TRAINGUARD_SKIP_TO_STEP',
  'TRAINGUARD_STATE_DIR',
  'TRAINGUARD_CONFIG',
  // said to hooks, which may start a training of their own
  ...[
    'TRAINGUARD_HOOK',
    'TRAINGUARD_RUN',
    'TRAINGUARD_RUN_DIR',
    'TRAINGUARD_CHECKPOINT',
    'TRAINGUARD_REASON',
  ],
  ...['TRAINGUARD_FAILURE_KIND', 'TRAINGUARD_FAILURE_REASON', 'TRAINGUARD_FAILURE_STEP'],
];

/** The environment of an attempt: the user's, unchanged, and what trainguard tells the script (DESIGN section 9). */
export function workerEnv(
  user: Readonly<Record<string, string | undefined>>,
  launch: Extract<Effect, { type: 'launch' }>,
  checkpointDir: string | undefined,
  resumeEnv: Readonly<Record<string, string>>,
): Record<string, string> {
  const env = withoutOwnWords(user);
  const { resume, hints, lastFailure, attempt, env: asked } = launch;
  const words: Record<string, string | number | undefined> = {
    TRAINGUARD_ATTEMPT: attempt,
    TRAINGUARD_CHECKPOINT_DIR: checkpointDir,
    TRAINGUARD_RESUME_FROM: resume?.path,
    TRAINGUARD_RESUME_STEP: resume?.step,
    TRAINGUARD_LAST_FAILURE: lastFailure,
    TRAINGUARD_FAIL_STEP: hints?.failStep,
    TRAINGUARD_SKIP_FROM_STEP: hints?.skipFromStep,
    TRAINGUARD_SKIP_TO_STEP: hints?.skipToStep,
  };
  for (const [name, value] of Object.entries({ ...asked, ...words, ...resumeEnv })) {
    if (value !== undefined) env[name] = String(value);
  }
  return env;
}

/** A copy of the environment without what trainguard told an attempt, such as one that this trainguard runs in. */
export function withoutOwnWords(user: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(user)) {
    if (value !== undefined && !ownWords.includes(name)) env[name] = value;
  }
  return env;
}

/** A copy of the environment without what names a server for workers, that of another training. */
export const withoutServer = (
  user: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> => ({
  ...user,
  TRAINGUARD_URL: undefined,
  TRAINGUARD_TOKEN: undefined,
  TRAINGUARD_TOKEN_FILE: undefined,
});

/** Inside a worker the environment configures nothing: a nested run is its own. */
export const isInsideWorker = (env: Readonly<Record<string, string | undefined>>): boolean =>
  env['TRAINGUARD_RUN_ID'] !== undefined;
