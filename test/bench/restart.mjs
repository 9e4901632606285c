// From the end of one attempt to the start of the next, with no backoff, against `until cmd; do :; done`.
// The worker itself writes down when it starts and ends, so both sides are measured by the same program.
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { check, median, ms, option, printMachine, printTable, python, quantile, supervised } from './lib.mjs';
import { temporaryDir, timed, trainer } from './lib.mjs';

const gapsWanted = option('gaps', 20);
const boundMs = 50;

const dir = temporaryDir('restart');
const checkpoints = path.join(dir, 'ckpts');
const worker = path.join(dir, 'worker.sh');
// a shell and date(1): 2 ms of start-up, and always the same
writeFileSync(
  worker,
  '#!/bin/sh\necho "start $(date +%s%N)" >>"$1"\n[ "$2" = 0 ] || sleep "$2"\necho "end $(date +%s%N)" >>"$1"\nexit 3\n',
);
chmodSync(worker, 0o755);

printMachine();
await makeCheckpoints();

const rows = [['worker', 'side', 'median', '90 %', 'most', 'more than until']];
// a worker that lives a while is what a training is; one that ends at once catches the supervisor at its launch
const living = await compare('lives 0.3 s', '0.3');
await compare('ends at once', '0');
printTable(rows);
check(`${gapsWanted} restarts: median above until's by`, living, boundMs, ' ms');

async function compare(name, lifeSeconds) {
  const before = await untilLoop(lifeSeconds);
  const ours = await underTrainguard(lifeSeconds);
  const bare = [...before, ...(await untilLoop(lifeSeconds))];
  const more = median(ours) - median(bare);
  rows.push([name, 'until', ...spread(bare)], [name, 'trainguard', ...spread(ours), ms(more)]);
  return more;
}

async function untilLoop(lifeSeconds) {
  const log = logFile('until');
  // the counting is a built-in: microseconds
  const loop = 'n=0; until "$@" || [ $((n=n+1)) -gt "$N" ]; do :; done';
  const ended = await timed('/bin/sh', ['-c', loop, 'sh', worker, log, lifeSeconds], {
    env: { ...process.env, N: String(gapsWanted) },
  });
  if (ended.status !== 0) throw new Error(`the until loop ended with ${ended.status}: ${ended.stderr}`);
  return gapsOf(log);
}

async function underTrainguard(lifeSeconds) {
  const log = logFile('trainguard');
  const config = path.join(dir, 'recovery.config.json');
  // the same failure again and again is what is measured here
  writeFileSync(config, JSON.stringify({ stopOnRepeat: false }));
  const flags = ['--config', config, '--name', path.basename(log, '.log'), '--checkpoint-dir', checkpoints];
  flags.push('--backoff-initial', '0', '--max-retries', String(gapsWanted));
  await supervised(flags, [worker, log, lifeSeconds], { cwd: dir, expect: 3 });
  return gapsOf(log);
}

/** Milliseconds from each end to the next start. */
function gapsOf(log) {
  const lines = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  const gaps = [];
  for (let i = 1; i + 1 < lines.length; i += 2) {
    if (lines[i][0] !== 'end' || lines[i + 1][0] !== 'start')
      throw new Error(`attempts overlap in ${log}, line ${i + 1}`);
    gaps.push(Number(BigInt(lines[i + 1][1]) - BigInt(lines[i][1])) / 1e6);
  }
  if (gaps.length !== gapsWanted) throw new Error(`${gaps.length} gaps in ${log} instead of ${gapsWanted}`);
  return gaps;
}

async function makeCheckpoints() {
  const args = [
    trainer('digits.py'),
    '--checkpoint-dir',
    checkpoints,
    '--layout',
    'folder',
    '--log-every',
    '100',
  ];
  const made = await timed(python, args, { cwd: dir });
  if (made.status !== 0) throw new Error(`digits.py ended with ${made.status}: ${made.stderr}`);
}

function spread(gaps) {
  return [ms(median(gaps)), ms(quantile(gaps, 0.9)), ms(Math.max(...gaps))];
}

function logFile(side) {
  logFile.made = (logFile.made ?? 0) + 1;
  return path.join(dir, `${side}-${logFile.made}.log`);
}
