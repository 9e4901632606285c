import os from 'node:os';
import { errorCode } from './durable.js';
import { readLiving, readProcText, type ProcId } from './proc.js';

/** What became of a signal: `gone`, nobody is there to get it; `denied`, the process belongs to somebody else. */
export type Sent = 'sent' | 'gone' | 'denied';

/** Sends a signal to this very process, never to another that has got its pid since. */
export function sendSignal(to: ProcId, signal: string): Sent {
  const number = signalNumber(signal);
  if (number === undefined) throw new Error(`no such signal: ${signal}`);
  if (!readLiving(to)) return 'gone';
  try {
    process.kill(to.pid, number);
    return 'sent';
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ESRCH') return 'gone';
    if (code === 'EPERM') return 'denied';
    throw error;
  }
}

const numbers: Readonly<Record<string, number>> = os.constants.signals;

/** `SIGTERM` or `TERM` → 15; undefined if there is no such signal here. */
export const signalNumber = (name: string): number | undefined =>
  numbers[name.startsWith('SIG') ? name : `SIG${name}`];

/** 15 → `SIGTERM`; undefined if no signal has that number here. Of two names for one number, the usual one. */
export const signalName = (number: number): string | undefined =>
  Object.keys(numbers).find((name) => numbers[name] === number && name !== 'SIGIOT' && name !== 'SIGPOLL');

/** Whether the process has a handler of its own for a signal (SigCgt); undefined where that cannot be known. */
export function catchesSignal(pid: number, signal: string): boolean | undefined {
  const number = signalNumber(signal);
  const mask = /^SigCgt:\s*([0-9a-f]+)/m.exec(readProcText(`/proc/${pid}/status`) ?? '')?.[1];
  if (mask === undefined || number === undefined) return undefined;
  return ((BigInt(`0x${mask}`) >> BigInt(number - 1)) & 1n) === 1n;
}
