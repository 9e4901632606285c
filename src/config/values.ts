import { z } from 'zod';
import { parseDuration } from '../util/duration.js';
import { longestMs } from './defaults.js';
import { parseSize } from './size.js';

export { z };

// Every message goes on after the name of a key: `backoff.initial must be …, not "soon"`.

export const text = z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' });
export const texts = z.array(text, { error: 'must be a list of texts' });
export const flag = z.boolean({ error: 'must be true or false' });

export const count = (least: number, most: number): z.ZodInt => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

export const between = (least: number, most: number): z.ZodNumber => {
  const error = `must be a number from ${least} to ${most}`;
  return z.number({ error }).min(least, { error }).max(most, { error });
};

export const oneOf = <const T extends readonly [string, ...string[]]>(
  values: T,
): z.ZodEnum<{ [K in T[number]]: K }> =>
  z.enum(values, { error: `must be ${values.map((value) => `"${value}"`).join(' or ')}` });

const durationError =
  "must be a time such as '500ms', '30s', '5m' or '2h', or a number of seconds, up to 24 days";
const durationText = z.union(
  [
    z.string().regex(/^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$/, { error: durationError }),
    z.number().min(0, { error: durationError }),
  ],
  {
    error: durationError,
  },
);

/** Becomes milliseconds. */
export const duration = (
  leastMs = 0,
): z.ZodPipe<typeof durationText, z.ZodTransform<number, string | number>> =>
  durationText.transform((value, context) => {
    const ms = parseDuration(value);
    if (ms !== undefined && ms >= leastMs && ms <= longestMs) return ms;
    const message = ms !== undefined && ms < leastMs ? 'must be longer than nothing' : durationError;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const ageError = "must be an age such as '12h' or '30d', or a number of seconds, up to 100 years";
/** How old something may become: no timer holds it, so it may be longer than a {@link duration}. Becomes milliseconds. */
export const age = z.union([z.string(), z.number()], { error: ageError }).transform((value, context) => {
  const ms = parseDuration(value);
  if (ms !== undefined && ms <= 100 * 365 * 86_400_000) return ms;
  context.addIssue({ code: 'custom', message: ageError });
  return z.NEVER;
});

export const autoOrDuration = z.union([z.literal('auto'), duration(1)], {
  error: `must be "auto", or ${durationError.slice(8)}`,
});

const sizeError = "must be a size such as '512MiB' or '1GiB', or a number of bytes";
/** Becomes bytes. */
export const size = z.union([z.string(), z.number()], { error: sizeError }).transform((value, context) => {
  const bytes = parseSize(value);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: 'custom', message: sizeError });
  return z.NEVER;
});

export const argv = z
  .array(z.string({ error: 'must be a text' }), {
    error: 'must be a list: the program and its arguments, one by one',
  })
  .min(1, { error: 'must name a program' });

const commandError =
  'must be a list: the program and its arguments, one by one; or a table of command (that list) and timeout';
export const userCommand = z.union(
  [argv, z.strictObject({ command: argv, timeout: duration(1).optional() })],
  {
    error: commandError,
  },
);

const notifierError =
  'must be an http or https URL, a command, or a list: the program and its arguments, one by one';
export const notifier = z.union([text, argv], { error: notifierError });

/** `TERM` and `SIGTERM` alike; those the stop ladder knows. */
export const stopSignal = oneOf(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']);
export const signalName = text
  .regex(/^(?:SIG)?[A-Z][A-Z0-9+-]{1,9}$/, { error: "must be a signal's name such as SIGTERM" })
  .transform((name) => (name.startsWith('SIG') ? name : `SIG${name}`));

export const failureKind = oneOf([
  'command', 'config', 'code', 'exception', 'numeric', 'gpu-memory', 'host-memory', 'gpu', 'network', 'storage',
  'checkpoint', 'not-resumed', 'hang', 'preempted', 'stopped', 'killed', 'unknown',
]); // prettier-ignore

export const resumeArgsError = 'must be a list of arguments, such as ["--resume_from_checkpoint", "{path}"]';
export const table = { error: 'must be a table of settings' };
