import { withKept } from '../checkpoints/include/with-kept.js';
import { openCheckpointFolders } from '../checkpoints/many/open.js';
import { selectCheckpoint } from '../checkpoints/select.js';
import { isUsable } from '../policy/checkpoint.js';
import { ProgressBar } from '../report/progress-bar.js';
import type { StateRecord } from '../report/status-view.js';
import type { Run } from '../runs/run-dir.js';
import { readState } from '../runs/state-file.js';
import { writeVersioned } from '../runs/versioned-file.js';
import type { CheckpointFact, CheckpointStore, RollbackRequest } from '../supervisor/ports.js';
import { exitStatus, ok, type Result } from '../util/result.js';
import { openForVerb, sayNotice } from './checkpoints-open.js';
import { type CheckpointPlace, placeOf, type PlaceOptions } from './checkpoints-place.js';
import { refuse } from './refuse.js';
import { holdRun } from './rollback-hold.js';
import { loadConfig } from '../config/load.js';
import { seekerOf } from './seeker.js';
import { isNothing, rollbackJson, rollbackText, type RollbackReport } from './rollback-report.js';
import { systemClock } from './run-parts.js';

export interface RollbackOptions extends PlaceOptions {
  readonly to?: string;
  /** A transaction; `true`: the last one. */
  readonly undo?: string | true;
  readonly stop?: true;
  readonly dryRun?: true;
}

/** How long verification may take before a choice is made, ms. */
const verifyBudgetMs = 30 * 60_000;

/**
 * `trainguard rollback [run] --to …`: makes the next attempt resume from a chosen checkpoint; `--undo` takes the last
 * rollback back. What is in the way is moved into quarantine, nothing is deleted. Refuses while the run is active,
 * unless told to stop it first.
 */
export async function rollback(named: string | undefined, given: RollbackOptions): Promise<number> {
  const { name, options } = untangle(named, given);
  const json = options.json === true;
  const wrong = wrongOptions(options);
  if (wrong !== undefined) return refuse({ message: wrong, exit: exitStatus.usage }, json);
  const place = await placeOf(name, options);
  if (!place.ok) return refuse(place.error, json);
  const { run } = place.value;
  const held =
    run && !options.dryRun ? await holdRun(run, options.stop === true) : ok(() => Promise.resolve());
  if (!held.ok) return refuse(held.error, json);
  try {
    const report = await inStore(place.value, options);
    if (!report.ok) return refuse(report.error, json);
    if (json) process.stdout.write(`${JSON.stringify(rollbackJson(report.value))}\n`);
    else if (!options.quiet) process.stdout.write(rollbackText(report.value));
    return exitStatus.done;
  } finally {
    await held.value();
  }
}

/** `rollback --undo digits` means the run: what follows the flag is a transaction only if it looks like one. */
function untangle(
  name: string | undefined,
  options: RollbackOptions,
): { readonly name: string | undefined; readonly options: RollbackOptions } {
  const { undo } = options;
  if (typeof undo !== 'string' || name !== undefined || /^\d{8}T\d{9}Z-/.test(undo)) return { name, options };
  return { name: undo, options: { ...options, undo: true } };
}

function wrongOptions({ to, undo, dryRun }: RollbackOptions): string | undefined {
  if (to === undefined && undo === undefined)
    return 'say where to with --to (latest, previous, best, safe, step:N, or a name), or --undo';
  if (to !== undefined && undo !== undefined) return '--to and --undo are two ways; take one';
  return undo !== undefined && dryRun ? '--dry-run goes with --to' : undefined;
}

async function inStore(place: CheckpointPlace, options: RollbackOptions): Promise<Result<RollbackReport>> {
  const dryRun = options.dryRun === true;
  const loaded = await loadConfig(seekerOf(options));
  if (!loaded.ok) return loaded;
  const opened = await openCheckpointFolders(
    place.dirs,
    async (dir) => {
      const one = await openForVerb(dir, place, options, dryRun);
      return one.ok ? ok({ store: one.value.store, release: () => one.value.close() }) : one;
    },
    systemClock,
    sayNotice,
  );
  if (!opened.ok) return opened;
  const clean = loaded.value.config.checkpoints?.clean ?? [];
  const store = await withKept(opened.value.store, {
    ...{ clean, stateDir: place.stateDir, cwd: process.cwd(), notice: sayNotice },
  });
  try {
    // what spans several folders is finished when all of them are there
    const recovered = dryRun ? ok([]) : await store.recover();
    if (!recovered.ok) return recovered;
    recovered.value.forEach(sayNotice);
    const report =
      options.to === undefined
        ? await takeBack(store, typeof options.undo === 'string' ? options.undo : undefined)
        : await rollTo(store, options.to, options);
    if (report.ok && place.run && !dryRun) await refresh(place.run, report.value.target);
    return report;
  } finally {
    await store.close();
    await opened.value.release();
  }
}

