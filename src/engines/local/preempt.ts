import type { StopOrder } from '../../supervisor/ports.js';
import { catchesSignal, sendSignal } from '../../util/os/signals.js';
import type { Job } from './job.js';

/** How long a worker that takes no warning may go on to its next checkpoint, ms (DESIGN section 4). */
const checkpointWaitMs = 60_000;

/**
 * Passes a preemption's warning on as the main process can take it: SIGUSR1 if it has a handler for it (without one
 * that would kill it), else the ordinary stop if it handles SIGTERM, else its next complete checkpoint is waited for.
 * Then comes the ordinary stop. Ends early when the process does, or when a more urgent order comes.
 */
export async function passWarningOn(job: Job, order: StopOrder): Promise<void> {
  const { main, events, orders } = job;
  job.ours.scan(); // remembers who descends from it
  if (catchesSignal(main.pid, 'SIGUSR1') === true) {
    events.notice('preemption: the warning was passed on as SIGUSR1');
    sendSignal(main, 'SIGUSR1');
    await untilSavedOr(job, order.graceMs);
    if (orders.warning === order) orders.stop({ ...order, preempted: false });
  } else if (catchesSignal(main.pid, 'SIGTERM') === true) {
    events.notice('preemption: the worker does not catch SIGUSR1, so it was asked to stop with SIGTERM');
    orders.stop({ ...order, signal: 'SIGTERM', preempted: false });
  } else {
    events.notice(
      'preemption: the worker catches no warning, so it goes on to its next checkpoint (60 s at most)',
    );
    await untilSavedOr(job, checkpointWaitMs);
    if (orders.warning === order) orders.stop({ ...order, preempted: false });
  }
}

async function untilSavedOr({ orders, clock, exit }: Job, ms: number): Promise<void> {
  const { warning, checkpoints } = orders;
  const until = clock.mono() + ms;
  while (!exit() && orders.checkpoints === checkpoints && orders.warning === warning && clock.mono() < until)
    await orders.wait(until - clock.mono());
}
