// What 2,000 attempts leave behind in one supervisor: its memory and its open descriptors, by quarters of the attempts.
// `node test/bench/attempts.mjs [count]`
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import {
  check,
  median,
  printMachine,
  printTable,
  seconds,
  temporaryDir,
  trainguard,
  wallMs,
} from './lib.mjs';

const count = Number(process.argv[2] ?? 2000);
if (!(Number.isInteger(count) && count >= 40)) {
  console.error('node test/bench/attempts.mjs [count]: count is a whole number of at least 40');
  process.exit(64);
}
/** What the fourth quarter may have more than the second. */
const growthBound = 1.05;
const failed = 3;
const program = process.env.TRAINGUARD_BIN ?? trainguard;

const dir = temporaryDir('attempts');
const config = path.join(dir, 'recovery.config.json');
// the same failure again and again is what is measured here; retries are free of waiting, and of a folder to look at
writeFileSync(
  config,
  JSON.stringify({ maxRetries: count - 1, stopOnRepeat: false, backoff: { initial: 0, max: 0 } }),
);
printMachine();

const startedAt = wallMs();
const child = spawn(
  process.execPath,
  [program, 'run', '--json', '--config', config, '--name', 'fails', '--', 'sh', '-c', `exit ${failed}`],
  { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] },
);
let said = '';
child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-4000)));
const samples = [];
createInterface({ input: child.stdout }).on('line', (line) => {
  const { type, attempt } = JSON.parse(line);
  // one sample an attempt, and always at the same point of it
  if (type === 'exited') samples.push({ attempt, ...sample(child.pid) });
});
const [code] = await once(child, 'close');
const wall = wallMs() - startedAt;

const attempts = samples.length;
if (code !== failed || attempts !== count) {
  console.error(`trainguard ended with ${code} after ${attempts} of ${count} attempts:\n${said}`);
  process.exit(1);
}
const quarters = [0, 1, 2, 3].map((quarter) => {
  const part = samples.slice(Math.floor((quarter * count) / 4), Math.floor(((quarter + 1) * count) / 4));
  const seen = part.filter(({ rss }) => rss > 0); // the last sample may find a zombie
  return { rss: median(seen.map(({ rss }) => rss)), fds: median(seen.map(({ fds }) => fds)), seen };
});
printTable([
  ['quarter of the attempts', 'RSS, median', 'least', 'most', 'descriptors, median', 'most'],
  ...quarters.map(({ rss, fds, seen }, index) => [
    index + 1,
    mb(rss),
    mb(Math.min(...seen.map((one) => one.rss))),
    mb(Math.max(...seen.map((one) => one.rss))),
    fds,
    Math.max(...seen.map((one) => one.fds)),
  ]),
]);
console.log(`${count} attempts in ${seconds(wall)}, ${(wall / count).toFixed(1)} ms each`);
check('RSS of the fourth quarter to the second', quarters[3].rss / quarters[1].rss, growthBound, ' ×');
check('descriptors of the fourth quarter more than in the second', quarters[3].fds - quarters[1].fds, 0);

function sample(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const rss = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
    return { rss, fds: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return { rss: 0, fds: 0 }; // it has ended
  }
}

function mb(kib) {
  return `${((kib * 1024) / 1e6).toFixed(1)} MB`;
}
