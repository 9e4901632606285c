/** What holds where neither a flag nor the configuration says otherwise. Plain data: any command may load it. */
export const defaults = {
  stateDirName: '.trainguard',
  maxRetries: 3,
  stopOnRepeat: 3,
  outageWindowMs: 2 * 60 * 60_000,
  rollbackEnabled: true,
  allowScratch: false,
  /** Kubernetes' figures for containers that crash. */
  backoff: { initialMs: 10_000, factor: 2, maxMs: 5 * 60_000, jitter: 0.25 },
  health: { nonFinite: 'rollback', spike: 'warn', notResumed: 'stop' },
  stop: { signal: 'SIGTERM', graceMs: 30_000 },
  checkpoints: {
    provenAfterMs: 2 * 60_000,
    verify: 'auto',
    keep: {
      last: 2,
      metric: 'loss',
      mode: 'min',
      folder: false,
      quarantine: { last: 2, withinMs: 7 * 86_400_000 },
    },
  },
  logs: { attemptBytes: 1024 ** 3, runBytes: 5 * 1024 ** 3, attempts: 10 },
  /** Of hooks, preflight checks and commands that notify. */
  commandTimeoutMs: 60_000,
  engine: 'local',
} as const;

/** Longer times than this are typing mistakes, and timers cannot hold them (2^31 ms are 24.8 days). */
export const longestMs = 24 * 24 * 60 * 60_000;
