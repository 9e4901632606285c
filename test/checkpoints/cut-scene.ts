// `cut-scene.js SCENE roll-back|undo|finish PARENT N exit|kill`: does it, and ends right before its Nth change to the
// disk (0: never), leaving by exit(99) or by SIGKILL.
import { finishRollbacks, rollBack, undoRollback } from '../../src/checkpoints/rollback/transaction.js';
import { beforeEachChange } from '../support/faults.js';
import { placeIn, scenes } from './scenes.js';

const [name = '', what, parent = '', nth, how] = process.argv.slice(2);
const scene = scenes[name];
if (!scene) throw new Error(`there is no scene ${name}`);
const place = placeIn(parent);
const order = what === 'roll-back' ? await scene.order(place) : undefined;

beforeEachChange((number) => {
  if (number !== Number(nth)) return;
  if (how === 'exit') process.exit(99);
  process.kill(process.pid, 'SIGKILL');
  // nothing more is done until the signal is there
  for (;;);
});

const done = order
  ? await rollBack(place, order)
  : what === 'undo'
    ? await undoRollback(place, Date.now())
    : await finishRollbacks(place);
if (!done.ok) throw new Error(done.error.message);
