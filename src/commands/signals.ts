import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { StopSource } from '../policy/event.js';
import { errorCode } from '../util/os/durable.js';

declare global {
  // set by bin/trainguard.js, whose first line listens so that an early warning of Slurm's does not kill us
  var trainguardPreempted: (() => void) | undefined;
  var trainguardEarlyUsr1: boolean | undefined;
}

/**
 * Signals to trainguard (DESIGN section 4): the first INT or TERM stops gracefully, the second at once; HUP only takes
 * the terminal away; USR1 is Slurm's warning before preemption. Signals that were ignored at our start stay ignored.
 * @returns takes the listeners away again
 */
export function listenToSignals(on: { stop(by: StopSource): void; hangup(): void }): () => void {
  const listeners: [NodeJS.Signals, () => void][] = [
    ['SIGINT', () => on.stop('interrupt')],
    ['SIGTERM', () => on.stop(isPreemptible() ? 'preemption' : 'terminate')],
    ['SIGHUP', on.hangup],
  ];
  const active = listeners.filter(([signal]) => !isIgnored(signal));
  for (const [signal, listener] of active) process.on(signal, listener);
  globalThis.trainguardPreempted = () => on.stop('preemption');
  if (globalThis.trainguardEarlyUsr1 === true) on.stop('preemption');
  return () => {
    for (const [signal, listener] of active) process.off(signal, listener);
    globalThis.trainguardPreempted = undefined;
  };
}

/** A TERM from these is a preemption: the job comes back. */
const isPreemptible = (): boolean =>
  process.env['SLURM_JOB_ID'] !== undefined || process.env['KUBERNETES_SERVICE_HOST'] !== undefined;

function isIgnored(signal: NodeJS.Signals): boolean {
  const mask = ignoredMask();
  return mask !== undefined && (mask >> BigInt(os.constants.signals[signal] - 1)) % 2n === 1n;
}

function ignoredMask(): bigint | undefined {
  try {
    const match = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    return match?.[1] === undefined ? undefined : BigInt(`0x${match[1]}`);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined; // no /proc: node's own defaults hold
  }
}
