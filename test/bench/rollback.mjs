// A checkpoint of 10,000 files rolled back on one device: moved into quarantine, and put back out of a hard-link tree in
// the vault; then by the store, which lists the folder first and reads the target once more, of few files and of as many.
// `npm run build && node test/bench/rollback.mjs [--files N] [--runs N] [--kib N]`
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { check, median, ms, option, printMachine, printTable, quantile, root, temporaryDir } from './lib.mjs';

const build = path.resolve(process.env.TRAINGUARD_BUILD ?? path.join(root, 'dist'));
const load = (file) => import(pathToFileURL(path.join(build, 'src', file)).href);
const { openCheckpointStore } = await load('checkpoints/open.js');
const { rollBack } = await load('checkpoints/rollback/transaction.js');
const { walkDir } = await load('util/os/dir-walk.js');

const files = option('files', 10_000);
const runs = option('runs', 5);
const bytes = Buffer.alloc(option('kib', 1) * 1024, 7);
const base = temporaryDir('rollback');

printMachine();
console.log(`checkpoints of ${files} files of ${bytes.length / 1024} KiB, ${runs} runs each`);
const rows = [['', 'median', 'slowest']];
const told = {};
for (const [name, work] of Object.entries({
  'moved away, transaction': moved,
  'put back, transaction': putBack,
  'moved away, store': (at) => byStore(at, 10),
  'moved away, store, as large a target read': (at) => byStore(at, files),
})) {
  const times = [];
  for (let run = 0; run < runs; run++) {
    const dir = path.join(base, `${run}`, 'ckpts');
    mkdirSync(dir, { recursive: true });
    times.push(await work(dir));
    rmSync(path.dirname(dir), { recursive: true });
  }
  told[name] = median(times);
  rows.push([name, ms(median(times)), ms(quantile(times, 1))]);
}
printTable(rows);
check('moved away, seconds', told['moved away, transaction'] / 1000, 0.2, ' s');
check('put back, seconds', told['put back, transaction'] / 1000, 0.2, ' s');
check('moved away by the store, seconds', told['moved away, store'] / 1000, 0.2, ' s');

function lay(dir, step, count = files) {
  for (let folder = 0; folder < 10; folder++) {
    const at = path.join(dir, `checkpoint-${step}`, `part-${folder}`);
    mkdirSync(at, { recursive: true });
    for (let n = 0; n < count / 10; n++) writeFileSync(path.join(at, `shard-${n}.bin`), bytes);
  }
  writeFileSync(path.join(dir, `checkpoint-${step}`, 'trainer_state.json'), `{"global_step": ${step}}`);
}

async function opened(dir) {
  const options = { dir, guessed: false, layout: 'auto', settleMs: 0, provenAfterMs: 1000, runId: 'bench', runStartedAt: Date.now() }; // prettier-ignore
  const clock = { now: () => Date.now(), mono: () => performance.now() };
  return must(await openCheckpointStore({ ...options, clock, onNotice: (text) => console.log(text) }));
}

async function moved(dir) {
  lay(dir, 10, 10);
  lay(dir, 20);
  const store = await opened(dir);
  const { lstatSync } = await import('node:fs');
  const inode = String(lstatSync(path.join(dir, 'checkpoint-20')).ino);
  const order = {
    moves: [{ id: 'checkpoint-20', name: 'checkpoint-20', inode }],
    reason: 'bench',
    at: Date.now(),
  };
  return timeOf(() => rollBack({ dir: store.dir, vault: store.vault }, order));
}

/** As a trainer that keeps its newest only leaves it: the one before is in the vault. */
async function putBack(dir) {
  const store = await opened(dir);
  const root = path.join(store.vault, 'spares/one/files');
  lay(root, 10);
  const { files: present, folders } = await walkDir(root, '', { maxFiles: files + 1, maxDepth: 9 });
  const spare = { schemaVersion: 1, id: 'checkpoint-10@10', of: 'checkpoint-10', how: 'links', members: ['checkpoint-10'], files: present, folders: folders.slice(1), runId: 'bench', takenAt: 0 }; // prettier-ignore
  const source = { spare: { spare, root, present }, member: 'checkpoint-10' };
  const pieces = [{ id: spare.id, name: 'checkpoint-10', why: 'restore', source }];
  return timeOf(() => rollBack({ dir: store.dir, vault: store.vault }, { pieces, moves: [], reason: 'bench', at: Date.now() })); // prettier-ignore
}

async function byStore(dir, targetFiles) {
  lay(dir, 10, targetFiles);
  lay(dir, 20);
  const store = await opened(dir);
  return timeOf(() => store.rollback({ target: 'checkpoint-10', moves: ['checkpoint-20'], reason: 'bench' }));
}

async function timeOf(work) {
  const began = performance.now();
  must(await work());
  return performance.now() - began;
}

function must(result) {
  if (result.ok) return result.value;
  throw new Error(result.error.message);
}
