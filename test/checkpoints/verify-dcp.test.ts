import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { verifyFile } from '../../src/checkpoints/verify/file.js';
import { verifyUnit, type UnitVerdict } from '../../src/checkpoints/verify/unit.js';
import { lay, noise, python, scratch, zipOf } from './samples.js';

const always = { deep: true, goOn: () => true };

/** What torch.save writes for one tensor, as far as a look from outside goes: torch ends every archive in zip64's way. */
function tensor(seed: number, bytes = 3000): Buffer {
  const plain = zipOf([
    { name: 'archive/data.pkl', data: noise(80, seed) },
    { name: 'archive/data/0', data: noise(bytes, seed) },
  ]);
  const end = plain.subarray(-22);
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(end.readUInt16LE(10)), 24);
  record.writeBigUInt64LE(BigInt(end.readUInt16LE(10)), 32);
  record.writeBigUInt64LE(BigInt(end.readUInt32LE(12)), 40);
  record.writeBigUInt64LE(BigInt(end.readUInt32LE(16)), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(plain.length - 22), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([plain.subarray(0, -22), record, locator, end]);
}

async function damageOf(t: TestContext, bytes: Buffer): Promise<string> {
  const file = path.join(scratch(t), '__0_0.distcp');
  writeFileSync(file, bytes);
  const { damage, digest } = await verifyFile(file, always);
  assert.ok(damage ?? digest);
  return damage ?? 'found good';
}

describe('DCP', () => {
  const shard = Buffer.concat([tensor(1), zipOf([{ name: 'a', data: noise(10) }]), tensor(2), tensor(3, 0)]);

  test('archives one after the other, zip64 or not, are good', async (t) => {
    assert.equal(await damageOf(t, shard), 'found good');
    assert.equal(await damageOf(t, tensor(4, 5_000_000)), 'found good');
  });

  test('a flipped bit in any of them', async (t) => {
    for (const [at, why] of [
      [1000, /"archive\/data\/0" has another CRC/],
      [tensor(1).length + 33, /has another CRC/],
      [shard.length - 22, /end record of its last archive is missing/],
      [tensor(1).length - 22, new RegExp(`archive before byte ${tensor(1).length} has no end record`)],
    ] as const) {
      const flipped = Buffer.from(shard);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      assert.match(await damageOf(t, flipped), why);
    }
  });

  test('cut off anywhere but between two archives it is damaged', async (t) => {
    for (let length = 4; length < shard.length; length += 41)
      assert.notEqual(await damageOf(t, shard.subarray(0, length)), 'found good', String(length));
  });

  test('what is no archive at all is only hashed: there are writers that compress', async (t) => {
    assert.equal(await damageOf(t, noise(5000)), 'found good');
    assert.match(await damageOf(t, Buffer.alloc(0)), /empty/);
  });

  const metadata = (): Buffer =>
    Buffer.from(
      python(
        `
import base64, pickle
print(base64.b64encode(pickle.dumps({'a': ('__0_0.distcp', 0), 'b': ('__1_12.distcp', 7)}, 4)).decode())`,
      ),
      'base64',
    );

  function folder(t: TestContext, tree: Readonly<Record<string, Buffer>>): Promise<UnitVerdict> {
    const root = scratch(t);
    lay(root, tree);
    return verifyUnit({ root, files: Object.keys(tree), expected: new Map(), bytes: 0 }, always);
  }

  test('every shard that the metadata names must be there, told without unpickling it', async (t) => {
    const first = { 'step-1/.metadata': metadata(), 'step-1/__0_0.distcp': shard };
    assert.match((await folder(t, first)).damage ?? '', /its shard "__1_12.distcp" is missing/);
    assert.equal((await folder(t, { ...first, 'step-1/__1_12.distcp': shard })).damage, undefined);
  });

  test('metadata that was cut off', async (t) => {
    const cut = { 's/.metadata': metadata().subarray(0, -1), 's/__0_0.distcp': shard };
    assert.match((await folder(t, cut)).damage ?? '', /\.metadata: it does not end as a pickle does/);
    const other = { 's/.metadata': Buffer.from('{}'), 's/__0_0.distcp': shard };
    assert.match((await folder(t, other)).damage ?? '', /\.metadata: it is no pickle/);
  });
});
