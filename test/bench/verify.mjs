// What verifying a large checkpoint costs: a zip archive like torch.save's, entries stored, checked for CRCs and digested
// in one pass, against node's zlib.crc32 alone: over the same file read block by block, which the bound is for, and over
// the same bytes already in memory, for who asks. Rounds alternate; ratios are taken within a round. And what the event
// loop feels of it meanwhile.
import { crc32 } from 'node:zlib';
import { closeSync, openSync, readFileSync, mkdirSync, readSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  check,
  median,
  ms,
  option,
  printMachine,
  printTable,
  quantile,
  root,
  temporaryDir,
  times,
} from './lib.mjs';

const { verifyUnit } = await import(path.join(root, 'dist/src/checkpoints/verify/unit.js'));
const { openCheckpointStore } = await import(path.join(root, 'dist/src/checkpoints/open.js'));

const mebi = 1024 * 1024;
const size = option('mib', 1024);
const rounds = option('rounds', 5);
const least = 0.8;
const delayBoundMs = 20;
const listBoundS = 3;
const listing = '1,000 checkpoints of 10 files listed';

const dir = temporaryDir('verify');
const name = 'checkpoint.pt';
const file = path.join(dir, name);
const many = path.join(dir, 'many');
const entries = 16;

printMachine();
writeArchive();
layMany();
const sides = {
  'zlib.crc32 in memory': inMemory,
  'the file read, zlib.crc32': fromFile,
  'verified in the thread': verified,
};
const seen = Object.fromEntries([...Object.keys(sides), listing].map((side) => [side, []]));
const delay = monitorEventLoopDelay({ resolution: 1 });
for (let round = 0; round <= rounds; round++) {
  if (round === 1) delay.reset(); // the first round fills caches and starts the thread
  for (const [side, run] of Object.entries(sides)) {
    const took = await run();
    if (round > 0) seen[side].push(took);
  }
}

const [memory, read, ours, listed] = Object.values(seen);
const rows = [[`${size} MiB`, 'median', 'best', 'speed to crc32 in memory', 'to the file read']];
for (const [side, took] of Object.entries(seen).slice(0, 3))
  rows.push([
    side,
    ms(median(took)),
    ms(Math.min(...took)),
    times(ratio(memory, took)),
    times(ratio(read, took)),
  ]);
printTable(rows);
console.log(
  `${listing} in ${ms(median(listed))} while a file was verified (best ${ms(Math.min(...listed))})`,
);
const p99 = delay.percentile(99) / 1e6;
console.log(`event-loop delay meanwhile: median ${ms(delay.percentile(50) / 1e6)}, p99 ${ms(p99)}`);
check('crc32 and reading alone to a verification', 1 / ratio(read, ours), 1 / least, ' ×');
check('the shallow list of 1,000 checkpoints', median(listed) / 1000, listBoundS, ' s');
check('event-loop delay at p99', p99, delayBoundMs, ' ms');

/** Median of how many times as fast as `others` were. */
function ratio(base, others) {
  return median(others.map((took, round) => base[round] / took));
}

/** The same bytes, read before the clock starts: what no verification of a file can reach. */
function inMemory() {
  const bytes = readFileSync(file);
  const began = performance.now();
  crc32(bytes);
  return performance.now() - began;
}

function fromFile() {
  const buffer = Buffer.allocUnsafe(4 * mebi);
  const handle = openSync(file, 'r');
  const began = performance.now();
  let crc = 0;
  for (let length = readSync(handle, buffer); length > 0; length = readSync(handle, buffer))
    crc = crc32(buffer.subarray(0, length), crc);
  closeSync(handle);
  return performance.now() - began;
}

/** Once alone, for its time; once more beside the listing, for what the event loop feels of both. */
async function verified() {
  const began = performance.now();
  await verifyLarge();
  const took = performance.now() - began;
  delay.enable();
  const [, listedMs] = await Promise.all([verifyLarge(), list()]);
  delay.disable();
  seen[listing].push(listedMs);
  return took;
}

async function verifyLarge() {
  const unit = { root: dir, files: [name], expected: new Map(), bytes: size * mebi };
  const { damage, depth } = await verifyUnit(unit, { deep: true, goOn: () => true });
  if (damage !== undefined || depth !== 'deep') throw new Error(`${depth}: ${damage}`);
}

async function list() {
  const began = performance.now();
  const opened = await openCheckpointStore({
    dir: many,
    guessed: false,
    layout: 'auto',
    verify: 'shallow',
    readOnly: true,
    provenAfterMs: 0,
    runId: '',
    runStartedAt: 0,
    clock: { now: () => Date.now(), mono: () => performance.now() },
    onNotice: (text) => console.log(text),
  });
  const found = await opened.value.inspect({ live: false, budgetMs: 600_000 });
  const good = found.value.checkpoints.filter((checkpoint) => checkpoint.standing === 'verified');
  await opened.value.close();
  if (good.length !== 1000) throw new Error(`${good.length} of 1000 are verified`);
  return performance.now() - began;
}

/** Hugging Face's, of ten small files each. */
function layMany() {
  for (let step = 1; step <= 1000; step++) {
    const folder = path.join(many, `checkpoint-${step}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'trainer_state.json'), JSON.stringify({ global_step: step }));
    writeFileSync(path.join(folder, 'config.json'), '{}');
    for (let shard = 0; shard < 8; shard++) {
      const header = Buffer.from('{"w":{"dtype":"F32","shape":[64],"data_offsets":[0,256]}}');
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(header.length));
      writeFileSync(
        path.join(folder, `model-${shard}.safetensors`),
        Buffer.concat([length, header, Buffer.alloc(256)]),
      );
    }
  }
}

/** What torch.save writes, as far as sizes go: some large stored entries. */
function writeArchive() {
  const handle = openSync(file, 'w');
  const data = Buffer.alloc((size / entries) * mebi);
  const directory = [];
  let offset = 0;
  for (let i = 0; i < entries; i++) {
    for (let at = 0; at < data.length; at += 4) data.writeInt32LE(Math.imul(at + i, 2654435761), at);
    const entryName = Buffer.from(`archive/data/${i}`);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(entryName.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, entryName]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\0', 'latin1'), common, rest, entryName);
    writeSync(handle, local);
    writeSync(handle, data);
    offset += local.length + data.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries, 8);
  end.writeUInt16LE(entries, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  writeSync(handle, Buffer.concat([listing, end]));
  closeSync(handle);
}
