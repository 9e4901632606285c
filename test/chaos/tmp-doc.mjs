// A thousand trainings in virtual time over the real folding, judging and learning of silence: is a healthy one ever
// killed, is every hang found, and how late, beside fixed bounds. What the trainings do, and where its figures come from,
// stands in test/progress/false-alarms-model.ts. Ends with 1 if a healthy run is killed or a hang missed.
//   node test/chaos/false-alarms.mjs [--runs 1000] [--seed 1]
import path from 'node:path';
import { option, printTable, root } from '../bench/lib.mjs';

const { fixedBounds, quantile, simulate } = await import(
  path.join(root, 'build-doc/test/progress/false-alarms.js')
);

const count = option('runs', 1000);
const first = option('seed', 1);
const minute = 60_000;
const inMinutes = (ms) => (Number.isFinite(ms) ? (ms / minute).toFixed(1) : '-');

const runs = Array.from({ length: count }, (_, index) => simulate(first + index));
const killed = runs.filter(({ falselyKilledAfter }) => falselyKilledAfter !== undefined);
const hangs = runs.filter(({ hang }) => hang);
const found = hangs.filter(({ hang }) => hang.foundAfter !== undefined);
// a run that never showed progress may be one whose output is held back: it is only warned of (DESIGN section 5)
const warned = hangs.filter(({ hang }) => hang.foundAfter === undefined);
const missed = warned.filter(({ hang }) => hang.place !== 'start' || !Number.isFinite(hang.warnedAfter));

const groups = [
  ['any', () => true],
  ['in a step', ({ hang }) => hang.place === 'step'],
  ['in an evaluation', ({ hang }) => hang.place === 'eval'],
  ['in a save', ({ hang }) => hang.place === 'save'],
  ['at the start of a relaunch', ({ hang }) => hang.place === 'start'],
  ['that reports its phase, in a step', ({ hang, training }) => hang.place === 'step' && training.reportsPhase], // prettier-ignore
];
printTable([
  ['hang', 'found', 'median min', 'p95 min', 'max min'],
  ...groups.map(([name, belongs]) => {
    const delays = found.filter(belongs).map(({ hang }) => hang.foundAfter);
    return [name, delays.length, ...[0.5, 0.95, 1].map((part) => inMinutes(quantile(delays, part)))];
  }),
]);
console.log();
printTable([
  ['bound on silence', 'healthy runs killed', 'of'],
  ['adaptive', killed.length, count],
  ...fixedBounds.map((bound) => [
    `${bound / minute} min`,
    runs.filter(({ fixedKills }) => fixedKills.includes(bound)).length,
    count,
  ]),
]);
console.log(
  `\n${found.length} of ${hangs.length} hangs found, ${warned.length} at the first start of a run that had never shown progress warned of, ${missed.length} missed`,
);
for (const { seed, falselyKilledAfter } of killed)
  console.log(`seed ${seed} was healthy and killed after ${inMinutes(falselyKilledAfter)} min of silence`);
process.exitCode = killed.length + missed.length > 0 ? 1 : 0;
