import path from 'node:path';
import { isLayoutName, layoutNames } from '../checkpoints/layouts/registry.js';
import { issueText } from '../config/issue-text.js';
import { resolvePolicy, resolveSettings } from '../config/resolve.js';
import { checkTable, configSchema, jsonSchemaOf } from '../config/schema.js';
import { flag, table, z } from '../config/values.js';
import { nearest } from '../util/text.js';
import type { RecoveryContext } from './context.js';
import type { DecisionRequest } from './decision.js';
import type { FolderSettings } from './safe-look.js';
import { recoveryKinds, type RecoveryStrategies } from './strategies.js';
import type {
  RecursiveRecoveryEvent,
  RecursiveTrainingRecoveryConfig,
  ResourceCheck,
} from './recursive-types.js';

/** A valid configuration. Times in ms, paths absolute. */
export interface RecursiveSettings extends Pick<
  DecisionRequest,
  'maxRetries' | 'rollbackEnabled' | 'backoff'
> {
  readonly folders: FolderSettings;
  readonly retry: (context: RecoveryContext) => unknown;
  readonly strategies: RecoveryStrategies;
  readonly checkResources: boolean | ResourceCheck;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RecursiveRecoveryEvent) => unknown;
}

const isFunction = (value: unknown): boolean => typeof value === 'function';
const error = { error: 'must be a function' };

const strategy = z.strictObject(
  {
    retry: flag.optional(),
    rollback: flag.optional(),
    prepare: z.custom<(...given: unknown[]) => unknown>(isFunction, error).optional(),
  },
  table,
);
const byKind = z.strictObject(Object.fromEntries(recoveryKinds.map((kind) => [kind, strategy.optional()])), {
  error: 'must be a function, or a table of strategies by kind of failure',
});

const keys = configSchema
  .pick({ maxRetries: true, rollbackEnabled: true, backoff: true, checkpoints: true, allowScratch: true })
  .extend({
    retry: z.custom(isFunction, { error: 'must be a function that runs the training again' }),
    strategies: byKind.optional(),
    checkResources: z
      .custom((value) => typeof value === 'boolean' || isFunction(value), {
        error: 'must be true, false or a function',
      })
      .optional(),
    signal: z.custom((value) => value instanceof AbortSignal, { error: 'must be an AbortSignal' }).optional(),
    onEvent: z.custom(isFunction, error).optional(),
  });

/**
 * Checks what `new RecursiveTrainingRecovery(…)` was given, by the schema of the configuration file.
 * @throws TypeError, one sentence that names the key
 */
export function settingsOf(config: RecursiveTrainingRecoveryConfig): RecursiveSettings {
  const given: unknown = config;
  // a function in the place of the table is all that is not in the schema
  const { strategies } = (given ?? {}) as { strategies?: unknown };
  const data = isFunction(strategies) ? { ...config, strategies: {} } : given;
  const checked = checkTable(keys, data);
  if ('issue' in checked) {
    const whole = checked.issue.path.length === 0 && checked.issue.unknownKey === undefined;
    throw new TypeError(
      `${whole ? 'the configuration ' : ''}${issueText(data, checked.issue, jsonSchemaOf(keys))}`,
    );
  }
  const { maxRetries, rollbackEnabled, backoff, checkpoints, allowScratch } = checked.value;
  const known = { maxRetries, rollbackEnabled, backoff, checkpoints, allowScratch };
  const policy = resolvePolicy(known);
  return {
    ...{ maxRetries: policy.maxRetries, rollbackEnabled: policy.rollbackEnabled, backoff: policy.backoff },
    folders: foldersOf(known, policy.allowScratch),
    retry: config.retry,
    strategies: config.strategies ?? {},
    checkResources: config.checkResources ?? true,
    ...(config.signal && { signal: config.signal }),
    ...(config.onEvent && { onEvent: config.onEvent }),
  };
}

function foldersOf(config: Parameters<typeof resolveSettings>[0], allowScratch: boolean): FolderSettings {
  const cwd = process.cwd();
  const { stateDir, checkpoints } = resolveSettings(config, {}, { cwd, env: process.env });
  const { layout = 'auto', vault, settleMs } = checkpoints;
  if (layout !== 'auto' && !isLayoutName(layout)) {
    const near = nearest(layout, layoutNames);
    const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
    throw new TypeError(
      `checkpoints.layout: unknown layout ${layout}${hint}; there are auto, ${layoutNames.join(', ')}.`,
    );
  }
  const absolute = (name: string): string =>
    /^[a-z][a-z0-9+.-]*:\/\//i.test(name) ? name : path.resolve(cwd, name);
  return {
    ...{ dirs: checkpoints.dirs.map(absolute), layout, stateDir, allowScratch },
    ...{ provenAfterMs: checkpoints.provenAfterMs, verify: checkpoints.verify, keep: checkpoints.keep },
    clean: checkpoints.clean.map(absolute),
    ...(vault !== undefined && { vault: absolute(vault) }),
    ...(settleMs !== undefined && { settleMs }),
  };
}
