import type { Exit } from '../../failure/types.js';
import type { Clock, WorkerEvents } from '../../supervisor/ports.js';
import type { MainRecord } from './launch-record.js';
import type { Orders } from './orders.js';
import type { Ours } from './ours.js';
import type { Spawner } from './spawn.js';
import type { StackDumper } from './stacks.js';

/** A launched attempt, as those who bring it to its end see it. */
export interface Job {
  readonly main: MainRecord;
  readonly ours: Ours;
  readonly orders: Orders;
  readonly events: WorkerEvents;
  readonly clock: Pick<Clock, 'mono' | 'after'>;
  readonly spawner: Spawner;
  /** Real paths of the checkpoint folders. */
  readonly checkpointDirs: readonly string[];
  /** How long leftovers may take where no order said so, ms. */
  readonly graceMs: number;
  /** How the main process ended; undefined while it lives. The orders' waker is woken when it does. */
  readonly exit: () => Exit | undefined;
  readonly stacks: StackDumper;
}
