import type { FailureRecord } from '../policy/state.js';
import type { HookContext } from '../supervisor/parts.js';
import { maskText } from '../util/mask.js';
import { withoutOwnWords } from './worker-env.js';

/** Which run a command of the user's is called for. */
export interface RunFacts {
  readonly run: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly cwd: string;
  readonly host: string;
}

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * What a command gets on stdin: one JSON object on a line, secrets masked. Keys are only ever added to it
 * (docs/hooks.md).
 * @param at ms since 1970
 */
export function hookInput(hook: string, facts: RunFacts, at: number, context: Partial<HookContext>): string {
  const { failure, ...rest } = context;
  const value = {
    ...{ schemaVersion: 1, hook, at: new Date(at).toISOString(), ...facts, ...rest },
    ...(failure && { failure: tellFailure(failure) }),
  };
  const mask = (_key: string, one: unknown): unknown => (typeof one === 'string' ? maskText(one) : one);
  return `${JSON.stringify(value, mask)}\n`;
}

/** The most a variable holds, characters: the kernel takes 128 KiB in bytes, and all of them together count, too. */
const mostChars = 16 * 1024;

/** The same in short for the environment, which is otherwise the user's own. */
export function hookEnv(
  user: Variables,
  hook: string,
  facts: RunFacts,
  { attempt, failure, rollback, reason }: Partial<HookContext>,
): Record<string, string> {
  // a trainguard that is called inside finds this run; it is no worker of it
  const { TRAINGUARD_RUN_ID: _worker, ...env } = withoutOwnWords(user);
  const words: Readonly<Record<string, string | number | undefined>> = {
    TRAINGUARD_HOOK: hook,
    TRAINGUARD_RUN: facts.run,
    TRAINGUARD_RUN_DIR: facts.runDir,
    TRAINGUARD_STATE_DIR: facts.stateDir,
    TRAINGUARD_ATTEMPT: attempt,
    TRAINGUARD_FAILURE_KIND: failure?.kind,
    TRAINGUARD_FAILURE_REASON: failure && maskText(failure.reason),
    TRAINGUARD_FAILURE_STEP: failure?.step,
    TRAINGUARD_CHECKPOINT: rollback?.target ?? failure?.rolledBackTo?.id,
    TRAINGUARD_REASON: reason === undefined ? undefined : maskText(reason),
  };
  for (const [name, value] of Object.entries(words)) {
    // what a training wrote may hold a NUL, which no environment can
    if (value !== undefined) env[name] = String(value).replaceAll('\0', '\\0').slice(0, mostChars);
  }
  return env;
}

/** The part of a failure that is a promise. */
const tellFailure = (failure: FailureRecord): object => ({
  attempt: failure.attempt,
  at: new Date(failure.at).toISOString(),
  kind: failure.kind,
  reason: failure.reason,
  advice: failure.advice,
  evidence: failure.evidence,
  confidence: failure.confidence,
  signature: failure.signature,
  fingerprint: failure.fingerprint,
  step: failure.step,
  exit: failure.exit,
  action: failure.action,
  resumedFrom: failure.resumedFrom?.path,
  rolledBackTo: failure.rolledBackTo,
  quarantined: failure.quarantined,
});
