import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openCheckpointStore } from '../checkpoints/open.js';
import { isGlob } from '../checkpoints/many/glob.js';
import type { LayoutName } from '../checkpoints/layouts/registry.js';
import type { TrialFacts } from '../report/doctor-trial.js';
import type { CheckpointStore } from '../supervisor/ports.js';
import { formatDuration } from '../util/duration.js';
import { files } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import type { GlobalOptions } from '../cli.js';
import { type DrillPlace, makePlace } from './drill-place.js';
import { watchTrial } from './doctor-watch.js';
import { createOutput } from './output.js';
import type { RunPlan } from './run-plan.js';
import { systemClock } from './run-parts.js';
import { scratchServer } from './scratch-server.js';
import type { RunServer } from './serve-run.js';
import { listenToSignals } from './signals.js';

/** How long a trial lasts unless told, ms. */
const usualMs = 60_000;
/** A checkpoint left alone for so long is complete, ms: it is only for a trial. */
const settleMs = 300;

export interface Tried {
  readonly facts: TrialFacts;
  /** A signal ended it: the exit status that says so. */
  readonly stoppedBy?: number;
}

/**
 * Runs the command for a short time and looks at what it prints. It saves into a scratch folder, as in a drill; where
 * no checkpoint folder is known it works where it always does.
 * @param ms how long at most
 */
export async function tryCommand(
  plan: RunPlan,
  options: GlobalOptions,
  ms = usualMs,
): Promise<Result<Tried>> {
  const [dir, ...more] = plan.checkpoints?.dirs ?? [];
  if (more.length > 0 || (dir !== undefined && isGlob(dir)))
    return fail('a trial takes one checkpoint folder, without globs', exitStatus.config);
  const made = dir === undefined ? ok(await placeForLogs(plan)) : await makePlace(plan.argv, plan.cwd, dir);
  if (!made.ok) return made;
  const place = made.value;
  const output = createOutput(options);
  const [stop, kill] = [new AbortController(), new AbortController()];
  let stoppedBy: number | undefined;
  const unlisten = listenToSignals({
    stop(by) {
      if (stoppedBy !== undefined) kill.abort();
      stoppedBy ??= by === 'interrupt' ? 130 : 143;
      stop.abort();
    },
    hangup: () => output.detach(),
  });
  const where = dir === undefined ? `in ${plan.cwd}, as it always does` : `and saves below ${place.root}`;
  output.say([{ tone: 'start', text: `trial · it trains for up to ${formatDuration(ms)} ${where}` }]);
  let store: CheckpointStore | undefined;
  let server: RunServer | undefined;
  try {
    const opened = dir === undefined ? ok(undefined) : await openScratch(plan, place);
    if (!opened.ok) return opened;
    store = opened.value;
    const served = await scratchServer(plan, place.root, (tone, text) => output.say([{ tone, text }]));
    if (!served.ok) return served;
    server = served.value;
    const seen = await watchTrial({
      plan,
      place,
      store,
      server,
      ms,
      stopped: stop.signal,
      killed: kill.signal,
    });
    return seen.ok ? ok({ facts: seen.value, ...(stoppedBy !== undefined && { stoppedBy }) }) : seen;
  } finally {
    await server?.close();
    await store?.close();
    await place.remove();
    unlisten();
  }
}

/** The training works where it always does; only its logs lie apart. */
async function placeForLogs({ argv, cwd }: RunPlan): Promise<DrillPlace> {
  const root = path.join(await fs.realpath(os.tmpdir()), `trainguard-doctor-${randomUUID()}`);
  await files.mkdir(root, { mode: 0o700 });
  const remove = (): Promise<void> => files.rm(root, { recursive: true, force: true, maxRetries: 5 });
  return { root, argv, cwd, checkpointDir: root, remove };
}

const openScratch = (plan: RunPlan, place: DrillPlace): Promise<Result<CheckpointStore>> =>
  openCheckpointStore({
    dir: place.checkpointDir,
    guessed: false,
    layout: (plan.checkpoints?.layout ?? 'auto') as 'auto' | LayoutName,
    settleMs,
    provenAfterMs: plan.policy.provenAfterMs,
    runId: randomUUID(),
    runStartedAt: systemClock.now(),
    clock: systemClock,
    onNotice: () => undefined,
  });
