/** Why the attempt ends: somebody ordered it, or the main process ended by itself, well or not. */
export type EndCause = 'order' | 'success' | 'crash';

export interface LeftoverRule {
  readonly cause: EndCause;
  /** When the main process had ended, and now; monotonic ms. */
  readonly begunMono: number;
  readonly nowMono: number;
  readonly graceMs: number;
  /** When an order's grace is over. */
  readonly killAtMono: number;
}

/** What a crash leaves to those who write no checkpoint, and a SIGTERM to those who had time to finish, ms. */
export const shortGraceMs = 2000;

/**
 * What is done to one process that outlived the main one (DESIGN section 4). Ordered: SIGTERM at once and the rest of
 * the grace. After success: the grace to finish (uploads), then it is stopped. After a crash: 2 s, but an asynchronous
 * writer of a checkpoint is left alone until it has closed its file, at most the grace.
 * @param idleSinceMono since when it has no checkpoint file open for writing; undefined: it has one now
 */
export function judgeLeftover(
  rule: LeftoverRule,
  idleSinceMono: number | undefined,
): 'leave' | 'term' | 'kill' {
  const { cause, begunMono, nowMono, graceMs, killAtMono } = rule;
  const graceEndMono = begunMono + graceMs;
  switch (cause) {
    case 'order':
      return nowMono < killAtMono ? 'term' : 'kill';
    case 'success':
      if (nowMono < graceEndMono) return 'leave';
      return nowMono < graceEndMono + shortGraceMs ? 'term' : 'kill';
    case 'crash':
      if (idleSinceMono === undefined) return nowMono < graceEndMono ? 'leave' : 'kill';
      return nowMono < idleSinceMono + shortGraceMs ? 'term' : 'kill';
  }
}
