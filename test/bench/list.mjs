// How long a shallow list of a large checkpoint folder takes, the first and the next ones, and how long the event loop
// waits meanwhile: 1,000 checkpoints of 10 files each, of a framework with a folder a step and
// of one whose pointers are read too. `--build DIR` takes another build than dist/.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { check, median, option, printMachine, printTable, root, temporaryDir } from './lib.mjs';

const checkpoints = option('checkpoints', 1000);
const given = process.argv.indexOf('--build');
const build = given < 0 ? path.join(root, 'dist') : process.argv[given + 1];
const { openCheckpointStore } = await import(path.resolve(build, 'src/checkpoints/open.js'));

const kinds = {
  huggingface: (step) => [`checkpoint-${step}`, 'trainer_state.json'],
  megatron: (step) => [`iter_${String(step).padStart(7, '0')}`, 'common.pt'],
};

printMachine();
const idle = await idleDelay();
const rows = [['layout', 'first list', 'median of five', 'loop delay, 99 %', 'the longest']];
let slowest = 0;
let delay = 0;
for (const [layout, nameOf] of Object.entries(kinds)) {
  const dir = path.join(temporaryDir(layout), 'out');
  for (let step = 1; step <= checkpoints; step++) fill(dir, ...nameOf(step));
  if (layout === 'megatron')
    writeFileSync(path.join(dir, 'latest_checkpointed_iteration.txt'), `${checkpoints}`);
  const opened = await openCheckpointStore({
    ...{ dir, guessed: false, layout: 'auto', provenAfterMs: 120_000, runId: 'bench', readOnly: true },
    ...{ runStartedAt: Date.now(), onNotice: (notice) => console.log(notice) },
    clock: { now: () => Date.now(), mono: () => performance.now() },
  });
  const store = opened.value;
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const walls = [];
  for (let list = 0; list < 5; list++) {
    const began = performance.now();
    const seen = await store.inspect({ live: false, budgetMs: 0 });
    walls.push(performance.now() - began);
    if (seen.value.checkpoints.length !== checkpoints || store.layout !== layout)
      throw new Error(`${seen.value.checkpoints.length} checkpoints of ${store.layout}`);
  }
  histogram.disable();
  await store.close();
  const [p99, longest] = [histogram.percentile(99) / 1e6, histogram.max / 1e6];
  const middle = median(walls);
  slowest = Math.max(slowest, middle);
  delay = Math.max(delay, p99);
  rows.push([layout, ...[walls[0], middle, p99, longest].map((ms) => `${ms.toFixed(0)} ms`)]);
}
rows.push(['(an idle loop)', '', '', `${idle.toFixed(0)} ms`, '']);
printTable(rows);
check(`a list of ${checkpoints} checkpoints of 10 files, s`, slowest / 1000, 3);
// on a machine that is busy with other things an idle loop waits too
check('event-loop delay at the 99th percentile beyond that of an idle loop, ms', delay - idle, 20);

/** ms at the 99th percentile, over a second in which nothing is done. */
async function idleDelay() {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  histogram.disable();
  return histogram.percentile(99) / 1e6;
}

function fill(dir, name, marker) {
  mkdirSync(path.join(dir, name), { recursive: true });
  const files = [marker, ...Array.from({ length: 9 }, (_, part) => `part-${part}.bin`)];
  for (const file of files)
    writeFileSync(path.join(dir, name, file), file === marker ? '{}' : 'x'.repeat(100));
}
