// How much damage a look at a checkpoint's bytes finds: random flips and cuts in files of each format, before a manifest
// with digests exists (only what the format itself can tell) and after (every byte was recorded). Files are written by
// Python's own zipfile and by hand on a bare machine, by torch, safetensors and h5py too where TRAINGUARD_PYTHON names
// an interpreter that has them. Ends with 1 if anything escapes that should not.
//   node test/chaos/damage.mjs [--flips 200] [--cuts 200] [--seed 1]
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { root } from '../bench/lib.mjs';
import { option, printTable } from '../bench/lib.mjs';

const from = path.join(root, 'dist/src/checkpoints/verify');
const { lookAtUnit } = await import(path.join(from, 'look.js'));
const { otherBytes } = await import(path.join(from, 'against.js'));

const flips = option('flips', 200);
const cuts = option('cuts', 200);
const next = chance(option('seed', 1));
const python = process.env.TRAINGUARD_PYTHON ?? 'python3';

/** What a flip escapes by before a manifest exists, and why nothing in the file can tell. */
const blind = {
  safetensors: 'the format has no checksum: only its header, and NaN among the floats, can be seen',
  zip: 'times, attributes and filler between entries, which no CRC covers and no reader uses',
  'zip without CRCs': 'torch.serialization.set_crc32_options(False): only directory and headers can be seen',
  distcp: 'times, attributes and filler between entries',
  'legacy .pt': 'the format has no checksum and no length',
  HDF5: 'only the superblock is looked at: most HDF5 files have no checksum',
};

