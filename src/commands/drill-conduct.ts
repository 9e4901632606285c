import type { LocalEngine } from '../engines/local/engine.js';
import { type CheckpointFact, isUsable } from '../policy/checkpoint.js';
import { chooseRollback } from '../policy/rollback-choice.js';
import type { AttemptSeen, DrillFacts, DrillTarget, NoTarget } from '../report/drill-facts.js';
import type { Line } from '../report/narrate.js';
import type { CheckpointStore, LaunchSpec } from '../supervisor/ports.js';
import { formatDuration } from '../util/duration.js';
import { stampsIn } from '../util/os/dir-walk.js';
import { maskArgv } from '../util/mask.js';
import { ok, type Result } from '../util/result.js';
import { formatCount } from '../util/text.js';
import { attemptDirIn, type DrillAttempt, runAttempt, type Watching } from './drill-attempt.js';
import type { DrillPlace } from './drill-place.js';
import { verifyBudgetMs, watchForCheckpoint } from './drill-watch.js';
import { applyResume } from './resume.js';
import { recipeFor } from './resume-plan.js';
import type { RunPlan } from './run-plan.js';
import type { RunServer } from './serve-run.js';
import { withoutServer, workerEnv } from './worker-env.js';

export interface Drill {
  readonly plan: RunPlan;
  readonly place: DrillPlace;
  readonly engine: LocalEngine;
  /** Of the scratch folder. */
  readonly store: CheckpointStore;
  /** Where its workers report by HTTP. */
  readonly server: RunServer | undefined;
  readonly runId: string;
  /** The training's own folder, which nothing may be written into. */
  readonly realDir: string;
  readonly timeoutMs: number;
  readonly aborted: AbortSignal;
  readonly say: (tone: Line['tone'], text: string) => void;
}

/** What the two attempts showed. */
export type Conducted = Pick<DrillFacts, 'first' | 'second' | 'target'>;

/** Trains until a checkpoint is complete, kills, rolls back, relaunches, and watches where it begins. */
export async function conductDrill(drill: Drill): Promise<Result<Conducted>> {
  const { say } = drill;
  const watch = watchForCheckpoint(drill);
  const real = await contentOf(drill.realDir);
  const escaped = async (): Promise<boolean> => (await contentOf(drill.realDir)) !== real;
  const first = await attempt(
    drill,
    0,
    undefined,
    async (watching) => (await watch.enough(watching)) || (await escaped()),
  );
  if (!first.ok) return first;
  if (await escaped()) return ok(withoutTarget(first.value.seen, { type: 'escaped', dir: drill.realDir }));
  if (drill.aborted.aborted) return ok(withoutTarget(first.value.seen, { type: 'none' }));
  tellEnd(drill, first.value.seen);
  const target = await rollBack(drill, first.value, watch.savedAt);
  if (!target.ok) return target;
  if ('type' in target.value) return ok(withoutTarget(first.value.seen, target.value));
  const { path, step } = target.value;
  say(
    'rollback',
    `rolled back to ${target.value.id}${step === undefined ? '' : ` at step ${formatCount(step)}`}`,
  );
  const resume = { path, ...(step !== undefined && { step }) };
  const second = await attempt(drill, 1, resume, ({ progress }) =>
    Promise.resolve(progress.firstStep !== undefined),
  );
  if (!second.ok) return second;
  const { seen, timedOut } = second.value;
  return ok({
    first: first.value.seen,
    target: target.value,
    second: { ...seen, ...(timedOut && { timedOutAfterMs: drill.timeoutMs }) },
  });
}

/** What lies in the top level of a folder, and how old it is. */
const contentOf = async (dir: string): Promise<string> =>
  (await stampsIn(dir)).map(({ path, size, mtimeNs }) => `${path} ${size} ${mtimeNs}`).join('\n');

const withoutTarget = (first: AttemptSeen, target: NoTarget): Conducted => ({ first, target });

