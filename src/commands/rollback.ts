import { existsSync } from 'node:fs';
import path from 'node:path';
import type { GlobalOptions } from '../cli.js';
import type { LayoutName } from '../checkpoints/layouts/registry.js';
import { openCheckpointStore } from '../checkpoints/open.js';
import { selectCheckpoint } from '../checkpoints/select.js';
import { findLivingWorker } from '../engines/local/launch-record.js';
import type { StateRecord } from '../report/status-view.js';
import { checkpointRegistryOf, type Run } from '../runs/run-dir.js';
import { writeVersioned } from '../runs/versioned-file.js';
import { readState } from '../runs/state-file.js';
import type { CheckpointStore } from '../supervisor/ports.js';
import { acquireLock } from '../util/os/lock.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { formatCount } from '../util/text.js';
import { findRun } from './find-run.js';
import { refuse } from './refuse.js';
import { systemClock } from './run-parts.js';
import { stateDirOf } from './seeker.js';
import { livingOrphan, look, stopAndWait } from './stop-wait.js';
import { takeOver } from './take-over.js';

export interface RollbackOptions extends GlobalOptions {
  readonly to: string;
  readonly checkpointDir?: string;
  readonly layout?: string;
  readonly vault?: string;
  readonly stop?: true;
  readonly dryRun?: true;
}

/** How long verification may take before a choice is made, ms. */
const verifyBudgetMs = 30 * 60_000;

/** A checkpoint folder to roll back, and whose it is. */
interface Place {
  readonly dir: string;
  readonly layout: 'auto' | LayoutName;
  readonly vault?: string;
  readonly guessed: boolean;
  readonly run?: Run;
}

/**
 * `trainguard rollback [run] --to …`: makes the next attempt resume from a chosen checkpoint. Newer ones are moved into
 * quarantine, nothing is deleted. Refuses while the run is active, unless told to stop it first.
 */
