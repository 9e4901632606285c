// The memory of a supervisor whose worker prints a million heartbeats: its peak, and whether it goes on growing.
import { readFileSync } from 'node:fs';
import { check, median, option, printMachine, printTable, python, seconds, supervised } from './lib.mjs';
import { temporaryDir, trainer } from './lib.mjs';

const count = option('count', 1_000_000);
const peakBoundMb = 100;
/** What the fourth quarter may have more than the second: less than the collector's own swing. */
const growthBound = 1.05;
const sampleMs = 20;

const dir = temporaryDir('heartbeats');
printMachine();

let samples = [];
let peakKib = 0;
let sampling;
const { wallMs } = await supervised(
  ['--name', 'beats'],
  [python, trainer('beats.py'), '--count', String(count)],
  {
    cwd: dir,
    onStart(pid) {
      sampling = setInterval(() => sample(pid), sampleMs);
    },
  },
);
clearInterval(sampling);

const quarters = [0, 1, 2, 3].map((quarter) => {
  const length = samples.length / 4;
  return median(samples.slice(Math.floor(quarter * length), Math.floor((quarter + 1) * length)));
});
printTable([
  ['heartbeats', 'wall', 'a second', 'RSS by quarters of the time, MB', 'peak'],
  [
    count,
    seconds(wallMs),
    Math.round(count / (wallMs / 1000)),
    quarters.map(mb).join('  '),
    `${mb(peakKib)} MB`,
  ],
]);
check('peak RSS', (peakKib * 1024) / 1e6, peakBoundMb, ' MB');
check('fourth quarter to the second', quarters[3] / quarters[1], growthBound, ' ×');

function sample(pid) {
  let text;
  try {
    text = readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return; // it has ended
  }
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]);
  if (!(field('VmRSS') > 0)) return; // a zombie has none
  samples.push(field('VmRSS'));
  peakKib = field('VmHWM');
}

function mb(kib) {
  return ((kib * 1024) / 1e6).toFixed(1);
}
