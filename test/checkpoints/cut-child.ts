// `cut-child.js rollback|recover DIR N|rename:N`: does it, and ends like a crash right before its Nth file operation
// (or its Nth rename; 0: never).
import { openCheckpointStore } from '../../src/checkpoints/open.js';
import { files } from '../../src/util/os/durable.js';
import { defaults, HandClock, value } from './samples.js';

const [what, dir = '', cut = '0'] = process.argv.slice(2);
const store = value(await openCheckpointStore(defaults(dir, new HandClock(), [])));

const [only, nth] = cut.includes(':') ? cut.split(':') : [undefined, cut];
let operations = 0;
for (const name of Object.keys(files) as (keyof typeof files)[]) {
  if (only !== undefined && only !== name) continue;
  const real = files[name] as (...args: unknown[]) => Promise<unknown>;
  Object.assign(files, {
    [name]: (...args: unknown[]): Promise<unknown> => {
      if (++operations === Number(nth)) process.exit(99);
      return real(...args);
    },
  });
}

if (what === 'recover') value(await store.recover());
else
  value(
    await store.rollback({
      target: 'checkpoint-10',
      moves: ['checkpoint-30', 'checkpoint-20'],
      reason: 'cut',
    }),
  );
