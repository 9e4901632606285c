import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pumpFile } from '../../../src/util/os/follow.js';
import { tempDir, until } from '../local/support.js';

test('a file is copied as it grows, from an offset, until it has ended', async (t) => {
  const file = path.join(tempDir(t), 'a.log');
  let ended = false;
  let got = '';
  const pumping = pumpFile(file, 3, (chunk) => void (got += chunk.toString()), {
    ended: () => ended,
    pollMs: 5,
  });
  writeFileSync(file, '012345');
  await until('the first bytes', () => got === '345');
  appendFileSync(file, '6789');
  await until('the next bytes', () => got === '3456789');
  appendFileSync(file, 'end');
  ended = true;
  assert.equal(await pumping, 13);
  assert.equal(got, '3456789end');
});

test('a slow sink is waited for, and gets each piece only when it has taken the last', async (t) => {
  const file = path.join(tempDir(t), 'a.log');
  writeFileSync(file, Buffer.alloc(1_000_000, 'x'));
  let inSink = 0;
  let got = 0;
  const write = async (chunk: Buffer): Promise<void> => {
    assert.equal(++inSink, 1);
    await new Promise((resolve) => setImmediate(resolve));
    got += chunk.length;
    inSink--;
  };
  await pumpFile(file, 0, write, { ended: () => true });
  assert.equal(got, 1_000_000);
});

test('what was released is skipped and told, to the byte', async (t) => {
  const file = path.join(tempDir(t), 'a.log');
  const text = `${'0123456789abcde\n'.repeat(20_000)}the end\n`;
  for (const blocks of [1, 3, 40, 78]) {
    writeFileSync(file, text);
    const length = String(blocks * 4096);
    const punched = spawnSync('fallocate', ['--punch-hole', '--offset', '0', '--length', length, file]);
    if (punched.status !== 0) {
      t.skip('no fallocate --punch-hole here');
      return;
    }
    for (const from of [0, 100, 4096 * (blocks - 1) + 1]) {
      let got = '';
      let released = 0;
      const write = (chunk: Buffer): void => void (got += chunk.toString());
      const options = { ended: () => true, released: (bytes: number) => void (released += bytes) };
      await pumpFile(file, from, write, options);
      if (from + 4096 <= blocks * 4096) assert.equal(from + released, blocks * 4096);
      assert.equal(got.replace(/^\0*/, ''), text.slice(blocks * 4096), `${blocks} blocks, from ${from}`);
    }
  }
});

test('stops at once when told to, and does not wait for a file that never comes', async (t) => {
  const stop = new AbortController();
  const file = path.join(tempDir(t), 'none.log');
  const pumping = pumpFile(file, 7, () => undefined, {
    ended: () => false,
    signal: stop.signal,
    pollMs: 60_000,
  });
  stop.abort();
  assert.equal(await pumping, 7);
  assert.equal(await pumpFile(file, 0, () => undefined, { ended: () => true }), 0);
});
