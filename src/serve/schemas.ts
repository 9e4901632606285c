import { between, count, flag, oneOf, z } from '../config/values.js';
import { recoveryKinds } from '../recovery/strategies.js';
import { workerIdPattern } from '../recovery/worker-id.js';

/** The schemas that have a name of their own in the OpenAPI document. */
export const named = z.registry<{ id: string }>();

const object = { error: 'must be a JSON object' };
const anyText = (most: number): z.ZodString => {
  const error = `must be a text of at most ${most} characters`;
  return z.string({ error }).max(most, { error });
};
const list = (most: number): { error: string } => ({ error: `must be a list of at most ${most} of them` });

const idError =
  "must be a worker's id: 1 to 128 letters, digits or . _ : @ - that begin with a letter, a digit or _";
export const workerId = z
  .string({ error: idError })
  .regex(new RegExp(workerIdPattern), { error: idError })
  .describe("The worker's id: chosen by whoever registers it.");

const wholeNumber = count(0, Number.MAX_SAFE_INTEGER);
const seconds = between(0, 24 * 86_400);
const interval = between(0.001, 24 * 86_400);

const workerStatus = oneOf(['active', 'failed', 'recovered']);

export const Worker = z
  .object({
    workerId,
    status: workerStatus,
    lastCheckpoint: z
      .string()
      .nullable()
      .describe('Path of its newest checkpoint, on the machine that serves.'),
    failureCount: wholeNumber.describe('How often it was marked failed.'),
    lastHeartbeat: wholeNumber.describe('Milliseconds since 1970.'),
    currentBatch: wholeNumber,
  })
  .register(named, { id: 'Worker' });

export const WorkerList = z
  .object({
    workers: z.array(Worker),
    next: workerId.nullable().describe('What `after` is to be for those that follow; null: there are none.'),
  })
  .register(named, { id: 'WorkerList' });

export const listStatus = workerStatus;
export const listLimit = z
  .string()
  .regex(/^\d{1,5}$/, { error: 'must be a whole number from 1 to 10000' })
  .transform(Number)
  .pipe(count(1, 10_000));

/** What a heartbeat says besides: anything. */
const beatFields = {
  currentBatch: wholeNumber.exactOptional(),
  unreachedSeconds: seconds
    .describe(
      'For how long what it said did not get through: a failure that was counted meanwhile for its silence is taken back.',
    )
    .exactOptional(),
};

export const Registration = z
  .strictObject(
    {
      initialState: z.looseObject({ currentBatch: beatFields.currentBatch }, object).exactOptional(),
      heartbeatInterval: interval.describe('Seconds between two heartbeats.').exactOptional(),
      heartbeatTimeout: interval
        .describe('Seconds of silence after which it counts as failed.')
        .exactOptional(),
      maxFailures: count(0, 1_000_000).describe('Failures after which it may still go on.').exactOptional(),
    },
    object,
  )
  .register(named, { id: 'Registration' });

export const Heartbeat = z
  .looseObject(beatFields, object)
  .describe('Fields besides these are let pass, whatever they hold.')
  .register(named, { id: 'Heartbeat' });

export const Heartbeats = z
  .strictObject(
    {
      heartbeats: z
        .array(z.looseObject({ workerId, ...beatFields }, object), list(1000))
        .max(1000, list(1000)),
    },
    object,
  )
  .register(named, { id: 'Heartbeats' });

export const HeartbeatAnswer = z
  .object({
    workerId,
    shouldContinue: z
      .boolean()
      .describe('False: stop. It failed too often, is not registered, or monitoring was stopped.'),
    status: workerStatus.nullable().describe('null: no such worker; register it again.'),
  })
  .register(named, { id: 'HeartbeatAnswer' });

export const HeartbeatAnswers = z
  .object({ answers: z.array(HeartbeatAnswer) })
  .register(named, { id: 'HeartbeatAnswers' });

