import { attemptFiles } from '../engines/local/attempt-files.js';
import { giveUpLaunch, readStatus } from '../engines/local/launch-record.js';
import { readLogEnd } from '../engines/local/log-end.js';
import { exitOf } from '../engines/local/main-watch.js';
import { classify } from '../failure/classify.js';
import type { Exit, Failure } from '../failure/types.js';
import type { Policy } from '../policy/policy.js';
import { summarize } from '../progress/fold.js';
import { attemptDirOf } from '../runs/run-dir.js';
import { maskFailure } from '../supervisor/attempt-watch.js';
import type { Untimed } from '../supervisor/supervise.js';
import { bootId } from '../util/os/boot.js';
import type { HeldRun } from './take-up.js';

/** How much of each log's end a failure is judged by. */
const tailBytes = 1024 * 1024;

/**
 * How the attempt ended that was under way when the supervisor died: from what the shim wrote down and from the logs,
 * judged as if it had been seen. Only called when nothing of the attempt is alive.
 */
export async function aftermathOf(
  { run, history, last }: HeldRun,
  policy: Policy,
): Promise<Untimed | undefined> {
  const { state } = history;
  if (state.name !== 'starting' && state.name !== 'running' && state.name !== 'stopping') return undefined;
  const dir = attemptDirOf(run.dir, state.ledger.attempt);
  const neverStarted = state.name === 'starting' && (await giveUpLaunch(dir));
  const exit: Exit = neverStarted ? { type: 'unknown' } : exitOf(readStatus(dir));
  const { out, err } = attemptFiles(dir);
  const tails = await Promise.all([out, err].map((file) => readLogEnd(file, tailBytes)));
  const failure = explain(
    neverStarted,
    state.ledger.bootId !== bootId(),
    classify({ exit, tails, host: {} }, policy.rules),
  );
  const seen = last?.state.ledger.attempt === state.ledger.attempt ? last.progress : undefined;
  return {
    type: 'exited',
    exit,
    failure: maskFailure(failure),
    summary: seen ? summarize(seen) : { heartbeats: 0, longestPhaseMs: {} },
  };
}

function explain(neverStarted: boolean, rebooted: boolean, failure: Failure): Failure {
  const killed = { kind: 'killed', evidence: [], confidence: 0.9 } as const;
  if (neverStarted) return { ...killed, reason: 'its supervisor died before the command was started' };
  // an exit status that was written down counts, whatever became of the host later
  if (rebooted && failure.kind === 'killed') return { ...killed, reason: 'the host was restarted under it' };
  return failure;
}
