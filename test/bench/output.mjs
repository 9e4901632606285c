// What 200 MB of printed lines cost the program that prints them: its own wall time under trainguard, `tee` and pm2
// against writing straight to a file. All get PYTHONUNBUFFERED=1. Rounds alternate; ratios are taken within a round.
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { check, median, option, printMachine, printTable, python, seconds, supervised } from './lib.mjs';
import { temporaryDir, timed, times, trainer } from './lib.mjs';

const bytes = option('bytes', 200_000_000);
const rounds = option('rounds', 5);
const bound = 1.1;

const dir = temporaryDir('output');
const env = { ...process.env, PYTHONUNBUFFERED: '1' };
const printer = (report) => [python, trainer('printer.py'), '--bytes', String(bytes), '--report', report];
let made = 0;

printMachine();
const pm2 = installPm2();
const sides = { 'a file': toFile, trainguard: underTrainguard, tee: intoTee, ...(pm2 && { pm2: underPm2 }) };
const seen = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const [name, side] of Object.entries(sides)) {
    if (name === 'pm2' && round > 0) continue; // once is enough to see it
    const folder = path.join(dir, String(made++));
    mkdirSync(folder);
    seen[name].push({ round, ...(await side(folder)) });
    rmSync(folder, { recursive: true });
  }
}

const rows = [['output to', "worker's wall", 'ratio', 'drain after its end']];
for (const [name, results] of Object.entries(seen)) {
  const drains = results.flatMap(({ drainMs }) => drainMs ?? []);
  const drain = drains.length === 0 ? '' : seconds(median(drains));
  rows.push([name, seconds(median(results.map(({ wallMs }) => wallMs))), times(ratioOf(results)), drain]);
}
printTable(rows);
console.log(
  `${bytes / 1e6} MB in lines of 100 bytes, ${rounds} rounds (pm2: one), medians of the rounds' ratios`,
);
check("the worker's wall under trainguard is to a file's", ratioOf(seen.trainguard), bound, ' ×');

function ratioOf(results) {
  return median(results.map(({ round, wallMs }) => wallMs / seen['a file'][round].wallMs));
}

/** What the worker says it took, and when it was done: it writes its report last. */
function reportOf(file) {
  const { bytes: printed, wall_s: wall } = JSON.parse(readFileSync(file, 'utf8'));
  if (printed !== bytes) throw new Error(`${printed} bytes were printed instead of ${bytes}`);
  return { wallMs: wall * 1000, doneAt: statSync(file).mtimeMs };
}

async function toFile(folder) {
  const report = path.join(folder, 'report.json');
  const out = openSync(path.join(folder, 'out.log'), 'a');
  const [file, ...args] = printer(report);
  const { status, stderr } = await timed(file, args, { env, stdio: ['ignore', out, 'pipe'] });
  closeSync(out);
  if (status !== 0) throw new Error(`printer.py ended with ${status}: ${stderr}`);
  return { wallMs: reportOf(report).wallMs };
}

async function underTrainguard(folder) {
  const report = path.join(folder, 'report.json');
  const { endedAt } = await supervised([], printer(report), { env, cwd: folder });
  const { wallMs, doneAt } = reportOf(report);
  return { wallMs, drainMs: endedAt - doneAt };
}

async function intoTee(folder) {
  const report = path.join(folder, 'report.json');
  const line = '"$@" | tee out.log >/dev/null';
  const { endedAt } = await timed('/bin/sh', ['-c', line, 'sh', ...printer(report)], { env, cwd: folder });
  const { wallMs, doneAt } = reportOf(report);
  return { wallMs, drainMs: endedAt - doneAt };
}

async function underPm2(folder) {
  const report = path.join(folder, 'report.json');
  const log = path.join(folder, 'out.log');
  const [interpreter, script, ...args] = printer(report);
  const home = { ...env, PM2_HOME: path.join(folder, 'home') };
  const call = (...words) => timed(process.execPath, [pm2, ...words], { env: home, cwd: folder });
  await call(
    'start',
    script,
    '--interpreter',
    interpreter,
    '--no-autorestart',
    '--output',
    log,
    '--',
    ...args,
  );
  try {
    await untilSize(report, 1);
    const { wallMs, doneAt } = reportOf(report);
    await untilSize(log, bytes); // its reader may be far behind
    return { wallMs, drainMs: Date.now() - doneAt };
  } finally {
    await call('kill');
  }
}

async function untilSize(file, least) {
  for (const endAt = Date.now() + 600_000; Date.now() < endAt;) {
    if (existsSync(file) && statSync(file).size >= least) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${file} did not reach ${least} bytes in 10 minutes`);
}

/** Puts pm2 into a folder of its own; undefined (and said) where npm cannot get it. */
function installPm2() {
  const folder = path.join(dir, 'pm2');
  mkdirSync(folder);
  const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', 'pm2@6'];
  const { status } = spawnSync('npm', args, { stdio: 'ignore', timeout: 120_000 });
  if (status === 0) return path.join(folder, 'node_modules/pm2/bin/pm2');
  console.log('pm2 is left out: npm could not install it');
  return undefined;
}
