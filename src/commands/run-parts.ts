import { existsSync } from 'node:fs';
import { createLocalEngine } from '../engines/local/engine.js';
import { type LogsKeep as Keep, pruneLogs } from '../engines/local/log-prune.js';
import type { FiledIncident } from '../report/incident.js';
import { type RunSettings, type RunStatus, type StateRecord, viewRun } from '../report/status-view.js';
import { MetricsFile } from '../runs/metrics.js';
import { takeStopRequest } from '../runs/requests.js';
import { attemptDirOf } from '../runs/run-dir.js';
import { StateFile } from '../runs/state-file.js';
import type { Happening, Live, Parts } from '../supervisor/parts.js';
import type { CheckpointStore, Clock } from '../supervisor/ports.js';
import { bootId, mono } from '../util/os/boot.js';
import { thisPlace } from '../util/os/lock-owner.js';
import { maskArgv } from '../util/mask.js';
import { ok, type Result } from '../util/result.js';
import { betweenAttempts } from './between-attempts.js';
import { codeFacts } from './code-facts.js';
import { inheritanceOf, metricsToCut } from './inheritance.js';
import { launchSpec } from './launch-spec.js';
import { idlePreset, resumeAdvice } from './resume-plan.js';
import type { RunPlan } from './run-plan.js';
import { readingOf } from './run-reading.js';
import type { HeldRun } from './take-up.js';
import type { RunServer } from './serve-run.js';

/** Bounds on a run's logs: bytes an attempt, bytes a run, attempts. */
export interface LogsKeep extends Keep {
  readonly attemptBytes: number;
}

/** The real clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  mono,
  random: () => Math.random(),
  after(delayMs, callback) {
    // a longer delay than a timer can hold would fire at once
    const timer = setTimeout(callback, Math.min(delayMs, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

/** How long verification may hold up an attempt, and how often a folder is scanned at most (DESIGN section 7), ms. */
const verifyBudgetMs = 5 * 60_000;
const scanEveryMs = 30_000;

export interface Wired {
  readonly parts: Parts;
  /** The run as `status --json` shows it. */
  view(): RunStatus | undefined;
  /** Writes what is left to write. */
  close(): Promise<void>;
}

