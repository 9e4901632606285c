import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Upload } from '../../src/serve/upload.js';

async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) {
    await Promise.resolve();
    yield bytes.subarray(at, at + length);
  }
}

const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, n) => n % 251));
const sha256 = createHash('sha256').update(bytes).digest('hex');

for (const length of [1, 1000, 65_535, 65_536, 150_000, 200_000]) {
  test(`a body goes on in few pieces, whole: it came in pieces of ${length}`, async () => {
    const upload = new Upload(inPieces(bytes, length), 1e6);
    const pieces: Uint8Array[] = [];
    for await (const piece of upload) pieces.push(piece);
    assert.ok(pieces.length <= 4, String(pieces.length));
    assert.ok(Buffer.concat(pieces).equals(bytes));
    assert.equal(await upload.digest(), sha256);
    assert.ok(!upload.broken);
  });
}

test('no more is gathered than shows that it is too much', async () => {
  const upload = new Upload(inPieces(bytes, 1), 10);
  for await (const piece of upload) {
    assert.equal(piece.length, 11);
    break;
  }
});

test('a body that breaks off is broken, and has no digest', async () => {
  async function* breaking(): AsyncGenerator<Uint8Array> {
    yield* inPieces(bytes.subarray(0, 10), 1);
    throw new Error('gone');
  }
  const upload = new Upload(breaking(), 1e6);
  await assert.rejects(async () => {
    for await (const piece of upload) assert.ok(piece);
  }, /gone/);
  assert.ok(upload.broken);
  assert.equal(await upload.digest(), '');
});