async function attempt(
  drill: Drill,
  number: number,
  resume: { path: string; step?: number } | undefined,
  enough: (watching: Watching) => Promise<boolean>,
): Promise<Result<DrillAttempt>> {
  const { plan, place, store, server, runId, engine, timeoutMs, aborted, say } = drill;
  const point = resume && { ...resume, dir: store.dir };
  const { argv, env } = applyResume(place.argv, recipeFor(plan.resume, store.layout), point);
  const launch = {
    type: 'launch' as const,
    attempt: number,
    ...(resume && { resume, lastFailure: 'killed' as const }),
  };
  const spec: LaunchSpec = {
    attemptDir: attemptDirIn(place.root, number),
    attempt: number,
    argv,
    cwd: place.cwd,
    // shells and some scripts believe PWD
    env: {
      ...workerEnv(withoutServer(process.env), launch, store.dir, { ...server?.begin(number), ...env }),
      PWD: place.cwd,
    },
    runId,
    stopSignal: plan.policy.stop.signal,
    stdin: 'null',
  };
  say('start', `attempt ${number} · ${maskArgv(argv).join(' ')}`);
  return runAttempt(engine, spec, { timeoutMs, aborted }, enough, server?.hearLines);
}

/** Puts the folder in order as a run would, and says what the next attempt goes on from. */
async function rollBack(
  { store, timeoutMs, aborted }: Drill,
  first: DrillAttempt,
  savedAt: number | undefined,
): Promise<Result<DrillTarget | NoTarget>> {
  const { seen, watching, timedOut } = first;
  const found = await store.inspect({
    live: false,
    budgetMs: verifyBudgetMs,
    signal: aborted,
    ...(seen.lastStep !== undefined && { step: seen.lastStep }),
  });
  if (!found.ok) return found;
  const { checkpoints, disorder } = found.value;
  if (checkpoints.every(({ spare }) => spare))
    return ok({ type: 'none', ...(timedOut && { timedOutAfterMs: timeoutMs }) });
  // of a training that came to its end, one from before it: behind the last there is nothing to go on with
  const beforeStep = seen.ended && seen.lastStep;
  const choice = chooseRollback({
    checkpoints,
    guessed: false,
    rollbackEnabled: true,
    allowScratch: false,
    everVerified: true,
    mayBeginAnew: false,
    ...(beforeStep !== undefined && { bad: { step: beforeStep } }),
    ...(disorder !== undefined && { disorder }),
  });
  const newest = checkpoints.at(-1);
  if (choice.type === 'stuck' && seen.ended && newest && isUsable(newest.standing))
    return ok({
      type: savedAt !== undefined && savedAt < (seen.lastStep ?? 0) ? 'too-short' : 'at-the-end',
      id: newest.id,
    });
  const target = choice.type === 'stuck' ? undefined : choice.type === 'keep' ? choice.resume : choice.target;
  if (!target)
    return ok({ type: 'damaged', why: choice.type === 'stuck' ? choice.reason : 'none is complete' });
  if (choice.type === 'roll-back') {
    const done = await store.rollback({ target: target.id, moves: choice.moves, reason: choice.reason });
    if (!done.ok) return done;
  }
  return ok(targetOf(target, watching));
}

/** The step is the name's, or else the last one known to have come before the save: what is read late looks later. */
function targetOf(fact: CheckpointFact, watching: Watching): DrillTarget {
  const { id, path, step, number, modifiedAt } = fact;
  const exact = step !== undefined && step === number;
  const before = exact ? undefined : watching.before(modifiedAt)?.step;
  const at = step !== undefined && before !== undefined ? Math.min(step, before) : (step ?? before);
  const loss = at === undefined ? undefined : watching.upTo(at)?.loss;
  return { id, path, ...(at !== undefined && { step: at }), ...(loss !== undefined && { loss }) };
}

function tellEnd({ say }: Drill, { ended, lastStep, seconds }: AttemptSeen): void {
  const at = lastStep === undefined ? '' : ` at step ${formatCount(lastStep)}`;
  say(
    'note',
    `attempt 0 ${ended ? 'ended by itself' : 'was killed'}${at}, after ${formatDuration(seconds * 1000)}`,
  );
}
