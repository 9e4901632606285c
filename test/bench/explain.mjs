// `trainguard explain` on a log of 1 GB: its speed beside Node's plain read of the same file, `wc -l` and `grep -c`, all
// in one run, and the memory it takes. Then the worst cases: they must cost about the same.
//   node test/bench/explain.mjs [--megabytes 1000]
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { check, option, printMachine, printTable, root, temporaryDir, wallMs } from './lib.mjs';

const megabytes = option('megabytes', 1000);
const bytes = megabytes * 1e6;
const leastMegabytesPerSecond = 80;
const mostRssMiB = 200;
const cli = process.env.TRAINGUARD_BIN ?? path.join(root, 'bin/trainguard.js');
const dir = temporaryDir('explain');

printMachine();

const traceback = (step, error) =>
  `Traceback (most recent call last):\n  File "/home/me/train.py", line 88, in main\n    loss = step(batch)\n` +
  `  File "/home/me/train.py", line ${step}, in step\n    raise ${error}\n${error}: it went wrong at ${step}\n`;

/** Ordinary lines, a progress bar, a traceback in the middle and one at the end. */
function ordinary() {
  const block = Array.from({ length: 4000 }, (_, i) => {
    if (i % 3 === 0)
      return `heartbeat step=${i} loss=${(1 / (i + 1)).toFixed(6)} epoch=3 total_steps=1000000\n`;
    if (i % 3 === 1)
      return `\rEpoch 3:  ${i % 100}%|#####     | ${i}/4000 [00:12<00:34, 12.34it/s, loss=0.4567]`;
    return `2026-11-22 10:00:00,123 INFO [trainer.py:88] eval mean_squared_error 0.${i} no errors, timeout 30 s\n`;
  }).join('');
  return { middle: traceback(41, 'KeyError'), block, end: traceback(42, 'ValueError') };
}

const cases = {
  ordinary: ordinary(),
  'one line, no end': { block: 'a'.repeat(100_000), middle: '', end: '' },
  'anchors alone': { block: 'Traceback (most recent call last):\n'.repeat(3000), middle: '', end: '' },
  'killed, without line ends': { block: 'Killed Segmentation fault '.repeat(4000), middle: '', end: '' },
  'empty lines': { block: '\n'.repeat(100_000), middle: '', end: '' },
};

function write(name, { block, middle, end }) {
  const file = path.join(dir, `${name.replaceAll(/\W+/g, '-')}.log`);
  const out = openSync(file, 'w');
  const buffer = Buffer.from(block);
  let written = 0;
  let half = false;
  while (written < bytes) {
    if (!half && written > bytes / 2) written += writeSync(out, (half = true) && middle);
    written += writeSync(out, buffer);
  }
  writeSync(out, end);
  closeSync(out);
  return file;
}

/** One program on one core. @returns seconds, and the peak of its memory in MiB where that is known */
function timed(file, args) {
  const started = wallMs();
  // what Node itself is told by the kernel about its end
  const program = `
    const { spawnSync } = require('node:child_process');
    const r = spawnSync(${JSON.stringify(file)}, ${JSON.stringify(args)}, { encoding: 'utf8' });
    process.stdout.write(JSON.stringify({ status: r.status, stdout: r.stdout.slice(0, 4000), stderr: r.stderr }));`;
  const { stdout } = spawnSync('taskset', ['-c', '0', process.execPath, '-e', program], { encoding: 'utf8' });
  return { seconds: (wallMs() - started) / 1000, ...JSON.parse(stdout) };
}

const plainRead = `
  const fs = require('node:fs');
  const fd = fs.openSync(process.argv[1], 'r');
  const into = Buffer.allocUnsafe(1024 * 1024);
  while (fs.readSync(fd, into, 0, into.length, null) > 0);`;
const measured = `
  process.argv = [process.execPath, ${JSON.stringify(cli)}, 'explain', '--json', process.argv[1]];
  process.on('exit', () => { const u = process.resourceUsage(); process.stderr.write('rss ' + u.maxRSS + ' cpu ' + (u.userCPUTime + u.systemCPUTime)); });
  import(${JSON.stringify(cli)});`;

const rows = [['log', 'explain', 'CPU', 'MB per CPU s', '× node read', '× wc -l', '× grep -c', 'peak RSS']];
const answers = [];
for (const [name, content] of Object.entries(cases)) {
  const file = write(name, content);
  const size = statSync(file).size;
  timed(process.execPath, ['-e', plainRead, file]); // into the page cache
  const read = timed(process.execPath, ['-e', plainRead, file]).seconds;
  const wc = timed('wc', ['-l', file]).seconds;
  const grep = timed('grep', ['-c', 'Traceback', file]).seconds;
  const explained = timed(process.execPath, ['-e', measured, file]);
  const rss = Number(/rss (\d+)/.exec(explained.stderr)?.[1]) / 1024;
  // by its own processor time: what else runs on this core is not its fault
  const cpuSeconds = Number(/cpu (\d+)/.exec(explained.stderr)?.[1]) / 1e6;
  const speed = size / 1e6 / cpuSeconds;
  const times = (other) => (explained.seconds / other).toFixed(1);
  rows.push([
    name,
    `${explained.seconds.toFixed(1)} s`,
    `${cpuSeconds.toFixed(1)} s`,
    speed.toFixed(0),
    times(read),
    times(wc),
    times(grep),
    `${rss.toFixed(0)} MiB`,
  ]);
  answers.push({ name, speed, rss, answer: JSON.parse(explained.stdout.split('\n')[0] || '{}'), size });
  spawnSync('rm', [file]);
}
printTable(rows);
for (const { name, speed, rss } of answers) {
  check(`${name}: seconds for 80 MB`, leastMegabytesPerSecond / speed, 1, ' s');
  check(`${name}: peak RSS`, rss, mostRssMiB, ' MiB');
}
const [{ answer }] = answers;
const cause = answer.cause?.evidence[0];
const began = answer.before[0]?.evidence[0];
console.log(`cause: ${cause?.text} at line ${cause?.line}; began: ${began?.text} at line ${began?.line}`);
const right =
  cause?.line === answer.logs[0].lines &&
  cause.text.startsWith('ValueError') &&
  began?.text.startsWith('KeyError');
check('the ordinary log is read wrongly', right ? 0 : 1, 0);
