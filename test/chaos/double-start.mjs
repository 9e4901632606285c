// Two supervisors of the same run started in the same instant, many times over: exactly one runs, the other exits 75
// and names the run and its holder, and the training is started once. Every second pair meets a run that exists
// already, the others are the first to make it. Exits 1 if a pair went wrong.
// `npm run build && node test/chaos/double-start.mjs [pairs]`
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pairs = Number(process.argv[2] ?? 100);
const digits = `python3 '${path.join(root, 'fixtures', 'trainers', 'digits.py')}' --steps 4 --save-every 2`;
// the winner must still be at work when the other looks: it trains once that one has ended
const trainer = `echo $$ >> started; until [ -e go ]; do sleep 0.02; done; exec ${digits} --checkpoint-dir ckpts`;
const argv = [
  ...[path.join(root, 'bin', 'trainguard.js'), 'run', '--name', 'twin', '--checkpoint-dir', 'ckpts'],
  ...['--max-retries', '0', '--', 'sh', '-c', trainer],
];
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(TRAINGUARD|DIGITS|SLURM|KUBERNETES)_/.test(name)),
);

/** Starts a supervisor. @returns how it ended and what it said */
function start(cwd) {
  const child = spawn(process.execPath, argv, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (chunk) => (said += chunk));
  child.stderr.on('data', (chunk) => (said += chunk));
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ pid: child.pid, code: code ?? signal, said }));
  });
  return ended;
}

const startsIn = (cwd) => {
  const file = path.join(cwd, 'started');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0;
};

/** Two at once in a folder. @returns the one that ended first, while the other's training waited, and the other */
async function pair(cwd) {
  rmSync(path.join(cwd, 'go'), { force: true });
  rmSync(path.join(cwd, 'started'), { force: true });
  const two = [start(cwd), start(cwd)];
  let first;
  for (const ended of two) ended.then((one) => (first ??= one));
  // two trainings at once is what must not be; nobody would ever end
  while (first === undefined && startsIn(cwd) < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  writeFileSync(path.join(cwd, 'go'), '');
  const both = await Promise.all(two);
  return { loser: first, winner: both.find(({ pid }) => pid !== first.pid) };
}

/** What went wrong, in words; empty: nothing. */
function wrongs({ loser, winner }, cwd) {
  const wrong = [];
  const started = startsIn(cwd);
  if (winner.code !== 0) wrong.push(`the winner exited ${winner.code}: ${winner.said}`);
  if (!/^final step=4 /m.test(winner.said)) wrong.push('the winner did not train to the end');
  if (loser.code !== 75) wrong.push(`the other exited ${loser.code}: ${loser.said}`);
  if (!loser.said.includes(`run twin is already supervised by pid ${winner.pid} on host `)) {
    wrong.push(`the other did not name the run and pid ${winner.pid}: ${loser.said}`);
  }
  if (started !== 1) wrong.push(`the training was started ${started} times`);
  return wrong;
}

let good = 0;
let cwd;
for (let n = 1; n <= pairs; n++) {
  if (n % 2 === 1) cwd = mkdtempSync(path.join(tmpdir(), 'double-start-'));
  const wrong = wrongs(await pair(cwd), cwd);
  if (wrong.length === 0) good++;
  else console.log(`pair ${n}: ${wrong.join('\n  ')}`);
  if (n % 2 === 0 || n === pairs) rmSync(cwd, { recursive: true, force: true });
}
console.log(
  `${good} of ${pairs} pairs: exactly one ran, the other exited 75 and named it, the training was started once`,
);
process.exitCode = good === pairs ? 0 : 1;
