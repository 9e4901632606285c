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
  /** The step at which it failed, a whole number from 0. */
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
    step: count(0, Number.MAX_SAFE_INTEGER).optional(),
    epoch: between(0, Number.MAX_SAFE_INTEGER).optional(),
    modelId: text.optional(),
    lastCheckpointPath: text.nullable().optional(),
    error: z.unknown().optional(),
  },
  { error: 'must be an object' },
);

/**
 * Checks a context and hands back the same object.
 * @throws TypeError that names the field
 */
export function checkContext(context: unknown): RecoveryContext {
  const checked = checkTable(schema, context);
  if ('issue' in checked) {
    const { issue } = checked;
    const dot = issue.path.length === 0 ? ' ' : '.';
    throw new TypeError(`context${dot}${issueText(context, issue, jsonSchemaOf(schema))}`);
  }
  if (!Object.isExtensible(context))
    throw new TypeError(
      'context must not be frozen: recover writes attempt, error and lastCheckpointPath into it.',
    );
  return context as RecoveryContext;
}
