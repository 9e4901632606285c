import type { StopSource } from '../policy/event.js';

declare global {
  // set by bin/trainguard.js, whose first line listens so that an early warning of Slurm's does not kill us
  var trainguardPreempted: (() => void) | undefined;
  var trainguardEarlyUsr1: boolean | undefined;
}

/**
 * Signals to trainguard (DESIGN section 4): the first INT or TERM stops gracefully, the second at once; HUP only takes
 * the terminal away, which is what nohup is for; USR1 is Slurm's warning before preemption. (Which signals were ignored
 * at our start is not known: node resets them before the first line of ours runs.)
 * @returns takes the listeners away again
 */
export function listenToSignals(on: { stop: (by: StopSource) => void; hangup: () => void }): () => void {
  const listeners: [NodeJS.Signals, () => void][] = [
    ['SIGINT', () => on.stop('interrupt')],
    ['SIGTERM', () => on.stop(isPreemptible() ? 'preemption' : 'terminate')],
    ['SIGHUP', on.hangup],
  ];
  for (const [signal, listener] of listeners) process.on(signal, listener);
  globalThis.trainguardPreempted = () => on.stop('warning');
  if (globalThis.trainguardEarlyUsr1 === true) on.stop('warning');
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
    globalThis.trainguardPreempted = undefined;
  };
}

/** A TERM from these is a preemption: the job comes back. */
const isPreemptible = (): boolean =>
  process.env['SLURM_JOB_ID'] !== undefined || process.env['KUBERNETES_SERVICE_HOST'] !== undefined;
