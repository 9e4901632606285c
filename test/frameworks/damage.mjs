// What happens to checkpoints: a byte that changed on the disk, a save that was cut off.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  lstatSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

/** The share of its bytes that a file which was being written has got. */
const cut = 0.6;

/** Flips the byte in the middle of the largest file there; size and time of change stay, as on a failing disk. */
export function flipByte(entry) {
  const file = largestFile(entry);
  const at = Math.floor(statSync(file).size / 2);
  const times = `${file}.times`;
  touchAs(file, times);
  const byte = Buffer.alloc(1);
  const handle = openSync(file, 'r+');
  readSync(handle, byte, 0, 1, at);
  byte[0] ^= 0xff;
  writeSync(handle, byte, 0, 1, at);
  closeSync(handle);
  touchAs(times, file);
  rmSync(times);
}

/** Node's own utimes is not exact to the nanosecond. */
const touchAs = (like, file) => execFileSync('touch', ['-r', like, file]);

/** Leaves what the save of `next` would have left if it had been cut off; `newest` lends its files. */
export function tear(dir, { unit, torn }, newest, next) {
  const name = torn.name ?? unit(next) + (torn.suffix ?? '');
  const entry = path.join(dir, name);
  cpSync(path.join(dir, unit(newest)), entry, { recursive: true });
  for (const file of torn.without) rmSync(path.join(entry, file), { force: true });
  cutOff(largestFile(entry));
  if (torn.link === undefined) return;
  rmSync(path.join(dir, torn.link));
  symlinkSync(name, path.join(dir, torn.link));
}

/** A save in place that was cut off. */
export const cutOff = (file) => truncateSync(file, Math.floor(statSync(file).size * cut));

function largestFile(entry) {
  if (!lstatSync(entry).isDirectory()) return entry;
  const files = readdirSync(entry, { recursive: true })
    .map((name) => path.join(entry, name))
    .filter((name) => lstatSync(name).isFile());
  return files.reduce((a, b) => (statSync(b).size > statSync(a).size ? b : a));
}
