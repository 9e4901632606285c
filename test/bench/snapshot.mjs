// What a spare of a checkpoint that is rewritten in place costs: a copy with its digest, against a plain `cp`; and
// whether the event loop goes on turning meanwhile. A hard-link tree of 10,000 files besides.
import { spawnSync } from 'node:child_process';
import { mkdirSync, openSync, closeSync, rmSync, writeSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Copier } from '../../dist/src/checkpoints/spares/copy.js';
import { takeSpare } from '../../dist/src/checkpoints/spares/take.js';
import { walkDir } from '../../dist/src/util/os/dir-walk.js';
import {
  check,
  median,
  ms,
  option,
  printMachine,
  printTable,
  quantile,
  temporaryDir,
  times,
  wallMs,
} from './lib.mjs';

const mib = option('mib', 1024);
const rounds = option('rounds', 7);
const fileCount = option('files', 10_000);
const leastRatio = 0.4;
const mostDelayMs = 20;

const dir = temporaryDir('snapshot');
const source = path.join(dir, 'ckpt.pt');
printMachine();
writeSource();

const copier = new Copier();
const delays = monitorEventLoopDelay({ resolution: 1 });
const sides = {
  'cp --reflink=never': () => run('cp', ['--reflink=never', source, target()]),
  'cp, then sync of the file': () =>
    run('sh', ['-c', 'cp --reflink=never "$0" "$1" && sync "$1"', source, target()]),
  'copy with digest': () => pourOnly(),
  'the same, flushed': () => copier.copy(source, target()),
};
const seen = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const [name, side] of Object.entries(sides)) {
    const own = name.includes('digest') || name.includes('flushed');
    if (own) delays.enable();
    const startedAt = wallMs();
    await side();
    const tookMs = wallMs() - startedAt;
    if (own) delays.disable();
    rmSync(target());
    run('sync', []); // what one side left to be written must not slow the next
    if (round >= 0) seen[name].push(tookMs);
  }
}

const rate = (name) => mib / (median(seen[name]) / 1000);
printTable([
  [`${mib} MiB`, 'median', '90 %', 'MiB/s'],
  ...Object.entries(seen).map(([name, walls]) => [
    name,
    ms(median(walls)),
    ms(quantile(walls, 0.9)),
    rate(name).toFixed(0),
  ]),
]);
const ratio = rate('copy with digest') / rate('cp --reflink=never');
const flushed = rate('the same, flushed') / rate('cp, then sync of the file');
console.log(`with its digest it goes at ${times(ratio)} the rate of cp, flushed at ${times(flushed)}`);
check('cp to snapshot with digest', 1 / ratio, 1 / leastRatio, ' ×');
console.log(
  `event-loop delay of a process that does nothing here: ${ms(await idleDelayMs())} at the 99th percentile`,
);
check('event-loop delay, 99th percentile', delays.percentile(99) / 1e6, mostDelayMs, ' ms');
await linkTree();

/** What {@link Copier} does but for the flush, which `cp` does not do either. */
async function pourOnly() {
  const { files } = await import('../../dist/src/util/os/durable.js');
  const open = files.open;
  files.open = async (...args) => {
    const handle = await open(...args);
    handle.sync = () => Promise.resolve();
    return handle;
  };
  try {
    await copier.copy(source, target());
  } finally {
    files.open = open;
  }
}

/** What the machine's other work does to any event loop. */
async function idleDelayMs() {
  const idle = monitorEventLoopDelay({ resolution: 1 });
  idle.enable();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  idle.disable();
  return idle.percentile(99) / 1e6;
}

async function linkTree() {
  const root = path.join(dir, 'folders');
  const unitDir = path.join(root, 'checkpoint-1');
  mkdirSync(unitDir, { recursive: true });
  for (let n = 0; n < fileCount; n++) writeFileSync(path.join(unitDir, `shard-${n}.bin`), String(n));
  const { files, folders } = await walkDir(root, 'checkpoint-1', { maxFiles: 100_000, maxDepth: 9 });
  const unit = { id: 'checkpoint-1', members: [{ path: 'checkpoint-1' }], files, folders };
  const walls = [];
  for (let round = 0; round < rounds; round++) {
    const vault = path.join(dir, `vault-${round}`);
    const spare = {
      schemaVersion: 1,
      id: 'checkpoint-1@1',
      of: unit.id,
      how: 'links',
      members: [unit.id],
      files,
      folders,
      runId: '',
      takenAt: 1,
    };
    const startedAt = wallMs();
    const taken = await takeSpare({ dir: root, vault, unit, spare, copier });
    walls.push(wallMs() - startedAt);
    if (typeof taken === 'string') throw new Error(`the link tree was ${taken}`);
  }
  console.log(`a hard-link tree of ${fileCount} files: median ${ms(median(walls))}`);
}

function target() {
  return path.join(dir, 'copy.pt');
}

function run(file, args) {
  const { status, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ended with ${status}: ${stderr}`);
}

/** Bytes that no file system makes smaller. */
function writeSource() {
  const block = Buffer.alloc(1024 * 1024);
  let state = 1;
  for (let i = 0; i < block.length; i += 4)
    block.writeUInt32LE((state = (Math.imul(state, 1664525) + 1013904223) >>> 0), i);
  const descriptor = openSync(source, 'w');
  for (let n = 0; n < mib; n++) {
    block.writeUInt32LE(n, 0);
    writeSync(descriptor, block);
  }
  closeSync(descriptor);
}