export const Failure = z
  .strictObject(
    { reason: anyText(10_000).describe('Its first 2,000 characters are kept.').exactOptional() },
    object,
  )
  .register(named, { id: 'Failure' });

export const Checkpoint = z
  .unknown()
  .meta({
    description: "The worker's state: any JSON but null, which would be taken for none.",
    not: { type: 'null' },
  })
  .register(named, { id: 'Checkpoint' });

export const SavedCheckpoint = z
  .object({
    path: z.string(),
    savedAt: wholeNumber.describe('Milliseconds since 1970.'),
    bytes: wholeNumber,
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .register(named, { id: 'SavedCheckpoint' });

export const Monitoring = z.strictObject({ monitoring: flag }, object).register(named, { id: 'Monitoring' });

export const Health = z
  .object({ version: z.string(), workers: wholeNumber, failed: wholeNumber, monitoring: z.boolean() })
  .register(named, { id: 'Health' });

/** A kind of failure as the library names it. */
const recoveryKind = z.enum(recoveryKinds, { error: `must be one of ${recoveryKinds.join(', ')}` });

const errorFields = {
  type: anyText(1000).describe('The class: RuntimeError.').exactOptional(),
  message: anyText(65_536),
  traceback: anyText(524_288).describe('Its last 64 KiB are read.').exactOptional(),
  code: anyText(1000).describe("The system's or runtime's own code: ENOSPC.").exactOptional(),
  exitCode: count(-255, 255)
    .describe('How the process ended, as Python says it: -9 is SIGKILL.')
    .exactOptional(),
  signal: anyText(40).describe('SIGKILL.').exactOptional(),
};
const errorReport = z
  .strictObject(
    {
      ...errorFields,
      causes: z
        .array(z.strictObject(errorFields, object), list(16))
        .max(16, list(16))
        .describe('What it came from, the nearest first.')
        .exactOptional(),
    },
    object,
  )
  .register(named, { id: 'ErrorReport' });

const pastFailure = z
  .strictObject(
    {
      kind: recoveryKind,
      fingerprint: anyText(1000).exactOptional(),
      step: wholeNumber.exactOptional(),
      cured: flag.describe('The training got further after it.').exactOptional(),
    },
    object,
  )
  .register(named, { id: 'PastFailure' });

const rule = z
  .strictObject({ retry: flag.exactOptional(), rollback: flag.exactOptional() }, object)
  .register(named, { id: 'Rule' });

export const DecisionQuestion = z
  .strictObject(
    {
      error: errorReport,
      step: wholeNumber.describe('The step at which it failed.').exactOptional(),
      history: z
        .array(pastFailure, list(1000))
        .max(1000, list(1000))
        .describe('Failures before this one, the oldest first.')
        .exactOptional(),
      maxRetries: count(0, 1_000_000).exactOptional(),
      rollbackEnabled: flag.exactOptional(),
      backoff: z
        .strictObject(
          {
            initial: seconds.describe('Seconds.').exactOptional(),
            factor: between(1, 1000).exactOptional(),
            max: seconds.describe('Seconds.').exactOptional(),
            jitter: between(0, 1).exactOptional(),
          },
          object,
        )
        .exactOptional(),
      rules: z
        .strictObject(Object.fromEntries(recoveryKinds.map((kind) => [kind, rule.exactOptional()])), object)
        .describe('What to do instead of the table, by kind.')
        .exactOptional(),
    },
    object,
  )
  .register(named, { id: 'DecisionQuestion' });

export const Decision = z
  .object({
    kind: recoveryKind,
    fingerprint: z.string().exactOptional(),
    reason: z.string().describe('What happened, one plain sentence.'),
    advice: z.string().exactOptional(),
    retry: z.boolean(),
    rollback: z.boolean(),
    delayMs: z.number().min(0),
    why: z.string().describe('Why this is done, one plain sentence.'),
  })
  .register(named, { id: 'Decision' });

export const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: count(400, 599),
    detail: z.string().describe('One sentence, with the way out.'),
  })
  .register(named, { id: 'Problem' });
