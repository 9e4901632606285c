// `node --import` this: every effect and every change of the disk becomes a boundary with a name and a number, `rename
// state.json #3`. CHAOS_BOUNDARIES names a file that gets their names; at the one that CHAOS_KILL_AT names the process
// kills itself. What is a change of the disk: whatever of node:fs writes, and the spawn of a process.
import childProcess from 'node:child_process';
import fs from 'node:fs';
import { register, syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

const list = process.env.CHAOS_BOUNDARIES;
const killAt = process.env.CHAOS_KILL_AT;
// of the supervisor alone, not of a trainguard that it might supervise
delete process.env.CHAOS_BOUNDARIES;
delete process.env.CHAOS_KILL_AT;
const { openSync, writeSync } = fs;
const listed = list === undefined ? undefined : openSync(list, 'a');
const seen = new Map();

/** @returns whether this is the boundary to die at */
function reach(name) {
  const number = (seen.get(name) ?? 0) + 1;
  seen.set(name, number);
  const full = `${name} #${number}`;
  if (listed !== undefined) writeSync(listed, `${full}\n`);
  return full === killAt;
}

function boundary(name) {
  if (reach(name)) die();
}

function die() {
  process.kill(process.pid, 'SIGKILL');
}

/** A path without what differs from run to run. */
function known(file) {
  const short = path.relative(process.cwd(), String(file)) || '.';
  return short
    .replace(/\.\d+\.\d+\.tmp$/, '.tmp')
    .replace(/[0-9a-f-]{12,}|-[0-9a-f]{8}\b/g, '*')
    .replace(/\d{5,}/g, '*');
}

const writes = (flags) =>
  typeof flags === 'string'
    ? /[wa+]/.test(flags)
    : (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT)) !== 0;

const pathed = [
  'rename',
  'unlink',
  'link',
  'symlink',
  'mkdir',
  'mkdtemp',
  'rmdir',
  'rm',
  'writeFile',
  'appendFile',
];
pathed.push('truncate', 'copyFile', 'cp', 'chmod', 'utimes');
for (const name of pathed) {
  for (const [object, own] of [
    [fs.promises, name],
    [fs, `${name}Sync`],
  ]) {
    const plain = object[own];
    object[own] = function (file, ...rest) {
      // of what has two names the second is the one that changes
      const changed = ['rename', 'link', 'symlink', 'copyFile', 'cp'].includes(name) ? rest[0] : file;
      if (typeof file !== 'number') boundary(`${name} ${known(changed)}`);
      return plain.call(this, file, ...rest);
    };
  }
}

const pathOf = new Map();
fs.openSync = function (file, flags = 'r', ...rest) {
  if (writes(flags)) boundary(`open ${known(file)}`);
  const descriptor = openSync.call(this, file, flags, ...rest);
  pathOf.set(descriptor, file);
  return descriptor;
};
fs.writeSync = function (descriptor, ...rest) {
  if (descriptor > 2) boundary(`write ${known(pathOf.get(descriptor) ?? '?')}`);
  return writeSync.call(this, descriptor, ...rest);
};

const { open } = fs.promises;
const handlePath = new WeakMap();
fs.promises.open = async function (file, flags = 'r', ...rest) {
  if (writes(flags)) boundary(`open ${known(file)}`);
  const handle = await open.call(this, file, flags, ...rest);
  handlePath.set(handle, file);
  return handle;
};
const probe = await open('/dev/null', 'r');
const handles = Object.getPrototypeOf(probe);
await probe.close();
for (const name of ['writev', 'writeFile', 'appendFile', 'truncate', 'sync', 'datasync']) {
  const plain = handles[name];
  handles[name] = function (...args) {
    boundary(`${name} ${known(handlePath.get(this) ?? '?')}`);
    return plain.apply(this, args);
  };
}
const { write } = handles;
handles.write = async function (data, offset, length, position) {
  const file = known(handlePath.get(this) ?? '?');
  boundary(`write ${file}`);
  if (typeof data !== 'string' && length > 1 && reach(`half a write ${file}`)) {
    await write.call(this, data, offset, length >> 1, position);
    die();
  }
  return write.call(this, data, offset, length, position);
};

const { spawn } = childProcess;
childProcess.spawn = function (file, ...rest) {
  boundary(`spawn ${path.basename(file)} before`);
  const child = spawn.call(this, file, ...rest);
  boundary(`spawn ${path.basename(file)} after`);
  return child;
};

syncBuiltinESMExports();
globalThis.chaosBoundary = boundary;
register('./loader.mjs', import.meta.url);
