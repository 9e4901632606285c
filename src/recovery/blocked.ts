import type { Problem } from '../util/result.js';
import { classifyReport } from './classify-report.js';
import type { RecoveryFailure, RecoveryKind } from './decision.js';

/** A retry could not even begin. It uses a retry, and the next wait is longer. */
export class Blocked extends Error {
  readonly failure: RecoveryFailure;

  private constructor(failure: RecoveryFailure) {
    super(failure.reason);
    this.name = 'Blocked';
    this.failure = failure;
  }

  /** @param words goes on after `it waits for` */
  static lacking({ kind, words }: { readonly kind: RecoveryKind; readonly words: string }): Blocked {
    return new Blocked({ kind, reason: `the retry could not begin: it waits for ${words}` });
  }

  static byFolder({ message, code }: Problem): Blocked {
    const { kind } = classifyReport({ message, ...(code !== undefined && { code }) });
    const known = kind === 'exception' || kind === 'unknown' ? 'storage' : kind;
    return new Blocked({ kind: known, reason: `the rollback failed: ${message}` });
  }
}

/** No checkpoint may be resumed from, though there were good ones. */
export class Stuck extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'Stuck';
  }
}
