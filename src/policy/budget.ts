import type { Instant } from '../progress/types.js';
import { formatDuration } from '../util/duration.js';
import { formatCount } from '../util/text.js';
import { isOutage } from './ledger.js';
import type { Policy } from './policy.js';
import type { FailureRecord, Ledger } from './state.js';

/** What is to be done about a failure, and why, in words. `paid`: it uses the retry budget. */
export type Verdict =
  | { readonly type: 'retry'; readonly paid: boolean; readonly words: string }
  | { readonly type: 'give-up'; readonly words: string };

/**
 * Decides whether a failure is retried. The ledger already counts it, and was refilled if the attempt got further.
 * @param veto a hook of the user's says that it is permanent, in words
 */
export function judge(
  policy: Policy,
  ledger: Ledger,
  failure: FailureRecord,
  now: Instant,
  veto?: string,
): Verdict {
  if (veto !== undefined) return giveUp(veto);
  if (failure.ruled === 'fail') return giveUp('a rule of the configuration says so');
  if (policy.maxTotalRetries !== undefined && ledger.totalRetries >= policy.maxTotalRetries) {
    return giveUp(`all ${policy.maxTotalRetries} retries of maxTotalRetries are used`);
  }
  if (failure.ruled === 'ignore') return free('a rule of the configuration makes it free');
  if (failure.loading === 'unreadable' && ledger.suspects?.some(({ by }) => by === 'loader'))
    return giveUp(
      'a second checkpoint cannot be loaded though its bytes are good: it is the program that fails',
    );
  if (isPermanent(failure, ledger)) return giveUp(permanentWords(failure, ledger));
  if (failure.kind === 'not-resumed' && failure.ruled === undefined) {
    return giveUp(
      'the training does not resume from its checkpoint: a retry would begin at the beginning again',
    );
  }
  const repeat = repeats(policy, ledger, failure);
  if (repeat) return repeat;
  if (isOutage(failure, ledger.timing.everProgressed) && withinOutage(policy, ledger, now)) {
    const away = isOfTheProgram(failure.kind)
      ? 'it has worked before, so something is away, which'
      : `an outage of ${failure.kind}`;
    return free(`${away} is waited out for ${formatDuration(policy.outageWindowMs)} at most`);
  }
  if (ledger.retriesUsed >= policy.maxRetries) {
    return giveUp(
      policy.maxRetries === 0
        ? 'no retries were asked for (maxRetries 0)'
        : `${policy.maxRetries + 1} failures in a row without getting further`,
    );
  }
  return {
    type: 'retry',
    paid: true,
    words: `retry ${ledger.retriesUsed + 1} of ${policy.maxRetries}`,
  };
}

const giveUp = (why: string): Verdict => ({ type: 'give-up', words: why });
const free = (why: string): Verdict => ({ type: 'retry', paid: false, words: `free retry: ${why}` });

/** Kinds that nothing but a person changes, unless the program has worked before. */
export const isOfTheProgram = (kind: FailureRecord['kind']): boolean =>
  kind === 'command' || kind === 'config' || kind === 'code';

/** A command that cannot be run, an import that fails: nothing but a person changes that, unless it has worked before. */
function isPermanent(failure: FailureRecord, ledger: Ledger): boolean {
  const permanent = isOfTheProgram(failure.kind);
  if (failure.ruled !== undefined) return false;
  // one that trained on after it had caught it
  const misfit = failure.loading === 'misfit' && failure.trainMs === undefined;
  return misfit || (permanent && !ledger.timing.everProgressed);
}

function permanentWords({ loading, kind }: FailureRecord, { codeChanged }: Ledger): string {
  const changed = codeChanged === undefined ? '' : ` (${codeChanged})`;
  if (loading === 'misfit')
    return `the program and its checkpoint do not fit together${changed}: a retry would end the same way, and an older checkpoint too`;
  return `no attempt has got past this failure of ${kind}: a retry would end the same way`;
}

const steplessFactor = 3;

/** The same exception at the same step, again and again: a bug, not bad luck. */
function repeats(policy: Policy, ledger: Ledger, failure: FailureRecord): Verdict | undefined {
  const limit = failure.kind === 'gpu-memory' ? 2 : policy.stopOnRepeat;
  const { repeat } = ledger;
  if (failure.ruled !== undefined) return undefined;
  if (limit === undefined || !repeat) return undefined;
  // where no step tells that it is the same place, more of them must
  if (repeat.count < (repeat.step === undefined ? steplessFactor * limit : limit)) return undefined;
  // a fault of native code repeats like an exception does; who is killed from outside has no fingerprint
  // memory that ran out at one place again and again is asked for there, not taken by others
  if (!['exception', 'gpu-memory', 'host-memory', 'killed'].includes(failure.kind)) return undefined;
  return giveUp(
    `the same failure ${repeat.step === undefined ? 'within minutes of each start' : `at step ${formatCount(repeat.step)}`} ${repeat.count} times: it is deterministic, a restart does not cure it`,
  );
}

function withinOutage(policy: Policy, ledger: Ledger, now: Instant): boolean {
  return ledger.outageSince !== undefined && now.mono - ledger.outageSince.mono <= policy.outageWindowMs;
}
