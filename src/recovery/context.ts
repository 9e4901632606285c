import { issueText } from '../config/issue-text.js';
import { checkTable, jsonSchemaOf } from '../config/schema.js';
import { between, count, text, z } from '../config/values.js';

/**
 * What is known of a training when it fails. The caller's own object: `recover` writes `attempt`, `error` and
 * `lastCheckpointPath` into it and hands it to `retry`, and reads `step` from it anew when a retry fails. Fields of
 * other names are the caller's, and stay.
 */
export interface RecoveryContext {
  /** Whose training it is; names the holder where somebody else asks for the checkpoint folder. */
  runId?: string;
  /** The number of the attempt that failed, a whole number from 0; each retry is one more. */
  attempt?: number;
  /** The step at which it failed, a whole number from 0; another number counts as unknown, and is told. */
  step?: number;
  /** From 0; need not be whole. */
  epoch?: number;
  /** What is trained; kept for the caller. */
  modelId?: string;
  /** Where to resume from; null: from the beginning. */
  lastCheckpointPath?: string | null;
  /** What was thrown last. */
  error?: unknown;
  [field: string]: unknown;
}

const schema = z.looseObject(
  {
    runId: text.optional(),
    attempt: count(0, 1_000_000_000).optional(),
    // a number that is no step must not hide what the training died of
    step: z
      .custom((value) => typeof value === 'number', { error: 'must be a whole number from 0' })
      .optional(),
    epoch: between(0, Number.MAX_SAFE_INTEGER).optional(),
    modelId: text.optional(),
    lastCheckpointPath: text.nullable().optional(),
    error: z.unknown().optional(),
  },
  { error: 'must be an object' },
);

/** The context's step; undefined where it names none that can be one. */
export const stepOf = ({ step }: RecoveryContext): number | undefined =>
  Number.isSafeInteger(step) && (step ?? -1) >= 0 ? step : undefined;

/** What is wrong with the context's step, in words; undefined: nothing. */
export const oddStep = (context: RecoveryContext): string | undefined =>
  context.step === undefined || stepOf(context) !== undefined
    ? undefined
    : `context.step is ${JSON.stringify(String(context.step))}, which is no whole number from 0 on: the step counts as unknown`;

/**
 * Checks a context and hands back the same object.
 * @param cause what the recovery was asked for
 * @throws TypeError that names the field
 */
export function checkContext(context: unknown, cause?: unknown): RecoveryContext {
  const because = cause === undefined ? {} : { cause };
  const checked = checkTable(schema, context);
  if ('issue' in checked) {
    const { issue } = checked;
    const dot = issue.path.length === 0 ? ' ' : '.';
    throw new TypeError(`context${dot}${issueText(context, issue, jsonSchemaOf(schema))}`, because);
  }
  if (!Object.isExtensible(context))
    throw new TypeError(
      'context must not be frozen: recover writes attempt, error and lastCheckpointPath into it.',
      because,
    );
  return context as RecoveryContext;
}
