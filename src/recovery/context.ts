import { issueText } from '../config/issue-text.js';
import { checkTable, jsonSchemaOf } from '../config/schema.js';
import { count, text, z } from '../config/values.js';

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
  /** A number from 0, which need not be whole; kept for the caller. Anything else is told. */
  epoch?: number;
  /** What is trained, a text; kept for the caller. Anything else is told. */
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
    // a number that is no step, or what only the caller reads, must not hide what the training died of
    step: z
      .custom((value) => typeof value === 'number', { error: 'must be a whole number from 0' })
      .optional(),
    epoch: z.unknown().optional(),
    modelId: z.unknown().optional(),
    lastCheckpointPath: text.nullable().optional(),
    error: z.unknown().optional(),
  },
  { error: 'must be an object' },
);

/** The context's step; undefined where it names none that can be one. */
export const stepOf = ({ step }: RecoveryContext): number | undefined =>
  Number.isSafeInteger(step) && (step ?? -1) >= 0 ? step : undefined;

/** What of the context counts as unknown since it cannot be what it is to be: a sentence each. */
export function oddFields(context: RecoveryContext): readonly string[] {
  const { step, epoch, modelId }: Readonly<Record<string, unknown>> = context;
  const odd: readonly (readonly [isFine: boolean, name: string, value: unknown, wanted: string])[] = [
    [step === undefined || stepOf(context) !== undefined, 'step', step, 'whole number from 0 on'],
    [
      epoch === undefined || (Number.isFinite(epoch) && Number(epoch) >= 0),
      'epoch',
      epoch,
      'number from 0 on',
    ],
    [modelId === undefined || (typeof modelId === 'string' && modelId !== ''), 'modelId', modelId, 'name'],
  ];
  return odd.flatMap(([isFine, name, value, wanted]) =>
    isFine ? [] : [`context.${name} is ${shown(value)}, which is no ${wanted}: it counts as unknown`],
  );
}

const shown = (value: unknown): string =>
  typeof value === 'number' || typeof value === 'string'
    ? JSON.stringify(String(value))
    : `of type ${typeof value}`;

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
