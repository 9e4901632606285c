import { inspect } from 'node:util';
import type { ErrorReport } from './decision.js';

type Part = Omit<ErrorReport, 'causes'>;

const mostCauses = 16;
/** Of what a process wrote: its end says how it ended; characters. */
const longestOutput = 64 * 1024;

/**
 * An error of this process, whatever was thrown, as data: its name, message, stack and code, what it came from (`cause`,
 * the `errors` of an AggregateError), and of a child process how it ended and the end of what it wrote, as the errors of
 * `node:child_process` and execa bear them.
 */
export function reportOf(error: unknown): ErrorReport {
  const [first, ...others] = chainOf(error).map(partOf);
  return { ...(first ?? { message: '' }), ...(others.length > 0 && { causes: others }) };
}

/** The error and what it came from, the nearest first; what is met twice counts once. */
function chainOf(error: unknown): readonly unknown[] {
  const chain = [error];
  for (let at = 0; at < chain.length && chain.length <= mostCauses; at++) {
    const { cause, errors } = fieldsOf(chain[at]);
    const members: readonly unknown[] = Array.isArray(errors) ? errors : [];
    for (const one of [cause, ...members])
      if (one !== undefined && one !== null && !chain.includes(one)) chain.push(one);
  }
  return chain.slice(0, mostCauses + 1);
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

function partOf(value: unknown): Part {
  const fields = fieldsOf(value);
  if (typeof fields['message'] !== 'string')
    return {
      message: typeof value === 'string' ? value : inspect(value, { depth: 2, breakLength: Infinity }),
    };
  const { message, stack, signal } = fields;
  const code = codeOf(fields);
  const exitCode = exitCodeOf(fields);
  const output = [fields['stdout'], fields['stderr']]
    .map(textOf)
    .filter((text) => text.trim() !== '')
    .join('\n');
  const traceback = output === '' ? stack : output;
  return {
    type: nameOf(fields),
    message,
    ...(typeof traceback === 'string' && { traceback }),
    ...(code !== undefined && { code }),
    ...(exitCode !== undefined && { exitCode }),
    ...(typeof signal === 'string' && /^SIG[A-Z0-9+-]+$/.test(signal) && { signal }),
  };
}

/** Its name; the class's where nobody gave it one. */
function nameOf({ name, constructor }: Readonly<Record<string, unknown>>): string {
  if (typeof name === 'string' && name !== 'Error' && name !== '') return name;
  return typeof constructor === 'function' && constructor.name !== 'Object' ? constructor.name : 'Error';
}

/** A server's answer counts as a code where it says that it is the server's trouble. */
function codeOf({
  code,
  status,
  statusCode,
  response,
}: Readonly<Record<string, unknown>>): string | undefined {
  const answer = [status, statusCode, fieldsOf(response)['status']].find((one) => Number.isInteger(one));
  if (typeof answer === 'number' && (answer === 429 || answer >= 500)) return `HTTP ${answer}`;
  return typeof code === 'string' ? code : undefined;
}

/** `exitCode` of execa, `status` of the synchronous calls, a number as `code` of execFile and exec. */
function exitCodeOf(fields: Readonly<Record<string, unknown>>): number | undefined {
  const { exitCode, status, code } = fields;
  const ofProcess = ['stderr', 'signal', 'cmd', 'pid'].some((name) => name in fields);
  return [exitCode, ...(ofProcess ? [status, code] : [])].find(
    (one): one is number => typeof one === 'number' && Number.isInteger(one) && Math.abs(one) <= 255,
  );
}

function textOf(output: unknown): string {
  if (typeof output === 'string') return output.slice(-longestOutput);
  if (output instanceof Uint8Array) return Buffer.from(output.subarray(-longestOutput)).toString('utf8');
  return Array.isArray(output)
    ? output
        .filter((line) => typeof line === 'string')
        .join('\n')
        .slice(-longestOutput)
    : '';
}