export async function rollback(name: string | undefined, options: RollbackOptions): Promise<number> {
  const json = options.json === true;
  const stateDir = await stateDirOf(options);
  if (!stateDir.ok) return refuse(stateDir.error, json);
  const place = await placeOf(name, options, stateDir.value);
  if (!place.ok) return refuse(place.error, json);
  const undo: (() => Promise<void>)[] = [];
  try {
    const held = options.dryRun ? ok(undefined) : await hold(place.value, options, undo);
    if (!held.ok) return refuse(held.error, json);
    const done = await rollBack(place.value, options, stateDir.value, undo);
    return done.ok ? exitStatus.done : refuse(done.error, json);
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function placeOf(
  name: string | undefined,
  options: RollbackOptions,
  stateDir: string,
): Promise<Result<Place>> {
  const given = {
    ...(options.layout !== undefined && { layout: options.layout as LayoutName }),
    ...(options.vault !== undefined && { vault: path.resolve(options.vault) }),
  };
  if (options.checkpointDir !== undefined && name === undefined) {
    return ok({ layout: 'auto', ...given, dir: path.resolve(options.checkpointDir), guessed: false });
  }
  const found = await findRun(stateDir, name);
  if (!found.ok) return found;
  const run = found.value;
  const record = await readState<StateRecord>(run.paths.state);
  if (!record.ok) return record;
  const settings = record.value?.settings;
  const dir =
    options.checkpointDir === undefined ? settings?.checkpointDir : path.resolve(options.checkpointDir);
  if (dir === undefined) {
    return fail(
      `run ${run.name} has no checkpoint folder; name one with --checkpoint-dir`,
      exitStatus.config,
    );
  }
  return ok({
    layout: (settings?.layout ?? 'auto') as 'auto' | LayoutName,
    ...(settings?.vault !== undefined && { vault: settings.vault }),
    ...given,
    dir,
    guessed: false, // a person who names a checkpoint of it has seen the folder
    run,
  });
}

/** Nobody else may touch the run meanwhile. */
async function hold(
  place: Place,
  options: RollbackOptions,
  undo: (() => Promise<void>)[],
): Promise<Result<void>> {
  const { run } = place;
  if (!run) return ok(undefined);
  const found = await look(run);
  if (!found.ok) return found;
  const { active, supervisor } = found.value;
  if (active && !options.stop) {
    const who = supervisor
      ? `pid ${supervisor.pid} on host ${supervisor.host}`
      : 'a process that does not answer';
    return fail(`run ${run.name} is active (${who}); stop it first, or add --stop`, exitStatus.busy);
  }
  const orphan = active ? undefined : await livingOrphan(found.value);
  if (orphan !== undefined) {
    const text = `run ${run.name} has no supervisor, but its worker lives on: pid ${orphan}; stop it first ("trainguard stop ${run.name}"), or add --stop`;
    if (!options.stop) return fail(text, exitStatus.busy);
    const taken = await takeOver(run);
    if (!taken.ok) return taken;
  }
  if (active || orphan !== undefined) {
    const stopped = await stopAndWait(run);
    if (!stopped.ok) return stopped;
  }
  const lock = await acquireLock({ kind: 'run', run: run.name, dir: run.dir, keepIn: run.dir });
  if (!lock.ok) return lock;
  undo.push(() => lock.value.release());
  const living = await findLivingWorker(run.dir);
  if (!living) return ok(undefined);
  return fail(
    `run ${run.name} has no supervisor, but its worker lives on: pid ${living.pid}; "trainguard stop ${run.name}" stops it`,
    exitStatus.busy,
  );
}

async function rollBack(
  place: Place,
  options: RollbackOptions,
  stateDir: string,
  undo: (() => Promise<void>)[],
): Promise<Result<void>> {
  const { dir, layout, vault, guessed, run } = place;
  const dryRun = options.dryRun ?? false;
  const notices: string[] = [];
  if (!existsSync(dir)) return fail(`there is no folder ${dir}; check its name`, exitStatus.usage);
  const opened = await openCheckpointStore({
    ...{ dir, guessed, layout, clock: systemClock, readOnly: dryRun },
    provenAfterMs: 120_000,
    runId: run?.id ?? 'by-hand',
    runStartedAt: run?.createdAt ?? systemClock.now(),
    onNotice: (text) => notices.push(text),
    ...(vault !== undefined && { vault }),
  });
  if (!opened.ok) return opened;
  const store = opened.value;
  undo.push(() => store.close());
  if (!dryRun && store.vault !== undefined) {
    const lock = await acquireLock({
      kind: 'checkpoints',
      run: run?.name ?? 'rollback',
      dir: store.dir,
      keepIn: store.vault,
      registry: checkpointRegistryOf(stateDir),
    });
    if (!lock.ok) return lock;
    undo.push(() => lock.value.release());
    const recovered = await store.recover();
    if (!recovered.ok) return recovered;
    notices.push(...recovered.value);
  }
  const planned = await plan(store, options.to);
  if (!planned.ok) return planned;
  const { target, moves } = planned.value;
  const applied =
    dryRun || moves.length === 0
      ? ok({ tx: undefined, moved: [] })
      : await store.rollback({ target: target.id, moves, reason: `rollback --to ${options.to}` });
  if (!applied.ok) return applied;
  if (run && !dryRun) await refresh(run, target, notices);
  report(options, { target, moves, tx: applied.value.tx, moved: applied.value.moved, notices });
  return ok(undefined);
}

/** What `status` shows as the newest checkpoint is the target from now on. The run's lock is ours. */
async function refresh(run: Run, target: Fact, notices: string[]): Promise<void> {
  const record = await readState<StateRecord>(run.paths.state);
  if (!record.ok || !record.value) return;
  const { safe } = record.value.checkpoints ?? {};
  const checkpoints = {
    latest: target,
    ...(target.standing === 'safe'
      ? { safe: target }
      : safe && safe.modifiedAt <= target.modifiedAt && { safe }),
  };
  const written = await writeVersioned(run.paths.state, { ...record.value, checkpoints });
  if (!written.ok) notices.push(written.error.message);
}

async function plan(
  store: CheckpointStore,
  selector: string,
): Promise<Result<{ target: Fact; moves: readonly string[] }>> {
  const found = await store.inspect({ live: false, budgetMs: verifyBudgetMs });
  if (!found.ok) return found;
  const { checkpoints } = found.value;
  const target = selectCheckpoint(checkpoints, selector, await store.best());
  if (!target.ok) return target;
  const newer = checkpoints.slice(checkpoints.indexOf(target.value) + 1).reverse();
  return ok({ target: target.value, moves: newer.map((one) => one.id) });
}

type Fact = Extract<
  Awaited<ReturnType<CheckpointStore['inspect']>>,
  { ok: true }
>['value']['checkpoints'][number];

function report(
  options: RollbackOptions,
  done: {
    readonly target: Fact;
    readonly moves: readonly string[];
    readonly tx: string | undefined;
    readonly moved: readonly { readonly id: string; readonly to: string }[];
    readonly notices: readonly string[];
  },
): void {
  const { target, moves, tx, moved, notices } = done;
  for (const text of notices) process.stderr.write(`trainguard: ${text}\n`);
  const step = target.step ?? target.number ?? null;
  if (options.json) {
    const { id, path: file, standing } = target;
    process.stdout.write(
      `${JSON.stringify({ schemaVersion: 1, target: { id, path: file, step, standing }, moves, moved, tx: tx ?? null, dryRun: options.dryRun ?? false })}\n`,
    );
    return;
  }
  if (options.quiet) return;
  const at = step === null ? '' : ` (step ${formatCount(step)}, ${target.standing})`;
  if (moves.length === 0) {
    process.stdout.write(`${target.id}${at} is already the newest checkpoint; nothing was moved\n`);
  } else if (options.dryRun) {
    process.stdout.write(`would roll back to ${target.id}${at}, moving to quarantine: ${moves.join(', ')}\n`);
  } else {
    process.stdout.write(`rolled back to ${target.id}${at}\n`);
    for (const { id, to } of moved) process.stdout.write(`  ${id} → ${to}\n`);
  }
}
