import type { PastFailure, RecoveryDecision } from './decision.js';
import type { RecoveryStatus } from './recursive-types.js';

const reasonsKept = 100;
const failuresKept = 50;

/** What is remembered of the recoveries of one training. */
export class RecoveryRecord {
  #past: readonly PastFailure[] = [];
  #inARow = 0;
  #isRetrying = false;
  #status: RecoveryStatus = {
    ...{ lastRecoveryStatus: null, recovering: false, attempts: 0, reasons: [], lastFailure: null },
  };

  /** Failures that the next decision rests on, the oldest first. */
  get past(): readonly PastFailure[] {
    return this.#past;
  }

  get status(): RecoveryStatus {
    return structuredClone(this.#status);
  }

  begin(): void {
    this.#status = { ...this.#status, recovering: true, attempts: 0, reasons: [] };
  }

  /** The training got further than at any failure before: they use no retries any more. */
  noteProgress(): void {
    this.#past = this.#past.map((one) => ({ ...one, cured: true })).slice(-failuresKept);
    this.#inARow = 0;
  }

  /** @returns how often in a row the training failed of what it may have been resumed from, without getting further */
  noteDoubt(ofTheState: boolean): number {
    this.#inARow = ofTheState ? this.#inARow + 1 : 0;
    return this.#inARow;
  }

  /** Whether the step lies beyond those of all failures before. */
  isBeyond(step: number | undefined): boolean {
    const before = this.#past.flatMap((one) => one.step ?? []);
    return step !== undefined && before.length > 0 && before.every((one) => one < step);
  }

  /** Of what was cured only its coming back counts; who gave up and is called again begins anew. */
  end(recovered: boolean): void {
    this.noteProgress();
    if (!recovered) this.#past = [];
    this.#status = {
      ...this.#status,
      ...{ recovering: false, lastRecoveryStatus: recovered ? 'success' : 'failed' },
    };
  }

  noteFailure(decision: RecoveryDecision, step: number | undefined): void {
    const { kind, fingerprint, reason, retry, why } = decision;
    const failure: PastFailure = {
      kind,
      ...(fingerprint !== undefined && { fingerprint }),
      ...(step !== undefined && { step }),
    };
    this.#past = [...this.#past, failure];
    this.#status = { ...this.#status, lastFailure: decision };
    this.note(`${reason}; ${retry ? why : `gave up: ${why}`}`);
  }

  /** Whether `retry` runs. */
  get isRetrying(): boolean {
    return this.#isRetrying;
  }

  /** The call of `retry` is over. */
  noteAttemptOver(): void {
    this.#isRetrying = false;
  }

  /** `retry` is called now. @returns how often it was by then */
  noteAttempt(): number {
    this.#isRetrying = true;
    const attempts = this.#status.attempts + 1;
    this.#status = { ...this.#status, attempts };
    return attempts;
  }

  note(reason: string): void {
    const { reasons } = this.#status;
    // said already, with the failure
    if (reasons.at(-1)?.endsWith(reason)) return;
    this.#status = { ...this.#status, reasons: [...reasons, reason].slice(-reasonsKept) };
  }
}