async function rollTo(
  store: CheckpointStore,
  to: string,
  options: RollbackOptions,
): Promise<Result<RollbackReport>> {
  const found = await store.inspect({ live: false, budgetMs: verifyBudgetMs });
  if (!found.ok) return found;
  const { checkpoints } = found.value;
  const target = await chooseSound(store, checkpoints, to);
  if (!target.ok) return target;
  const newer = checkpoints.slice(checkpoints.indexOf(target.value) + 1).reverse();
  const moves = newer.filter((one) => !one.spare).map((one) => one.id);
  const request = { target: target.value.id, moves, reason: `rollback --to ${to}` };
  const plan = await store.plan(request);
  if (!plan.ok) return plan;
  const dryRun = options.dryRun === true;
  const report = { target: target.value, plan: plan.value, dryRun, undo: false };
  if (dryRun || isNothing(plan.value)) return ok(report);
  const done = await withBar(options, (onProgress) => store.rollback({ ...request, ...onProgress }));
  return done.ok ? ok({ ...report, done: done.value }) : done;
}

/** The checkpoint that is meant, once its bytes were read; for one that is damaged the next one that `to` fits. */
async function chooseSound(
  store: CheckpointStore,
  checkpoints: readonly CheckpointFact[],
  to: string,
): Promise<Result<CheckpointFact>> {
  const best = await store.best();
  const damaged = new Map<CheckpointFact, string>();
  for (;;) {
    const known = checkpoints.map((one): CheckpointFact => {
      const why = damaged.get(one);
      return why === undefined ? one : { ...one, standing: 'corrupt', why };
    });
    const target = selectCheckpoint(known, to, best);
    if (!target.ok) return target;
    const vetted = await store.vet(target.value.id);
    if (!vetted.ok) return vetted;
    if (vetted.value === undefined) return target;
    damaged.set(target.value, vetted.value);
    sayNotice(`${JSON.stringify(target.value.id)} is damaged: ${vetted.value}`);
  }
}

async function takeBack(store: CheckpointStore, tx: string | undefined): Promise<Result<RollbackReport>> {
  const done = await store.undo(tx);
  if (!done.ok) return done;
  const found = await store.inspect({ live: false, budgetMs: verifyBudgetMs });
  if (!found.ok) return found;
  const target = found.value.checkpoints.findLast((one) => isUsable(one.standing) && !one.spare);
  const plan = { moves: [], restores: [], others: [] };
  return ok({ target, plan, done: done.value, dryRun: false, undo: true });
}

/** Shows on a terminal how far the copying is. */
async function withBar<T>(
  { quiet }: RollbackOptions,
  work: (on: Pick<RollbackRequest, 'onProgress'>) => Promise<T>,
): Promise<T> {
  const { stderr } = process;
  if (!stderr.isTTY || quiet === true || process.env['TERM'] === 'dumb') return work({});
  const bar = new ProgressBar('restoring', {
    write: (text) => void stderr.write(text),
    columns: () => stderr.columns || 80,
    mono: () => systemClock.mono(),
  });
  try {
    return await work({ onProgress: (done) => bar.update(done) });
  } finally {
    bar.end();
  }
}

/** What `status` shows as the newest checkpoint is the target from now on. The run's lock is ours. */
async function refresh(run: Run, target: CheckpointFact | undefined): Promise<void> {
  const record = await readState<StateRecord>(run.paths.state);
  if (!record.ok || !record.value || !target) return;
  const { safe } = record.value.checkpoints ?? {};
  const checkpoints = {
    latest: target,
    ...(target.standing === 'safe'
      ? { safe: target }
      : safe && safe.modifiedAt <= target.modifiedAt && { safe }),
  };
  const written = await writeVersioned(run.paths.state, { ...record.value, checkpoints });
  if (!written.ok) sayNotice(written.error.message);
}
