import type { ServeSettings } from '../config/settings.js';
import { lineOfBeat } from '../progress/beat-line.js';
import { Crew } from '../recovery/crew.js';
import type { RecoveryManager } from '../recovery/manager.js';
import type { RecoveryEvent } from '../recovery/types.js';
import type { Line } from '../report/narrate.js';
import { attemptEnv, attemptPath, attemptScope } from '../serve/attempt-scope.js';
import { tableNames } from '../serve/option-names.js';
import { openService } from '../serve/service.js';
import type { Parts } from '../supervisor/parts.js';
import { ok, ProblemError, type Result } from '../util/result.js';
import { stretchMs, WorkerLines } from './serve-lines.js';

/** Where the workers of a run report by HTTP. */
export interface RunServer {
  /**
   * An attempt begins, with no worker: from now on only its own are listened to.
   * @returns what they find the server by
   */
  begin(attempt: number): Readonly<Record<string, string>>;
  readonly hearLines: NonNullable<Parts['hearLines']>;
  /** The attempt is over: none of its workers is waited for, and those that beat on are told to stop. */
  attemptOver(): void;
  /** Never rejects: a training that is over does not fail by it. Calling it twice does nothing. */
  close(): Promise<void>;
}

export interface ListeningServer extends RunServer {
  readonly url: string;
}

/**
 * Lets the workers of a run report by HTTP: what they say counts as the heartbeat line that says the same. Of several the
 * first speaks for the training, until it fails or has done its part.
 * @param settings `attempt`: the one that an earlier supervisor left under way; `anyPort`: another port will do where the
 * named one is taken
 */
export async function serveRun(
  settings: ServeSettings & {
    readonly dir: string;
    readonly attempt: number | undefined;
    readonly anyPort?: boolean;
    /** The attempt under way, where another knows it better while this opens. */
    readonly attemptNow?: () => number | undefined;
  },
  tell: (lines: readonly Line[]) => void,
  notice: (text: string) => void,
): Promise<Result<ListeningServer>> {
  const crew = new Crew();
  let { attempt: current } = settings;
  const { attemptNow = () => current } = settings;
  let heard: ((line: string) => void) | undefined;
  /** Whether a worker beat in this attempt: who only came and went says nothing of its steps. */
  let spoken = current !== undefined;
  const opened = await openService({
    ...settings,
    names: tableNames,
    // any other run wants the usual one too
    usualPort: 0,
    // each attempt forgets it anyway
    renewDamaged: true,
    scope: attemptScope(attemptNow),
    era() {
      const attempt = attemptNow();
      return attempt === undefined ? '' : attemptPath(attempt);
    },
    notice,
    patient: true,
    onBeat(workerId, beat) {
      // that it came back is told only when it is written; this very beat is to count
      crew.joined(workerId);
      spoken = true;
      heard?.(lineOfBeat(beat, crew.rankOf(workerId)));
    },
  });
  if (!opened.ok) return opened;
  const service = opened.value;
  const { url, tokenFile, caFile, manager } = service;
  for (const { workerId, status } of manager.getWorkers()) {
    crew.joined(workerId);
    if (status === 'failed') crew.failed(workerId);
  }
  const lines = new WorkerLines();
  // a worker that failed may go on here: whether the training failed the supervisor says
  const warn = (told: readonly Line[]): void =>
    tell(told.map((line) => (line.tone === 'failure' ? { ...line, tone: 'warning' } : line)));
  const timer = setInterval(() => warn(lines.flush()), stretchMs);
  /** By us, who are done with them: it says nothing of the training. */
  const forgotten = new Set<string>();
  manager.on('event', (event) => {
    note(crew, event);
    const hasLeft = event.type === 'unregistered' && !forgotten.delete(event.worker.workerId);
    if (hasLeft && spoken && crew.isEmpty) heard?.(lineOfBeat({ phase: 'done' }));
    warn(lines.add(event));
  });
  const watching = await watch(manager);
  if (!watching.ok) {
    await close();
    return watching;
  }

  /** Requests of the last attempt that are under way are cut off: an upload that ended now would be the newest checkpoint. */
  async function forget(): Promise<void> {
    service.rescope();
    const ids = manager.getWorkers().map(({ workerId }) => workerId);
    for (const id of ids) forgotten.add(id);
    try {
      await Promise.all(ids.map((id) => manager.unregisterWorker(id)));
    } catch (error) {
      notice(`it could not be written down that the workers of the last attempt are gone: ${String(error)}`);
    }
  }

  /** A worker of the last attempt may have stopped the watch: that was said to its own. */
  async function watchAgain(): Promise<void> {
    const watching = await watch(manager);
    if (!watching.ok)
      notice(`it could not be written down that workers are watched again: ${watching.error.message}`);
  }

  let closed: Promise<void> | undefined;
  async function close(): Promise<void> {
    clearInterval(timer);
    try {
      await service.close();
    } catch (error) {
      notice(`what workers reported to could not be closed in order: ${String(error)}`);
    }
    warn(lines.flush());
  }

  return ok({
    url,
    begin(attempt) {
      current = attempt;
      spoken = false;
      void forget();
      void watchAgain();
      return attemptEnv(url, attempt, tokenFile, caFile);
    },
    hearLines(hear) {
      heard = hear;
      return () => {
        if (heard === hear) heard = undefined;
      };
    },
    attemptOver() {
      current = undefined;
      void forget();
    },
    close: () => (closed ??= close()),
  });
}

/** It may have been stopped by a worker of an attempt before. */
async function watch(manager: RecoveryManager): Promise<Result<void>> {
  try {
    if (!manager.monitoring) await manager.startMonitoring();
    return ok(undefined);
  } catch (error) {
    if (error instanceof ProblemError) return { ok: false, error: error.problem };
    throw error;
  }
}

function note(crew: Crew, event: RecoveryEvent): void {
  switch (event.type) {
    case 'registered':
    case 'recovered':
      if (event.worker.status === 'failed') crew.failed(event.worker.workerId);
      else crew.joined(event.worker.workerId);
      return;
    case 'failed':
      crew.failed(event.worker.workerId);
      return;
    case 'unregistered':
      crew.left(event.worker.workerId);
      return;
    default:
  }
}
