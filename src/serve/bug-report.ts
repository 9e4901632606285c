import { errorCode, errorText } from '../util/os/durable.js';

/** Something that the system refused, and no bug. Pure. */
export const isSystemError = (error: unknown): boolean => /^E(?!RR_)[A-Z0-9]+$/.test(errorCode(error) ?? '');

/**
 * What is told of an error that kept a request from its answer. What the system refused has no need of a trace. Pure.
 * @returns `kind`: the same for what went wrong at the same place
 */
export function bugReport(error: unknown, request: string): { readonly kind: string; readonly text: string } {
  if (isSystemError(error))
    return { kind: errorCode(error) ?? '', text: `${request} could not be answered: ${errorText(error)}` };
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { kind: trace.split('\n')[1] ?? trace, text: `${request} met an error of ours: ${trace}` };
}
