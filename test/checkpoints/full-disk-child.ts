import { appendFileSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openCheckpointStore } from '../../src/checkpoints/open.js';
import { errorCode } from '../../src/util/os/durable.js';
import { defaults, HandClock, lay, npz, value } from './samples.js';

// On a small disk of its own: three checkpoints, then not a byte more fits, then a rollback.

const [disk = '', reserve = ''] = process.argv.slice(2);
const dir = path.join(disk, 'ckpts');
for (const step of [10, 20, 30]) lay(dir, { [`step-${step}.npz`]: npz(step) });
const store = value(await openCheckpointStore(defaults(dir, new HandClock(), [])));
value(await store.inspect({ live: false, budgetMs: 60_000 }));
await store.retain();
const laid = existsSync(path.join(store.vault ?? '', 'reserve'));
if (reserve === 'without') rmSync(path.join(store.vault ?? '', 'reserve'));
for (let size = 65_536; size > 0; size = Math.floor(size / 2)) while (grew(size));
const rolled = await store.rollback({
  target: 'step-10.npz',
  moves: ['step-30.npz', 'step-20.npz'],
  reason: 'x',
});
process.stdout.write(JSON.stringify({ laid, ok: rolled.ok, code: rolled.ok ? undefined : rolled.error.code, left: readdirSync(dir).sort() })); // prettier-ignore

function grew(bytes: number): boolean {
  try {
    appendFileSync(path.join(disk, 'filler'), Buffer.alloc(bytes));
    // a small file needs a block of its own
    writeFileSync(path.join(disk, 'probe'), 'x');
    rmSync(path.join(disk, 'probe'));
    return true;
  } catch (error) {
    if (errorCode(error) !== 'ENOSPC') throw error;
    return false;
  }
}
