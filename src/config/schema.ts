import {
  age,
  argv,
  autoOrDuration,
  between,
  count,
  duration,
  failureKind,
  flag,
  notifier,
  oneOf,
  resumeArgsError,
  signalName,
  size,
  stopSignal,
  table,
  text,
  texts,
  userCommand,
  z,
} from './values.js';

const failureRule = z.strictObject(
  {
    match: z
      .strictObject(
        {
          exitCodes: z.array(count(0, 255), { error: 'must be a list of exit statuses' }).optional(),
          signals: z.array(signalName, { error: 'must be a list of signals' }).optional(),
          pattern: text.optional(),
        },
        table,
      )
      .refine((match) => Object.values(match).some((value) => value !== undefined), {
        error: 'must name exitCodes, signals or a pattern',
      }),
    kind: failureKind.optional(),
    action: oneOf(['retry', 'fail', 'ignore', 'rollback']).optional(),
  },
  table,
);

/** The configuration file, as section 9 of the design lists its keys. Durations come out in ms, sizes in bytes. */
export const configSchema = z.strictObject(
  {
    $schema: z.string().optional(),
    command: argv.optional(),
    name: text
      .regex(/^(?!\.{1,2}$)[^/\\\0]{1,100}$/, {
        error: 'must be a plain name, without slashes and not . or ..',
      })
      .optional(),
    stateDir: text.optional(),
    maxRetries: count(0, 1_000_000).optional(),
    maxTotalRetries: count(0, 1_000_000).optional(),
    stopOnRepeat: z
      .union([z.literal(false), z.literal('off'), count(2, 1000)], {
        error: 'must be a whole number from 2 to 1000, or false',
      })
      .optional(),
    outageWindow: duration().optional(),
    rollbackEnabled: flag.optional(),
    backoff: z
      .strictObject(
        {
          initial: duration().optional(),
          factor: between(1, 100).optional(),
          max: duration().optional(),
          jitter: between(0, 1).optional(),
        },
        table,
      )
      .optional(),
    heartbeat: z
      .strictObject(
        {
          startupTimeout: autoOrDuration.optional(),
          timeout: autoOrDuration.optional(),
          pattern: text.optional(),
          files: texts.optional(),
        },
        table,
      )
      .optional(),
    health: z
      .strictObject(
        {
          spike: oneOf(['warn', 'rollback']).optional(),
          nonFinite: oneOf(['rollback', 'warn']).optional(),
          notResumed: oneOf(['stop', 'warn']).optional(),
        },
        table,
      )
      .optional(),
    stop: z.strictObject({ signal: stopSignal.optional(), grace: duration().optional() }, table).optional(),
    checkpoints: z
      .strictObject(
        {
          dir: z.union([text, texts.min(1)], { error: 'must be a folder, or a list of folders' }).optional(),
          layout: text.optional(),
          settle: duration().optional(),
          provenAfter: duration().optional(),
          verify: oneOf(['auto', 'deep', 'shallow']).optional(),
          include: texts.optional(),
          clean: texts.optional(),
          keep: z
            .strictObject(
              {
                last: count(2, 1_000_000).optional(),
                every: count(1, 1_000_000_000).optional(),
                everyTime: age.refine((ms) => ms > 0, { error: 'must be longer than nothing' }).optional(),
                best: count(1, 1_000_000).optional(),
                metric: text.optional(),
                mode: oneOf(['min', 'max']).optional(),
                within: age.optional(),
                bytes: size.optional(),
                folder: flag.optional(),
                quarantine: z
                  .strictObject(
                    { last: count(0, 1_000_000).optional(), within: age.optional(), bytes: size.optional() },
                    table,
                  )
                  .optional(),
              },
              table,
            )
            .optional(),
          vault: text.optional(),
        },
        table,
      )
      .optional(),
    resume: z
      .strictObject(
        {
          args: z.array(text, { error: resumeArgsError }).optional(),
          preset: text.optional(),
          env: z.record(text, z.string({ error: 'must be a text' }), table).optional(),
          replace: z.record(text, z.string({ error: 'must be a text' }), table).optional(),
        },
        table,
      )
      .optional(),
    failures: z.array(failureRule, { error: 'must be a list of rules' }).optional(),
    preflight: z.array(userCommand, { error: 'must be a list of commands' }).optional(),
    hooks: z
      .strictObject(
        {
          onFailure: userCommand.optional(),
          beforeRollback: userCommand.optional(),
          afterRollback: userCommand.optional(),
          onGiveUp: userCommand.optional(),
          onComplete: userCommand.optional(),
        },
        table,
      )
      .optional(),
    notify: z.array(notifier, { error: 'must be a list of URLs and commands' }).optional(),
    logs: z
      .strictObject(
        {
          keep: z
            .strictObject(
              { attempt: size.optional(), run: size.optional(), attempts: count(1, 100_000).optional() },
              table,
            )
            .optional(),
          dir: text.optional(),
        },
        table,
      )
      .optional(),
    serve: z
      .strictObject(
        {
          port: count(0, 65_535).optional(),
          host: text.optional(),
          allowHosts: texts.optional(),
          tlsCert: text.optional(),
          tlsKey: text.optional(),
          insecure: flag.optional(),
        },
        table,
      )
      .optional(),
    engine: oneOf(['local', 'slurm', 'ray']).optional(),
    allowScratch: flag.optional(),
  },
  { error: 'must hold a table of settings' },
);

/** A valid configuration. Durations in ms, sizes in bytes. */
export type Config = z.output<typeof configSchema>;

/** One thing that is wrong with a configuration. */
export interface ConfigIssue {
  readonly path: readonly (string | number)[];
  /** `must be …`; undefined where `unknownKey` says it all. */
  readonly message?: string;
  readonly unknownKey?: string;
}

/** Checks parsed data. Unknown keys come first: they explain what else is missing. */
export function checkConfig(data: unknown): { readonly config: Config } | { readonly issue: ConfigIssue } {
  const checked = checkTable(configSchema, data);
  return 'issue' in checked ? checked : { config: checked.value };
}

/** The same for another table of settings. */
export function checkTable<S extends z.ZodType>(
  schema: S,
  data: unknown,
): { readonly value: z.output<S> } | { readonly issue: ConfigIssue } {
  const result = schema.safeParse(data);
  if (result.success) return { value: result.data };
  const issues = result.error.issues.map(toIssue);
  const issue = issues.find(({ unknownKey }) => unknownKey !== undefined) ?? issues[0];
  return { issue: issue ?? { path: [], message: 'is not valid' } };
}

/** A table's JSON schema; what JSON cannot hold is anything in it. */
export const jsonSchemaOf = (schema: z.ZodType): unknown =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });

/** The published JSON schema of the configuration file (draft 2020-12). */
export const configJsonSchema = (): Record<string, unknown> => ({
  title: 'Configuration of trainguard',
  ...z.toJSONSchema(configSchema, { io: 'input' }),
});

function toIssue(issue: z.core.$ZodIssue): ConfigIssue {
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  if (issue.code === 'unrecognized_keys') return { path, unknownKey: issue.keys[0] ?? '' };
  return { path, message: issue.message };
}