const dir = mkdtempSync(path.join(os.tmpdir(), 'trainguard-damage-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
make();

const rows = [
  [
    'file',
    'format',
    'bytes',
    `${flips} flips`,
    'with manifest',
    `${cuts} cuts`,
    'with manifest',
    'ms a look',
  ],
];
const reasons = new Set();
/** Damaged archives that nothing was found in. */
const escaped = [];
let broken = false;
for (const name of readdirSync(dir).sort()) {
  const whole = readFileSync(path.join(dir, name));
  const format = formatOf(name);
  const recorded = await recordedOf(name);
  const flipped = await tally(name, recorded, flips, () => {
    const bytes = Buffer.from(whole);
    const at = next(bytes.length);
    bytes[at] ^= 1 << next(8);
    return bytes;
  });
  const cut = await tally(name, recorded, cuts, () => whole.subarray(0, next(whole.length)));
  const lookMs = (flipped.ms + cut.ms) / (flips + cuts);
  rows.push([
    name,
    format,
    whole.length,
    flipped.alone,
    flipped.held,
    cut.alone,
    cut.held,
    lookMs.toFixed(1),
  ]);
  if (flipped.alone < flips || cut.alone < cuts) reasons.add(format);
  if (flipped.held < flips || cut.held < cuts) broken = true;
}
printTable(rows);
for (const format of reasons) console.log(`${format}: ${blind[format]}`);
if (escaped.length > 0) {
  const same = readAlike();
  console.log(
    `zip: of ${escaped.length} that escaped, Python's zipfile reads ${same} exactly as before the damage`,
  );
  if (same < escaped.length) broken = true;
}
console.log(
  broken ? 'BROKEN: something escaped the manifest' : 'holds: nothing escapes a manifest with digests',
);
if (broken) process.exitCode = 1;

async function look(name) {
  return lookAtUnit({ root: dir, files: [name], expected: new Map() }, { deep: true, goOn: () => true });
}

async function recordedOf(name) {
  const { damage, digests } = await look(name);
  if (damage !== undefined) throw new Error(`${name} is damaged as it was written: ${damage}`);
  return [...digests].map(([file, digest]) => ({ path: file, digest }));
}

/** How many of some damaged versions are found by the file alone, and against the manifest. */
async function tally(name, recorded, count, damaged) {
  const file = path.join(dir, name);
  const whole = readFileSync(file);
  const seen = { alone: 0, held: 0, ms: 0 };
  for (let i = 0; i < count; i++) {
    writeFileSync(file, damaged());
    const began = performance.now();
    const { damage, digests, nonFinite } = await look(name);
    seen.ms += performance.now() - began;
    const told = damage !== undefined || nonFinite.nan !== undefined;
    if (told) seen.alone++;
    else if (formatOf(name) === 'zip') escaped.push({ name, bytes: readFileSync(file) });
    // a cut changes the size, which makes the manifest void: it is judged by the file alone, then
    if (told || otherBytes(recorded, digests) !== undefined) seen.held++;
  }
  writeFileSync(file, whole);
  return seen;
}

/** How many of the escaped archives still give every entry's bytes. */
function readAlike() {
  const folder = path.join(dir, 'escaped');
  mkdirSync(folder);
  for (const [index, { name, bytes }] of escaped.entries())
    writeFileSync(path.join(folder, `${index}-${name}`), bytes);
  const code = `
import os, sys, zipfile
os.chdir(sys.argv[1])
def read(name):
    try:
        with zipfile.ZipFile(name) as z: return [(e.filename, z.read(e)) for e in z.infolist()]
    except Exception as e: return e
print(sum(read('escaped/' + name) == read(name.split('-', 1)[1]) for name in os.listdir('escaped')))
`;
  return Number(spawnSync('python3', ['-c', code, dir], { encoding: 'utf8' }).stdout);
}

function formatOf(name) {
  if (name.endsWith('.safetensors')) return 'safetensors';
  if (name.endsWith('.distcp')) return 'distcp';
  if (name.endsWith('.h5')) return 'HDF5';
  if (name.startsWith('legacy')) return 'legacy .pt';
  return name.startsWith('no-crc') ? 'zip without CRCs' : 'zip';
}

function make() {
  run(
    'python3',
    `
import json, os, struct, sys, zipfile
os.chdir(sys.argv[1])
numbers = struct.pack('<30000f', *(i % 997 / 997 - 0.5 for i in range(30000)))
for name, method in (('savez.npz', 0), ('savez_compressed.npz', 8)):
    with zipfile.ZipFile(name, 'w', method) as z:
        z.writestr('weights.npy', numbers); z.writestr('bias.npy', os.urandom(4000))
header = json.dumps({'w': {'dtype': 'F32', 'shape': [30000], 'data_offsets': [0, 120000]}}).encode()
with open('by-hand.safetensors', 'wb') as f: f.write(struct.pack('<Q', len(header)) + header + numbers)
`,
  );
  if (process.env.TRAINGUARD_PYTHON === undefined) {
    console.log('TRAINGUARD_PYTHON is unset: no files of torch, safetensors and h5py');
    return;
  }
  run(
    python,
    `
import os, sys, tempfile
os.chdir(sys.argv[1])
import torch
torch.manual_seed(0)
state = {'model': {'a': torch.randn(200, 100), 'b': torch.randn(300).to(torch.bfloat16)}, 'step': 3}
torch.save(state, 'torch.pt')
torch.save(state, 'legacy.pt', _use_new_zipfile_serialization=False)
if hasattr(torch.serialization, 'set_crc32_options'):
    torch.serialization.set_crc32_options(False); torch.save(state, 'no-crc.pt'); torch.serialization.set_crc32_options(True)
import torch.distributed.checkpoint as dcp
with tempfile.TemporaryDirectory() as place:
    dcp.save({f'w{i}': torch.randn(40, 50) for i in range(12)}, checkpoint_id=place)
    os.rename(os.path.join(place, '__0_0.distcp'), '__0_0.distcp')
try:
    from safetensors.torch import save_file
    save_file({'a': torch.randn(200, 100), 'b': torch.randn(3000).to(torch.bfloat16)}, 'library.safetensors')
except ImportError as e: print(e)
try:
    import h5py, numpy
    with h5py.File('weights.h5', 'w') as f: f['w'] = numpy.random.randn(10000)
except ImportError as e: print(e)
`,
  );
}

function run(interpreter, code) {
  const { status, stderr, stdout, error } = spawnSync(interpreter, ['-W', 'ignore', '-c', code, dir], {
    encoding: 'utf8',
  });
  if (stdout) console.log(stdout.trim());
  if (status === 0) return;
  console.error(`${interpreter} could not write the files: ${error?.message ?? stderr}`);
  process.exit(1);
}

/** Small numbers of which the same seed gives the same. */
function chance(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
