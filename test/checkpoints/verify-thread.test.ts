import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { judgeContent } from '../../src/checkpoints/judge-content.js';
import { verifyAgainst } from '../../src/checkpoints/verify/against.js';
import { lookAtUnit } from '../../src/checkpoints/verify/look.js';
import { verifyUnit, type UnitFiles } from '../../src/checkpoints/verify/unit.js';
import { stampOf } from '../../src/util/os/dir-walk.js';
import { lay, noise, safetensorsOf, scratch, zipOf } from './samples.js';

const always = { deep: true, goOn: () => true };
const mebi = 1024 * 1024;
const unitOf = (root: string, ...files: string[]): UnitFiles => ({ root, files, expected: new Map() });

test('the thread says what this one would: good, damaged, diverged, gone', async (t) => {
  const root = scratch(t);
  const data = Buffer.alloc(40);
  data.writeFloatLE(Number.NaN, 8);
  lay(root, {
    'good.npz': zipOf([{ name: 'w.npy', data: noise(9_000_000) }]),
    'torn.npz': zipOf([{ name: 'w.npy', data: noise(9_000) }]).subarray(0, 5000),
    'nan.safetensors': safetensorsOf({ 'norm.weight': 10 }, data),
  });
  for (const files of [['good.npz'], ['good.npz', 'torn.npz'], ['nan.safetensors', 'good.npz'], []]) {
    const unit = unitOf(root, ...files);
    assert.deepEqual(await verifyUnit(unit, always), await lookAtUnit(unit, always));
  }
  await assert.rejects(verifyUnit(unitOf(root, 'gone'), always), { code: 'ENOENT' });
  const two = await Promise.all([1, 2].map(() => verifyUnit(unitOf(root, 'good.npz'), always)));
  assert.deepEqual(two[0], two[1]);
});

test('a look in the thread is broken off within pieces, and the structure counts', async (t) => {
  const root = scratch(t);
  const file = path.join(root, 'long.dat');
  writeFileSync(file, '');
  truncateSync(file, 1024 ** 4); // a hole of a TiB takes minutes to read
  const ending = new AbortController();
  const looking = verifyUnit(unitOf(root, 'long.dat'), { deep: true, goOn: () => !ending.signal.aborted });
  setImmediate(() => ending.abort());
  const { depth, damage, digests } = await looking;
  assert.deepEqual(
    { depth, damage, digests: digests.size },
    { depth: 'structure', damage: undefined, digests: 0 },
  );
});

test('reading is kept to a rate', async (t) => {
  const root = scratch(t);
  writeFileSync(path.join(root, 'a.bin'), noise(mebi));
  writeFileSync(path.join(root, 'b.bin'), noise(mebi));
  const began = performance.now();
  const unit = { ...unitOf(root, 'a.bin', 'b.bin'), bytes: 2 * mebi };
  await verifyUnit(unit, { ...always, readBytesPerS: 10 * mebi });
  assert.ok(performance.now() - began >= 199, 'two of ten MiB a second, whatever the machine');
});

test('the event loop turns while the thread works', async (t) => {
  const root = scratch(t);
  writeFileSync(path.join(root, 'w.npz'), zipOf([{ name: 'w.npy', data: noise(64 * mebi) }]));
  let turns = 0;
  const counting = setInterval(() => turns++, 1);
  for (let i = 0; i < 3; i++) assert.equal((await verifyUnit(unitOf(root, 'w.npz'), always)).depth, 'deep');
  clearInterval(counting);
  assert.ok(turns > 3, `${turns} turns`);
});

test('neither an idle thread nor a broken one keeps the process alive or ends it', async () => {
  const unit = fileURLToPath(new URL('../../src/checkpoints/verify/unit.js', import.meta.url));
  const code = `
    import { verifyUnit } from ${JSON.stringify(unit)};
    const { digests } = await verifyUnit({ root: '/', files: [process.execPath], expected: new Map() }, { deep: true, goOn: () => true });
    console.log(digests.size);`;
  // it would be killed where it did not end by itself, before the idle thread is
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
    timeout: 60_000,
  });
  assert.equal(stdout, '1\n');
});

test('bytes that changed under the same size and time are seen against the manifest', async (t) => {
  const root = scratch(t);
  const file = path.join(root, 'm.safetensors');
  lay(root, { 'm.safetensors': safetensorsOf({ w: 1000 }) });
  const unit = { ...unitOf(root, 'm.safetensors'), bytes: 4000 };
  const { digests } = await verifyUnit(unit, always);
  const recorded = [...digests].map(([name, digest]) => ({ path: name, digest }));
  assert.equal((await verifyAgainst(recorded, unit, always)).damage, undefined);
  const handle = openSync(file, 'r+');
  writeSync(handle, Buffer.of(0x11), 0, 1, 3000);
  closeSync(handle);
  assert.equal((await verifyUnit(unit, always)).damage, undefined, 'the format has no checksum');
  assert.match(
    (await verifyAgainst(recorded, unit, always)).damage ?? '',
    /its bytes are not those that were verified/,
  );
});

test('a look that nobody waits for any more leaves no verdict behind', async (t) => {
  const root = scratch(t);
  writeFileSync(path.join(root, 'long.dat'), '');
  truncateSync(path.join(root, 'long.dat'), 1024 ** 4);
  const file = await stampOf(root, 'long.dat');
  assert.ok(file);
  const unit = {
    id: 'long.dat',
    members: [file],
    files: [file],
    folders: [],
    mayBeStep: false,
    expected: new Map(),
  };
  const ending = new AbortController();
  const rules = { verify: 'deep', nonFinite: 'rollback', durable: false, goOn: () => true } as const;
  const judging = judgeContent(root, unit, { ...rules, signal: ending.signal });
  setImmediate(() => ending.abort());
  const broken = await judging;
  assert.deepEqual([broken?.standing, broken?.lasting], ['complete', false]);
  assert.match(broken?.why ?? '', /broken off/);
  // out of time the structure decides instead, and it lasts
  const late = await judgeContent(root, unit, { ...rules, goOn: () => false });
  assert.deepEqual([late?.standing, late?.lasting, late?.depth], ['verified', true, 'structure']);
});
