import { parentPort } from 'node:worker_threads';
import { errorCode, errorText } from '../../util/os/durable.js';
import { lookAtUnit } from './look.js';
import type { ThreadAnswer, ThreadOrder } from './thread-messages.js';

/** What runs in the thread that `thread.ts` starts: verifies what it is told to. */
const port = parentPort;
if (!port) throw new Error('thread-main.js is started by thread.js only');
const tell = (answer: ThreadAnswer): void => port.postMessage(answer);

port.on('message', (order: ThreadOrder) => void answer(order));
tell({ ready: true });

async function answer({ job, unit, deep, readBytesPerS, stop }: ThreadOrder): Promise<void> {
  const goOn = (): boolean => Atomics.load(stop, 0) === 0;
  try {
    const depth = { deep, goOn, ...(readBytesPerS === undefined ? {} : { readBytesPerS }) };
    tell({ job, verdict: await lookAtUnit(unit, depth) });
  } catch (error) {
    const code = errorCode(error);
    const stack = error instanceof Error ? error.stack : undefined;
    tell({
      job,
      failure: {
        message: errorText(error),
        ...(stack === undefined ? {} : { stack }),
        ...(code === undefined ? {} : { code }),
      },
    });
  }
}
