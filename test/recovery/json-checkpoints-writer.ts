import { writeSync } from 'node:fs';
import { JsonCheckpoints } from '../../src/recovery/json-checkpoints.js';

// Saves states of worker w in argv[2] until it is killed, values and streams, from number argv[3] on, two at a time, and
// says the path of each when it is saved.

const checkpoints = new JsonCheckpoints({ dir: process.argv[2] ?? '', keep: 1000 });
let next = Number(process.argv[3]);
const filler = 'x'.repeat(50_000);

async function* body(n: number): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield Buffer.from(`{"n":${n},"filler":"`);
  yield Buffer.from(filler);
  yield Buffer.from('"}');
}

async function forever(): Promise<never> {
  for (;;) {
    const n = next++;
    if (n % 2 === 0) writeSync(1, `${n} ${(await checkpoints.save('w', { n, filler })).path}\n`);
    else {
      const saved = await checkpoints.saveStream('w', body(n), { maxBytes: 100_000 });
      if (!saved.ok) throw new Error(saved.error.message);
      writeSync(1, `${n} ${saved.value.path}\n`);
    }
  }
}
await Promise.all([forever(), forever()]);
