import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { judgeContent, type Judgement } from '../../src/checkpoints/judge-content.js';
import { verifyFile } from '../../src/checkpoints/verify/file.js';
import { lookAtUnit } from '../../src/checkpoints/verify/look.js';
import { parseJson } from '../../src/checkpoints/verify/json-text.js';
import { walkDir } from '../../src/util/os/dir-walk.js';
import { hdf5Of, lay, noise, npz, safetensorsOf, scratch, zipOf } from './samples.js';

const always = { deep: true, goOn: () => true };

/** A sample of every format that is looked into. */
const samples: Readonly<Record<string, Buffer>> = {
  'a.npz': npz(1, 900),
  '__0_0.distcp': Buffer.concat([npz(1, 300), npz(2, 300)]),
  'm.safetensors': safetensorsOf({ a: 30, b: 40 }),
  'w.h5': hdf5Of(600),
  'trainer_state.json': Buffer.from(
    JSON.stringify({ global_step: 10, log_history: [{ loss: 0.5, text: 'a "b" \\' }] }),
  ),
  'model.safetensors.index.json': Buffer.from('{"weight_map": {"a": "model.safetensors.index.json"}}'),
  '.metadata': Buffer.from('80049514000000000000008c0c5f5f305f302e6469737463709486942e', 'hex'),
  'old.pt': Buffer.concat([Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'), noise(200)]),
};

/** Small numbers of which the same seed gives the same. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('whatever the bytes, there is a verdict', () => {
  for (const [name, good] of Object.entries(samples)) {
    test(`${name}: flipped, overwritten, cut, doubled`, async (t) => {
      const root = scratch(t);
      const next = chance(good.length);
      for (let round = 0; round < 150; round++) {
        const bytes = Buffer.from(good);
        for (let flips = next(4); flips >= 0; flips--) {
          const at = next(bytes.length);
          bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8));
        }
        // the fields of formats are near the ends, and all ones is what they fear
        if (round % 3 === 0) bytes.fill(0xff, next(20), Math.min(bytes.length, next(64)));
        if (round % 3 === 1) bytes.fill(0xff, Math.max(0, bytes.length - next(64)));
        const cut = round % 5 === 0 ? bytes.subarray(0, next(bytes.length)) : bytes;
        writeFileSync(path.join(root, name), round % 7 === 0 ? Buffer.concat([cut, bytes]) : cut);
        const began = performance.now();
        const verdict = await lookAtUnit({ root, files: [name], expected: new Map() }, always);
        assert.ok(verdict.damage !== undefined || verdict.digests.size === 1, `round ${round}`);
        // a hang would be a million times as long
        assert.ok(performance.now() - began < 5000, `round ${round}`);
      }
    });
  }
});

async function damageOf(t: TestContext, name: string, bytes: Buffer): Promise<string> {
  const file = path.join(scratch(t), name);
  writeFileSync(file, bytes);
  return (await verifyFile(file, always)).damage ?? 'found good';
}

describe('hostile numbers', () => {
  test('a safetensors header of 2^63 bytes, of more than the file, of tensors beyond all bounds', async (t) => {
    const huge = safetensorsOf({ a: 10 });
    huge.writeBigUInt64LE(2n ** 63n);
    assert.match(await damageOf(t, 'm.safetensors', huge), /no safetensors file/);
    huge.writeBigUInt64LE(90_000_000n);
    assert.match(await damageOf(t, 'm.safetensors', huge), /header is cut off/);
    const wide = Buffer.from(
      safetensorsOf({ a: 10 }).toString('latin1').replace('"shape":[10]', '"shape":[9999999999999,999999]'),
      'latin1',
    );
    wide.writeBigUInt64LE(BigInt(wide.length - 8 - 40));
    assert.match(await damageOf(t, 'm.safetensors', wide), /another size than its shape/);
  });

  test('a zip64 record that points beyond the file, or into itself', async (t) => {
    const end = Buffer.from(zipOf([]));
    for (const at of [2n ** 64n - 1n, 2n ** 53n, 0n, 30n]) {
      const locator = Buffer.alloc(20);
      locator.writeUInt32LE(0x07064b50);
      locator.writeBigUInt64LE(at, 8);
      const archive = Buffer.concat([npz().subarray(0, -22), locator, end]);
      assert.match(await damageOf(t, 'a.npz', archive), /zip64 end record is missing|directory is not where/);
      assert.match(await damageOf(t, '__0_0.distcp', archive), /end record|directory/);
    }
  });

  test('JSON nested a hundred thousand deep, and strings that never end', async (t) => {
    const deep = Buffer.from('['.repeat(100_000));
    assert.match(await damageOf(t, 's.json', deep), /no valid JSON/);
    assert.equal(
      await damageOf(t, 's.json', Buffer.from(`${deep.toString()}${']'.repeat(100_000)}`)),
      'found good',
    );
    const began = performance.now();
    assert.equal(parseJson(`{"a": "${'\\"'.repeat(500_000)}`).ok, false);
    assert.equal(parseJson(`[NaN, "${'x'.repeat(2_000_000)}"]`).ok, true);
    assert.ok(performance.now() - began < 10_000, 'a try from each quote takes hours');
  });

  test('a header of millions of nothings is not parsed', async (t) => {
    const header = Buffer.from(`{"a":[${'{},'.repeat(6_000_000)}{}]}`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    assert.equal(await damageOf(t, 'm.safetensors', Buffer.concat([length, header])), 'found good');
  });
});

/** Judges everything in a folder as one checkpoint. */
async function judged(root: string): Promise<Judgement | undefined> {
  const { files, folders } = await walkDir(root, 'c', { maxFiles: 100, maxDepth: 4 });
  const unit = { id: 'c', members: [], files, folders, mayBeStep: false, expected: new Map() };
  const rules = { verify: 'auto', nonFinite: 'rollback' } as const;
  return judgeContent(root, unit, { ...rules, durable: false, goOn: () => true });
}

describe('hostile files', () => {
  test('a FIFO, a folder under a file’s name, a link', async (t) => {
    const root = scratch(t);
    execFileSync('mkfifo', [path.join(root, 'pipe.pt')]);
    mkdirSync(path.join(root, 'folder.pt'));
    symlinkSync('pipe.pt', path.join(root, 'link.pt'));
    assert.deepEqual(await verifyFile(path.join(root, 'pipe.pt'), always), { damage: 'it is no plain file' });
    assert.deepEqual(await verifyFile(path.join(root, 'folder.pt'), always), {
      damage: 'it is no plain file',
    });
    await assert.rejects(verifyFile(path.join(root, 'link.pt'), always), { code: 'ELOOP' });
  });

  test('links are told, dead ones and circles condemn', async (t) => {
    const root = scratch(t);
    lay(root, { 'c/a.npz': npz(), 'other.npz': npz() });
    symlinkSync('../other.npz', path.join(root, 'c/b.npz'));
    const good = await judged(root);
    assert.equal(good?.standing, 'verified');
    assert.match(good.why, /1 link not followed/);
    symlinkSync('circle', path.join(root, 'c/circle'));
    assert.match((await judged(root))?.why ?? '', /c\/circle is a link that leads nowhere/);
    const dead = scratch(t);
    lay(dead, { 'c/a.npz': npz() });
    symlinkSync('gone', path.join(dead, 'c/weights.pt'));
    assert.equal((await judged(dead))?.standing, 'corrupt');
  });

  test('no permission is no verdict, and vanished is gone', async (t) => {
    const root = scratch(t);
    lay(root, { 'c/a.npz': npz() });
    const { files } = await walkDir(root, 'c', { maxFiles: 9, maxDepth: 1 });
    const unit = { id: 'c', members: [], files, folders: [], mayBeStep: false, expected: new Map() };
    const options = { verify: 'auto', nonFinite: 'warn', durable: false, goOn: () => true } as const;
    chmodSync(path.join(root, 'c/a.npz'), 0);
    if (process.getuid?.() !== 0)
      assert.match((await judgeContent(root, unit, options))?.why ?? '', /cannot be read \(EACCES\)/);
    assert.equal(await judgeContent(path.join(root, 'not here'), unit, options), undefined);
  });

  test('a file that shrinks while it is read', async (t) => {
    const root = scratch(t);
    const file = path.join(root, 'a.dat');
    writeFileSync(file, Buffer.alloc(40 * 1024 * 1024, 1));
    let asked = 0;
    const goOn = (): boolean => {
      if (asked++ === 0) truncateSync(file, 10 * 1024 * 1024);
      return true;
    };
    assert.deepEqual(await verifyFile(file, { deep: true, goOn }), {
      damage: 'it became shorter while it was read',
    });
  });
});
