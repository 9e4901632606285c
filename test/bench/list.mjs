// How long a shallow list of a large checkpoint folder takes, what a second one takes that may rest on the first, and
// how long the event loop waits meanwhile: 1,000 checkpoints of 10 files each, of a framework with a folder a step and
// of one whose pointers are read too. `--build DIR` takes another build than dist/.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { check, option, printMachine, printTable, root, temporaryDir } from './lib.mjs';

const checkpoints = option('checkpoints', 1000);
const given = process.argv.indexOf('--build');
const build = given < 0 ? path.join(root, 'dist') : process.argv[given + 1];
const { openCheckpointStore } = await import(path.resolve(build, 'src/checkpoints/open.js'));

const kinds = {
  huggingface: (step) => [`checkpoint-${step}`, 'trainer_state.json'],
  megatron: (step) => [`iter_${String(step).padStart(7, '0')}`, 'common.pt'],
};

printMachine();
const rows = [['layout', 'first list', 'second list', 'loop delay, 99 %', 'the longest']];
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
  for (const live of [false, true]) {
    const began = performance.now();
    const seen = await store.inspect({ live, budgetMs: 0 });
    walls.push(performance.now() - began);
    if (seen.value.checkpoints.length !== checkpoints || store.layout !== layout)
      throw new Error(`${seen.value.checkpoints.length} checkpoints of ${store.layout}`);
  }
  histogram.disable();
  await store.close();
  const [p99, longest] = [histogram.percentile(99) / 1e6, histogram.max / 1e6];
  slowest = Math.max(slowest, ...walls);
  delay = Math.max(delay, p99);
  rows.push([layout, ...[...walls, p99, longest].map((ms) => `${ms.toFixed(0)} ms`)]);
}
printTable(rows);
check(`a list of ${checkpoints} checkpoints of 10 files, s`, slowest / 1000, 3);
check('event-loop delay at the 99th percentile, ms', delay, 20);

function fill(dir, name, marker) {
  mkdirSync(path.join(dir, name), { recursive: true });
  const files = [marker, ...Array.from({ length: 9 }, (_, part) => `part-${part}.bin`)];
  for (const file of files)
    writeFileSync(path.join(dir, name, file), file === marker ? '{}' : 'x'.repeat(100));
}
