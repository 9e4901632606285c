// What verifying a large checkpoint costs: a zip archive like torch.save's, entries stored, checked for CRCs and digested
// in one pass, against node's zlib.crc32 alone: over the same file read block by block, which the bound is for, and over
// the same bytes already in memory, for who asks. Rounds alternate; ratios are taken within a round. And what the event
// loop feels of it meanwhile.
import { crc32 } from 'node:zlib';
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
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

const mebi = 1024 * 1024;
const size = option('mib', 1024);
const rounds = option('rounds', 5);
const least = 0.8;
const delayBoundMs = 20;

const dir = temporaryDir('verify');
const name = 'checkpoint.pt';
const file = path.join(dir, name);
const entries = 16;

printMachine();
writeArchive();
const sides = {
  'zlib.crc32 in memory': inMemory,
  'the file read, zlib.crc32': fromFile,
  'verified in the thread': verified,
};
const seen = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
const delays = [];
for (let round = 0; round <= rounds; round++)
  for (const [side, run] of Object.entries(sides)) {
    const took = await run();
    if (round > 0) seen[side].push(took); // the first one fills caches and starts the thread
  }

const [memory, read, ours] = Object.values(seen);
const rows = [
  [
    '1 GiB'.replace('1', String(size / 1024)),
    'median',
    'best',
    'speed to crc32 in memory',
    'to the file read',
  ],
];
for (const [side, took] of Object.entries(seen))
  rows.push([
    side,
    ms(median(took)),
    ms(Math.min(...took)),
    times(ratio(memory, took)),
    times(ratio(read, took)),
  ]);
printTable(rows);
console.log(
  `event-loop delay while it was verified: median ${ms(quantile(delays, 0.5))}, p99 ${ms(quantile(delays, 0.99))}`,
);
check('crc32 and reading alone to a verification', 1 / ratio(read, ours), 1 / least, ' ×');
check('event-loop delay at p99', quantile(delays, 0.99), delayBoundMs, ' ms');

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

async function verified() {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const began = performance.now();
  const { damage, depth } = await verifyUnit(
    { root: dir, files: [name], expected: new Map(), bytes: size * mebi },
    { deep: true, goOn: () => true },
  );
  const took = performance.now() - began;
  histogram.disable();
  if (damage !== undefined || depth !== 'deep') throw new Error(`${depth}: ${damage}`);
  for (const p of [50, 90, 99]) delays.push(histogram.percentile(p) / 1e6);
  return took;
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