/** Wires a held run to the engine, the disk and whoever reports. */
export async function wire(
  plan: RunPlan,
  held: HeldRun,
  served: RunServer | undefined,
  report: {
    observe(happening: Happening): void;
    notice(text: string): void;
    incident(): FiledIncident | undefined;
  },
): Promise<Result<Wired>> {
  const { run, history, store } = held;
  const metrics = await MetricsFile.open(
    run.paths.metrics,
    undefined,
    metricsToCut(history.state, held.last),
  );
  if (!metrics.ok) return metrics;
  const metricsFile = metrics.value;
  const inheritance = inheritanceOf(history.state, held.last);
  const stateFile = new StateFile<StateRecord>(run.paths.state, systemClock, (problem) =>
    report.notice(problem.message),
  );
  const begun = await history.begin(plan.policy);
  if (!begun.ok) return begun;
  const settings = settingsOf(plan, held);
  const engine = createLocalEngine({
    logsKeepAttemptBytes: plan.logs.attemptBytes,
    graceMs: plan.policy.stop.graceMs,
    // a glob may match more of them by the next attempt
    get checkpointDirs() {
      return foldersOf(store);
    },
    clock: systemClock,
  });
  const notice = (text: string): void => report.notice(text);
  const between = betweenAttempts(plan, held, () => foldersOf(store), notice);
  let live: Live | undefined;
  let attempt = history.state.ledger.attempt;
  let metricsFailing = false;
  let requestsFailing = false;
  let presetSaid = false;

  const parts: Parts = {
    policy: plan.policy,
    clock: systemClock,
    bootId: bootId(),
    engine,
    ...(store && { store }),
    otherFolder: held.last !== undefined && placesOf(held.last.settings) !== placesOf(settings),
    ...readingOf(plan, systemClock),
    ...(served && { hearLines: served.hearLines }),
    resumeAdvice: () => resumeAdvice(plan.resume, store?.layout ?? ''),
    scanEveryMs,
    verifyBudgetMs,
    settleMs: store?.settleMs ?? 0,
    launchSpec(launch) {
      attempt = launch.attempt;
      if (launch.resume) sayIdlePreset();
      return launchSpec(plan, held, launch, served?.begin(launch.attempt));
    },
    ...(inheritance && { inheritance }),
    adoptSpec: (number, offsets) => ({
      attemptDir: attemptDirOf(run.dir, number),
      runId: run.id,
      offsets,
    }),
    async persist(events) {
      // once the attempt is judged its logs are not folded again
      if (events.some((event) => event.type === 'exited')) await saveMetrics();
      const written = await history.append(events);
      if (!written.ok) throw new Error(written.error.message);
    },
    observe(happening) {
      report.observe(happening);
      if (happening.event.type !== 'exited') return;
      served?.attemptOver();
      prune();
    },
    publish(now) {
      live = now;
      const state = {
        ...record(run.name, settings, now),
        heartbeats: metricsFile.count,
        journal: history.last,
      };
      stateFile.save(async () => {
        await saveMetrics();
        return state;
      });
    },
    heartbeat(heartbeat, at, offsets) {
      metricsFile.add({ at, attempt, heartbeat, offsets });
    },
    notice,
    async takeStopRequest() {
      await putBack();
      const request = await takeStopRequest(run.dir, systemClock.now());
      if (!request.ok && !requestsFailing) report.notice(request.error.message);
      requestsFailing = !request.ok;
      if (!request.ok || !request.value) return undefined;
      return { by: 'request', atCheckpoint: request.value.afterCheckpoint };
    },
    checkHost: (question) => between.checkHost(question),
    codeFacts: () => codeFacts({ cwd: plan.cwd, argv: plan.argv, env: process.env }),
    runHook: (name, context, signal) => between.runHook(name, context, signal),
  };

  function sayIdlePreset(): void {
    const idle = presetSaid ? undefined : idlePreset(plan.resume, store?.layout ?? '');
    presetSaid ||= idle !== undefined;
    if (idle !== undefined) report.notice(idle);
  }

  /** What state.json and the journal build on must be in the file before them. */
  async function saveMetrics(): Promise<void> {
    const written = await metricsFile.flush();
    if (!written.ok && !metricsFailing) report.notice(written.error.message);
    metricsFailing = !written.ok;
  }

  /** A run's folder that was deleted is made anew at once, not at the next event: status looks there. */
  async function putBack(): Promise<void> {
    if (existsSync(run.paths.journal)) return;
    const back = await history.append([]);
    if (back.ok && live) parts.publish(live);
  }

  function prune(): void {
    pruneLogs(run.dir, plan.logs).catch((error: unknown) =>
      report.notice(`old logs could not be removed: ${String(error)}`),
    );
  }

  return ok({
    parts,
    view: () => live && viewRun(record(run.name, settings, live), true, { incident: report.incident() }),
    async close() {
      await between.close();
      for (const written of [await metricsFile.flush(), await stateFile.close()]) {
        if (!written.ok) report.notice(written.error.message);
      }
    },
  });
}

const foldersOf = (store: CheckpointStore | undefined): readonly string[] =>
  store ? (store.dirs ?? [store.dir]) : [];

/** Where a run's checkpoints are, in words that are the same as long as the places are. */
export const placesOf = ({ checkpointDir = 'none', checkpointDirs = [checkpointDir] }: RunSettings): string =>
  checkpointDirs.join(', ');

export function settingsOf(plan: RunPlan, { store }: HeldRun): RunSettings {
  return {
    command: maskArgv(plan.argv),
    engine: 'local',
    maxRetries: plan.policy.maxRetries,
    ...(store && {
      checkpointDir: store.dir,
      ...(store.dirs && plan.checkpoints && { checkpointDirs: plan.checkpoints.dirs }),
      layout: plan.checkpoints?.layout ?? 'auto',
      guessed: store.guessed,
    }),
    ...(plan.checkpoints?.vault !== undefined && { vault: plan.checkpoints.vault }),
  };
}

const record = (run: string, settings: RunSettings, live: Live): StateRecord => ({
  run,
  settings,
  pid: process.pid,
  ...thisPlace(),
  at: systemClock.now(),
  mono: systemClock.mono(),
  ...live,
});
