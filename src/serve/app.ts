import { randomBytes } from 'node:crypto';
import type { RecoveryManager } from '../recovery/manager.js';
import type { Beat } from '../recovery/types.js';
import type { Connection } from './answer.js';
import { isSystemError } from './bug-report.js';
import type { AppLimits, Context } from './endpoint.js';
import { endpoints } from './endpoints/table.js';
import { EventLog } from './events.js';
import { openApi } from './openapi.js';
import { internalError, problem } from './problem.js';
import { toResponse } from './response.js';
import { respond } from './respond.js';
import { findRoutes } from './routes.js';
import { unrouted } from './unrouted.js';
import type { WorkerJournal } from './worker-journal.js';

export interface AppOptions {
  readonly manager: RecoveryManager;
  /** Ours, as /v1/health tells it. */
  readonly version: string;
  /** The manager's own log: what a request does and its answer are remembered together. */
  readonly journal: Pick<WorkerJournal, 'once'>;
  readonly limits?: Partial<AppLimits>;
  /** Called for every heartbeat of a worker that is registered, whether it may go on or not. */
  readonly onBeat?: (workerId: string, beat: Beat) => void;
  /** What an Idempotency-Key is known within, taken as a request comes: the same key in another is another request. */
  readonly era?: () => string;
  /** Told of what should not have happened: answered with 500 or 503, or an answer that was cut short. */
  readonly onBug?: (error: unknown, request: string) => void;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

/** The manager over HTTP. */
export interface App {
  /**
   * Never rejects.
   * @param connection lets an answer under way be cut off
   */
  fetch(request: Request, connection?: Connection): Promise<Response>;
  /** Ends what never ends by itself, and keeps no process alive after that. */
  endStreams(): void;
}

const usualLimits: AppLimits = {
  bodyBytes: 1024 * 1024,
  workerBodyBytes: 64 * 1024,
  checkpointBytes: 16 * 1024 * 1024,
  eventStreams: 100,
  eventsKept: 10_000,
  eventCommentMs: 15_000,
  eventStreamMs: 60 * 60_000,
};

/** Makes the routes of the table. Who may come in is not decided here, but by the server's guard. */
export function createApp(options: AppOptions): App {
  const { manager, version, onBeat, era = () => '', onBug = () => undefined } = options;
  const limits = { ...usualLimits, ...options.limits };
  const events = new EventLog({
    epoch: randomBytes(6).toString('hex'),
    kept: limits.eventsKept,
    streams: limits.eventStreams,
    turns: Math.ceil(limits.eventStreamMs / limits.eventCommentMs),
  });
  manager.on('event', (event) => events.add(event));
  const clock = setInterval(() => events.turn(), limits.eventCommentMs).unref();

  const document = openApi(endpoints, version, limits);
  const context: Context = {
    manager,
    journal: options.journal,
    events,
    limits,
    version,
    random: options.random ?? Math.random,
    document: () => document,
    era,
    ...(onBeat && { onBeat }),
  };
  const nowhere = unrouted(endpoints);
  const routed = findRoutes<Connection | undefined>(
    endpoints.map((endpoint) => ({
      method: endpoint.method,
      path: endpoint.path,
      async respond(request, path, connection) {
        const answer = await respond(endpoint, context, { request, path, connection });
        const cutOff = (error: unknown): void => {
          onBug(error, nameOf(request));
          connection?.destroy();
        };
        return await toResponse(answer, request.method === 'HEAD', cutOff);
      },
    })),
    (request) => toResponse(nowhere(request.method, pathOf(request)), request.method === 'HEAD', cutNothing),
  );
  return {
    async fetch(request, connection) {
      try {
        return await routed(request, connection);
      } catch (error) {
        onBug(error, nameOf(request));
        return await toResponse(
          isSystemError(error) ? unreadable : problem(500, internalError),
          request.method === 'HEAD',
          cutNothing,
        );
      }
    },
    endStreams() {
      clearInterval(clock);
      events.endStreams();
    },
  };
}

const unreadable = problem(
  503,
  'The server could not read what it keeps: see to its disk and its log; it is worth another try.',
  { 'retry-after': '5' },
);
const pathOf = ({ url }: Request): string => new URL(url).pathname;
const nameOf = (request: Request): string => `${request.method} ${pathOf(request)}`;
const cutNothing = (): void => undefined;
