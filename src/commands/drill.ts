import { randomUUID } from 'node:crypto';
import type { GlobalOptions } from '../cli.js';
import { openCheckpointStore } from '../checkpoints/open.js';
import { layouts, type LayoutName } from '../checkpoints/layouts/registry.js';
import { createLocalEngine } from '../engines/local/engine.js';
import { resolveCommand } from '../engines/local/resolve-command.js';
import type { DrillFacts } from '../report/drill-facts.js';
import { drillLines, drillReport } from '../report/drill-lines.js';
import { judgeDrill } from '../report/drill-verdict.js';
import type { Line } from '../report/narrate.js';
import { maskArgv } from '../util/mask.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { type DrillPlace, makePlace } from './drill-place.js';
import { conductDrill, type Conducted } from './drill-conduct.js';
import { readScript } from './drill-script.js';
import { createOutput } from './output.js';
import { planRun } from './plan-run.js';
import { refuse } from './refuse.js';
import { recipeFor } from './resume-plan.js';
import type { RunPlan } from './run-plan.js';
import { systemClock } from './run-parts.js';
import { scratchServer } from './scratch-server.js';
import type { RunServer } from './serve-run.js';
import { listenToSignals } from './signals.js';

export interface DrillOptions extends GlobalOptions {
  readonly config?: string;
  readonly checkpointDir?: readonly string[];
  readonly layout?: string;
  readonly resumeArgs?: string;
  /** How long each of the two attempts may take to what is waited for, ms. */
  readonly timeout?: number;
}

const defaultTimeoutMs = 10 * 60_000;
/** A checkpoint left alone for so long is complete, ms: it is only for a drill. */
const settleMs = 300;
const logBytes = 256 * 1024 * 1024;
const patienceMs = 10_000;

/**
 * `trainguard drill`: trains in a scratch folder until a checkpoint is complete, kills the training, rolls back,
 * relaunches it, and says whether it resumed.
 * @returns 0 only if that is proven; 1 if not
 */
export async function drill(command: readonly string[], options: DrillOptions): Promise<number> {
  const json = options.json === true;
  const planned = await planRun(command, { ...options, rollback: true });
  if (!planned.ok) return refuse(planned.error, json);
  const plan = planned.value;
  const dir = folderOf(plan);
  if (!dir.ok) return refuse(dir.error, json);
  const known = resolveCommand(plan.argv[0], process.env, plan.cwd);
  if (!known.ok) return refuse(known.error, json);
  const output = createOutput(options);
  const say = (tone: Line['tone'], text: string): void => output.say([{ tone, text }]);
  const stop = new AbortController();
  let stoppedBy: number | undefined;
  const unlisten = listenToSignals({
    stop(by) {
      stoppedBy ??= by === 'interrupt' ? 130 : 143;
      stop.abort();
    },
    hangup: () => output.detach(),
  });
  const made = await makePlace(plan.argv, plan.cwd, dir.value);
  if (!made.ok) {
    unlisten();
    return refuse(made.error, json);
  }
  for (const text of plan.notices) say('warning', text);
  say('start', `drill · ${maskArgv(plan.argv).join(' ')}`);
  say('detail', `in ${made.value.root}; nothing in ${dir.value} is touched`);
  try {
    const conducted = await conduct(plan, made.value, dir.value, options, stop.signal, say);
    if (stoppedBy !== undefined) return stoppedBy;
    if (!conducted.ok) return refuse(conducted.error, json);
    const facts: DrillFacts = conducted.value;
    const verdict = judgeDrill(facts);
    output.say(drillLines(verdict));
    if (json) output.json(drillReport(verdict, facts));
    return verdict.proven ? exitStatus.done : exitStatus.failed;
  } finally {
    await made.value.remove();
    unlisten();
    await output.finish(patienceMs);
  }
}

async function conduct(
  plan: RunPlan,
  place: DrillPlace,
  realDir: string,
  options: DrillOptions,
  aborted: AbortSignal,
  say: (tone: Line['tone'], text: string) => void,
): Promise<Result<DrillFacts>> {
  const runId = randomUUID();
  const store = await openCheckpointStore({
    dir: place.checkpointDir,
    guessed: false,
    layout: (plan.checkpoints?.layout ?? 'auto') as 'auto' | LayoutName,
    settleMs,
    provenAfterMs: plan.policy.provenAfterMs,
    runId,
    runStartedAt: systemClock.now(),
    clock: systemClock,
    onNotice: (text) => say('warning', text),
  });
  if (!store.ok) return store;
  const engine = createLocalEngine({
    logsKeepAttemptBytes: logBytes,
    graceMs: 2000,
    checkpointDirs: [store.value.dir],
    clock: systemClock,
  });
  let server: RunServer | undefined;
  try {
    const served = await scratchServer(plan, place.root, say);
    if (!served.ok) return served;
    server = served.value;
    const conducted: Result<Conducted> = await conductDrill({
      ...{ plan, place, engine, store: store.value, server, runId, aborted, say },
      realDir,
      timeoutMs: options.timeout ?? defaultTimeoutMs,
    });
    if (!conducted.ok) return conducted;
    const layout = store.value.layout;
    const known = layouts.find(({ name }) => name === layout);
    const script = await readScript(plan.argv, plan.cwd);
    return ok({
      ...conducted.value,
      recipeArgs: recipeFor(plan.resume, layout).args ?? [],
      ...(known && known.name !== 'generic' && { framework: `${known.title}: ${known.resume.advice}` }),
      ...(script && { script }),
    });
  } finally {
    await server?.close();
    await store.value.close();
  }
}

function folderOf(plan: RunPlan): Result<string> {
  const [dir, ...more] = plan.checkpoints?.dirs ?? [];
  if (dir === undefined)
    return fail(
      'no checkpoint folder was found in the command; name it with --checkpoint-dir (it need not exist)',
      exitStatus.config,
    );
  if (more.length > 0 || /[*?[]/.test(dir))
    return fail('a drill takes one checkpoint folder, without globs', exitStatus.config);
  return ok(dir);
}
