import type { ServeSettings } from '../config/settings.js';
import { lineOfBeat } from '../progress/beat-line.js';
import { Crew } from '../recovery/crew.js';
import type { RecoveryEvent } from '../recovery/types.js';
import type { Line } from '../report/narrate.js';
import { attemptScope } from '../serve/attempt-scope.js';
import { openService } from '../serve/service.js';
import type { Parts } from '../supervisor/parts.js';
import { ok, type Result } from '../util/result.js';
import { stretchMs, WorkerLines } from './serve-lines.js';

/** Where the workers of a run report by HTTP. */
export interface RunServer {
  readonly url: string;
  /**
   * An attempt begins, with no worker: from now on only its own are listened to.
   * @returns what they find the server by
   */
  begin(attempt: number): Readonly<Record<string, string>>;
  readonly hearLines: NonNullable<Parts['hearLines']>;
  /** The attempt is over: none of its workers is waited for, and those that beat on are told to stop. */
  attemptOver(): void;
  /** Calling it twice does nothing. */
  close(): Promise<void>;
}

/**
 * Lets the workers of a run report by HTTP: what they say counts as the heartbeat line that says the same. Of several the
 * first speaks for the training, until it fails or has done its part.
 * @param settings `attempt`: the one that an earlier supervisor left under way
 */
export async function serveRun(
  settings: ServeSettings & { readonly dir: string; readonly attempt: number | undefined },
  tell: (lines: readonly Line[]) => void,
  notice: (text: string) => void,
): Promise<Result<RunServer>> {
  const crew = new Crew();
  let { attempt: current } = settings;
  let heard: ((line: string) => void) | undefined;
  const opened = await openService({
    ...settings,
    // any other run wants the usual one too
    usualPort: 0,
    scope: attemptScope(() => current),
    notice,
    onBeat: (workerId, beat) => heard?.(lineOfBeat(beat, crew.rankOf(workerId))),
  });
  if (!opened.ok) return opened;
  const service = opened.value;
  const { url, tokenFile, manager } = service;
  for (const { workerId, status } of manager.getWorkers()) {
    crew.joined(workerId);
    if (status === 'failed') crew.failed(workerId);
  }
  const lines = new WorkerLines();
  const timer = setInterval(() => tell(lines.flush()), stretchMs);
  manager.on('event', (event) => {
    note(crew, event);
    tell(lines.add(event));
  });
  if (!manager.monitoring) await manager.startMonitoring();

  async function forget(): Promise<void> {
    try {
      await Promise.all(manager.getWorkers().map(({ workerId }) => manager.unregisterWorker(workerId)));
    } catch (error) {
      notice(`it could not be written down that the workers of the last attempt are gone: ${String(error)}`);
    }
  }

  let closed: Promise<void> | undefined;
  async function close(): Promise<void> {
    clearInterval(timer);
    await service.close();
    tell(lines.flush());
  }

  return ok({
    url,
    begin(attempt) {
      current = attempt;
      void forget();
      return { TRAINGUARD_URL: `${url}/attempts/${attempt}`, TRAINGUARD_TOKEN_FILE: tokenFile };
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
