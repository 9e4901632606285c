import type { Failure, FailureKind } from '../types.js';

/**
 * What a known failure looks like. Data: adding one is adding an entry here and its sample in fixtures/logs, and touches
 * nothing else. The order is the order of precedence.
 *
 * Patterns must take linear time: no quantifier inside a quantified group, and `{0,n}` instead of `*` before something
 * that may fail.
 */
export interface Signature {
  readonly id: string;
  readonly kind: FailureKind;
  /**
   * `exception`: the pattern is tried on the exception that ended a Python program, as `package.Type: message`.
   * `line`: on each of the last lines of the logs. `kernel`: on the kernel's own log.
   */
  readonly where: 'exception' | 'line' | 'kernel';
  readonly pattern: RegExp;
  /** For `line`: another line that must be there too. */
  readonly also?: RegExp;
  /** For `line`: lines from the end that are looked at, where 50 are too few. */
  readonly within?: number;
  /**
   * For `line`: counts too for a process that was killed from outside, because it says who did it. `surely`: even where
   * the program answered the signal with an exception of its own.
   */
  readonly saysWhoKilled?: 'surely' | 'likely';
  /** For `line`: counts for nothing but that. */
  readonly onlyIfKilled?: true;
  /** For `exception`: a frame of the traceback, as `file in function`, that must not be there. */
  readonly notIn?: RegExp;
  /** For `exception`: a frame that must be there. */
  readonly in?: RegExp;
  /** Only with these exit statuses. */
  readonly exitCodes?: readonly number[];
  /**
   * Whether an exception that was caught and raised anew as another (a cause in Python's words) counts too: true where
   * the surroundings failed, false where the program may have had an answer of its own.
   */
  readonly inCause?: boolean;
  /** What it says of the checkpoint that was being loaded. It then counts only where no data set was being read. */
  readonly loading?: NonNullable<Failure['loading']>;
  /** The words alone could come from anything: it counts only where the traceback shows that a checkpoint was loaded. */
  readonly ambiguous?: true;
  /** What happened, in words, as the start of a sentence that goes on with the evidence. */
  readonly explanation: string;
  readonly advice?: string;
  /** The sample in fixtures/logs that shows it. */
  readonly sample: string;
}
