// Real processes, each cut off by process.exit or by SIGKILL right before one change to the disk: a rollback, and what
// undoes it, at every change there is, for every scene of test/checkpoints/scenes.ts. Then the next start finishes it;
// after some of the cuts that is cut off by SIGKILL as well, again at every change. What must hold: the folder is byte for
// byte as before or as wanted, every content that ever was is in folder or vault, nothing half-done is left. Then every
// change failing in each way, in one process.
// `npm run build && node test/chaos/rollback-cuts.mjs [--only TEXT] [--no-faults]`
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { printTable } from '../bench/lib.mjs';

const tests = path.resolve(
  process.env.TRAINGUARD_TESTS ?? fileURLToPath(new URL('../../dist/test', import.meta.url)),
);
const child = path.join(tests, 'checkpoints/cut-scene.js');
const { finishRollbacks, rollBack } = await import(
  pathToFileURL(path.join(tests, '../src/checkpoints/rollback/transaction.js')).href
);
const { contentsIn, leftovers, placeIn, scenes, setUp, treeOf } = await import(
  pathToFileURL(path.join(tests, 'checkpoints/scenes.js')).href
);
const only = argument('--only') ?? '';
// what is asked here is what a crash of the process leaves, which memory shows as well as a disk
const base = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'trainguard-cuts-'));
process.on('exit', () => rmSync(base, { recursive: true, force: true }));

/** After which of the cuts, as parts of all of them, the finishing is cut off too. */
const again = [0.45, 0.6, 0.75, 0.9];

const rows = [['scene', 'cut off', 'by', 'points', 'as before', 'as wanted', 'violated']];
let violated = 0;
for (const name of Object.keys(scenes).filter((one) => one.includes(only))) {
  for (const what of ['roll-back', 'undo']) {
    const ends = await endsOf(name, what);
    for (const how of ['exit', 'kill']) tell(name, what, how, await everyCut(name, what, how, ends));
    tell(name, `finishing a cut ${what}`, 'kill', await everySecondCut(name, what, ends, rows.at(-1)[3]));
  }
}
printTable(rows);
const points = rows.slice(1).reduce((sum, row) => sum + row[3], 0);
console.log(`${points} processes cut off, ${violated} violations`);
if (!process.argv.includes('--no-faults')) faults();
if (violated > 0) process.exitCode = 1;

/** Each row as soon as it is known: all of them take minutes. */
function tell(name, what, how, counts) {
  rows.push([name, what, how, ...counts]);
  console.error(rows.at(-1).join(', '));
}

/** How the folder is before, and how it is to be. */
async function endsOf(name, what) {
  const parent = await begin(name, 'roll-back');
  const original = look(parent);
  const place = placeIn(parent);
  must(await rollBack(place, await scenes[name].order(place)));
  const rolledBack = look(parent);
  rmSync(parent, { recursive: true });
  return what === 'undo' ? [rolledBack, original] : [original, rolledBack];
}

/** The scene, right before what is to be cut off. */
async function begin(name, what) {
  const parent = mkdtempSync(path.join(base, 'cut-'));
  const place = await setUp(scenes[name], parent);
  if (what === 'undo') must(await rollBack(place, await scenes[name].order(place)));
  return parent;
}

/** Cuts at 1, 2, … until it gets through. */
async function everyCut(name, what, how, ends) {
  const counts = { cuts: 0, before: 0, wanted: 0, violated: 0 };
  for (let n = 1; ; n++) {
    const parent = await begin(name, what);
    if (await getsThrough(name, what, parent, n, how)) return Object.values(counts);
    await judge(parent, ends, counts, `${name}, ${what} by ${how} at ${n}`);
  }
}

async function everySecondCut(name, what, ends, cuts) {
  const counts = { cuts: 0, before: 0, wanted: 0, violated: 0 };
  for (const n of new Set(again.map((part) => Math.ceil(part * cuts)))) {
    for (let m = 1; ; m++) {
      const parent = await begin(name, what);
      await getsThrough(name, what, parent, n, 'kill');
      if (await getsThrough(name, 'finish', parent, m, 'kill')) break;
      await judge(parent, ends, counts, `${name}, ${what} killed at ${n}, its finishing at ${m}`);
    }
  }
  return Object.values(counts);
}

async function judge(parent, [before, wanted], counts, where) {
  counts.cuts++;
  must(await finishRollbacks(placeIn(parent)));
  const now = look(parent);
  const same = (one) => JSON.stringify(one.tree) === JSON.stringify(now.tree);
  const kept = [...before.contents].every((content) => now.contents.has(content));
  if (same(before)) counts.before++;
  else if (same(wanted)) counts.wanted++;
  if (kept && leftovers(placeIn(parent)).length === 0 && (same(before) || same(wanted))) {
    rmSync(parent, { recursive: true });
    return;
  }
  counts.violated++;
  violated++;
  const copy = mkdtempSync(path.join(os.tmpdir(), 'trainguard-violated-'));
  cpSync(parent, copy, { recursive: true, verbatimSymlinks: true });
  console.error(`VIOLATED: ${where}; what is left is in ${copy}`);
}

function must(result) {
  if (!result.ok) throw new Error(result.error.message);
}

function look(parent) {
  return { tree: treeOf(parent), contents: contentsIn(parent) };
}

/** @returns whether it got through */
async function getsThrough(name, what, parent, nth, how) {
  const run = spawn(process.execPath, [child, name, what, parent, String(nth), how], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  run.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const status = await new Promise((resolve) => run.once('close', (code, signal) => resolve(code ?? signal)));
  if (status === 0) return true;
  if (status === (how === 'exit' ? 99 : 'SIGKILL') && nth > 0) return false;
  throw new Error(`${name}, ${what}, ${nth}: ended with ${status}\n${stderr}`);
}

function faults() {
  console.log('every change to the disk failing in each way (ENOSPC, EIO, EACCES, EXDEV, EROFS, …):');
  const run = spawnSync(
    process.execPath,
    ['--test', path.join(tests, 'checkpoints/rollback-faults.test.js')],
    {
      env: { ...process.env, ALL_FAULTS: '1', TMPDIR: base },
      encoding: 'utf8',
    },
  );
  const lines = run.stdout.split('\n');
  console.log(lines.filter((line) => /^# (?:cases|pass|fail)|^ {4}# \d/.test(line)).join('\n'));
  if (run.status !== 0) {
    console.log(run.stdout);
    violated++;
  }
}

function argument(flag) {
  const at = process.argv.indexOf(flag);
  return at < 0 ? undefined : process.argv[at + 1];
}
