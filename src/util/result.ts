/** The exit statuses of section 9, by the name of what they mean. */
export const exitStatus = {
  done: 0,
  failed: 1,
  noneActive: 3,
  unknownRun: 4,
  usage: 64,
  /** Another supervisor is at work, or the run was preempted: try again. */
  busy: 75,
  config: 78,
  hang: 124,
  internal: 125,
  cannotRun: 126,
  notFound: 127,
} as const;

/**
 * An expected failure: one clear sentence that names the thing and the way out, and the exit status a command
 * ends with when nothing else can be done about it.
 */
export interface Problem {
  readonly message: string;
  readonly exit: number;
  /** The system's own error code (`ENOSPC`, `EACCES`…), where there was one. */
  readonly code?: string;
}

/** A Problem where only an exception gets through: somebody further out says it. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

export type Result<T, E = Problem> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });

export const fail = (
  message: string,
  exit: number,
  code?: string,
): { readonly ok: false; readonly error: Problem } => ({
  ok: false,
  error: code === undefined ? { message, exit } : { message, exit, code },
});
