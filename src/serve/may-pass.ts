import { exitStatus, type Result } from '../util/result.js';

/** What the system runs out of, and has again when others let go of it. */
const scarce = ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'];

/** Gives a refusal that may pass by itself the exit status 75: whoever starts it again does right. Pure. */
export function mayPass<T>(result: Result<T>): Result<T> {
  if (result.ok || !scarce.includes(result.error.code ?? '')) return result;
  return { ok: false, error: { ...result.error, exit: exitStatus.busy } };
}
