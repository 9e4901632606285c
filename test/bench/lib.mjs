// What the benches share: where things are, how a program is timed, how a result is told.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const trainguard = path.join(root, 'bin/trainguard.js');
export const trainer = (name) => path.join(root, 'fixtures/trainers', name);

/** The interpreter itself: a version manager's shim in front of it costs more than what is measured. */
export const python = findPython();

/** A folder outside the checkout, gone when the bench ends. */
export function temporaryDir(name) {
  const dir = mkdtempSync(path.join(os.tmpdir(), `trainguard-bench-${name}-`));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/**
 * Runs a program to its end.
 * @param options stdio is /dev/null unless given; `onStart` gets the pid
 * @returns its status, when it began and ended (ms since 1970, with fractions), and what it said on stderr
 */
export function timed(file, args, { onStart, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const startedAt = wallMs();
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text) => (stderr = (stderr + text).slice(-4000)));
    child.once('error', reject);
    let endedAt = 0;
    child.once('exit', () => (endedAt = wallMs()));
    child.once('close', (code, signal) =>
      resolve({ status: code ?? signal, startedAt, endedAt, wallMs: endedAt - startedAt, stderr }),
    );
    onStart?.(child.pid);
  });
}

/** The same under trainguard, whose other arguments come before `command`; ends the bench if it ended as not expected. */
export async function supervised(args, command, { expect = 0, ...options } = {}) {
  const ended = await timed(process.execPath, [trainguard, 'run', ...args, '--', ...command], options);
  if (ended.status === expect) return ended;
  console.error(`trainguard ended with ${ended.status} instead of ${expect}:\n${ended.stderr}`);
  process.exit(1);
}

/** Wall time in ms with fractions; two processes of one machine agree on it. */
export const wallMs = () => performance.timeOrigin + performance.now();

export function quantile(numbers, q) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? NaN;
  return low + ((sorted[Math.ceil(at)] ?? NaN) - low) * (at - Math.floor(at));
}

export const median = (numbers) => quantile(numbers, 0.5);

/** First line of every bench: what it ran on. */
export function printMachine() {
  const version = spawnSync(python, ['-V'], { encoding: 'utf8' }).stdout.trim();
  const processes = existsSync('/proc')
    ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length
    : '?';
  const [cpu] = os.cpus();
  console.log(
    `${os.availableParallelism()} cores (${cpu?.model.trim() ?? '?'}), ${os.type()} ${os.release()}, node ${process.version}, ` +
      `${version}, ${fileSystem(os.tmpdir())} in ${os.tmpdir()}, load ${os.loadavg()[0]?.toFixed(1)}, ${processes} processes`,
  );
}

/** Prints rows of cells; the first row is the head, the first column stands left. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? '').length)));
  for (const row of rows) {
    const cells = widths.map((width, column) => {
      const text = String(row[column] ?? '');
      return column === 0 ? text.padEnd(width) : text.padStart(width);
    });
    console.log(cells.join('   ').trimEnd());
  }
}

/** Says whether a bound holds; the bench's exit status is 1 if any did not. */
export function check(what, value, bound, unit = '') {
  const holds = value <= bound;
  console.log(`${holds ? 'holds' : 'BROKEN'}: ${what} ${value.toFixed(2)}${unit}, at most ${bound}${unit}`);
  if (!holds) process.exitCode = 1;
}

export const ms = (value) => `${value.toFixed(1)} ms`;
export const seconds = (valueMs) => `${(valueMs / 1000).toFixed(2)} s`;
export const times = (ratio) => `${ratio.toFixed(2)} ×`;

/** The number after `--name`, or what is given instead. */
export function option(name, otherwise) {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return otherwise;
  const value = Number(process.argv[at + 1]);
  if (value > 0) return value;
  console.error(`--${name} wants a number above 0`);
  process.exit(64);
}

function findPython() {
  const found = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' });
  if (found.status === 0) return found.stdout.trim();
  console.error('python3 was not found; the benches need Python 3.8 or later');
  process.exit(1);
}

function fileSystem(dir) {
  const names = {
    0xef53: 'ext4',
    0x01021994: 'tmpfs',
    0x58465342: 'xfs',
    0x9123683e: 'btrfs',
    0x794c7630: 'overlayfs',
  };
  const { type } = statfsSync(dir);
  return names[type] ?? `file system 0x${type.toString(16)}`;
}
