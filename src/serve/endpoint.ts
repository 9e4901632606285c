import type { z } from '../config/values.js';
import type { RecoveryManager } from '../recovery/manager.js';
import type { Beat } from '../recovery/types.js';
import type { Answer } from './answer.js';
import type { EventLog } from './events.js';
import type { ProblemStatus } from './problem.js';
import type { WorkerJournal } from './worker-journal.js';

/** What every endpoint may use. */
export interface Context {
  readonly manager: RecoveryManager;
  readonly journal: Pick<WorkerJournal, 'once'>;
  readonly events: EventLog;
  readonly limits: AppLimits;
  readonly version: string;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** The OpenAPI document. */
  readonly document: () => unknown;
  readonly onBeat?: (workerId: string, beat: Beat) => void;
  /** What an Idempotency-Key is known within, before the path. */
  readonly era: () => string;
}

export interface AppLimits {
  /** Of a JSON body. */
  readonly bodyBytes: number;
  /** Of one that is about a single worker: many come at once. */
  readonly workerBodyBytes: number;
  readonly checkpointBytes: number;
  /** Readers of events at the same time. */
  readonly eventStreams: number;
  /** Events kept for those who come back. */
  readonly eventsKept: number;
  /** How often a reader of events hears something, at least. */
  readonly eventCommentMs: number;
  /** A reader of events is asked to come again after so long. */
  readonly eventStreamMs: number;
}

/** The most bytes of a body that an endpoint takes. */
export function mostBytes({ path, upload }: Endpoint, limits: AppLimits): number {
  if (upload) return limits.checkpointBytes;
  return path.includes('{workerId}') ? Math.min(limits.workerBodyBytes, limits.bodyBytes) : limits.bodyBytes;
}

type Shape = Readonly<Record<string, z.ZodType>>;
type Values<S extends Shape> = { readonly [K in keyof S]: z.output<S[K]> };

/** A request, checked. */
export interface Input<
  P extends Shape = Shape,
  Q extends Shape = Shape,
  H extends Shape = Shape,
  B = unknown,
> {
  readonly path: Values<P>;
  readonly query: Values<Q>;
  readonly headers: Values<H>;
  readonly body: B;
  /** The body as it comes, of an endpoint with `upload`. */
  readonly upload: AsyncIterable<Uint8Array>;
  /** Ends the connection: what was said cannot be taken back. */
  readonly hangUp: () => void;
}

/** One answer that a caller may get. */
export interface Documented {
  readonly description: string;
  /** One of the named schemas; left out: no content, or not JSON. */
  readonly schema?: z.ZodType;
  /** `application/json` unless given. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Definition<P extends Shape, Q extends Shape, H extends Shape, B extends z.ZodType> {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** With `{name}` where a parameter of `parameters` stands. */
  readonly path: string;
  /** The name of the method that a generated client has for it. */
  readonly id: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: P;
  readonly query?: Q;
  /** Names in lower case. */
  readonly headers?: H;
  /** Of a JSON body. An empty one counts as `{}` unless it is required. */
  readonly body?: B;
  readonly bodyRequired?: boolean;
  /** The body is any JSON and goes to the handler unread. */
  readonly upload?: true;
  /** It takes an Idempotency-Key. */
  readonly once?: true;
  readonly answers: Readonly<Record<number, Documented>>;
  /** Errors of its own, besides those that every endpoint of its form may have. */
  readonly problems?: Readonly<Partial<Record<ProblemStatus, string>>>;
  readonly handle: (context: Context, input: Input<P, Q, H, z.output<B>>) => Answer | Promise<Answer>;
}

/** A line of the table from which both the routes and the OpenAPI document are made. */
export type Endpoint = Definition<Shape, Shape, Shape, z.ZodType>;

/** Lets `handle` know the types of what its own line declares. */
export function endpoint<
  P extends Shape = Record<string, never>,
  Q extends Shape = Record<string, never>,
  H extends Shape = Record<string, never>,
  B extends z.ZodType = z.ZodUndefined,
>(definition: Definition<P, Q, H, B>): Endpoint {
  // sound: respond.ts gives `handle` what these very schemas made
  return definition as unknown as Endpoint;
}
