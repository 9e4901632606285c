import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLineSplitter, maxLineBytes } from '../../../src/engines/local/line-splitter.js';

/** Splits `bytes` given in pieces of `size`. */
function split(bytes: Buffer | string, size: number, afterCr = false): string[] {
  const whole = Buffer.from(bytes as string);
  const lines: string[] = [];
  const splitter = createLineSplitter((line) => lines.push(line), afterCr);
  for (let at = 0; at < whole.length; at += size) splitter.push(Buffer.from(whole.subarray(at, at + size)));
  splitter.flush();
  return lines;
}

describe('lines are the same however the stream was cut', () => {
  const cases: [name: string, text: string, lines: string[]][] = [
    ['newlines', 'a\nbb\n\nccc\n', ['a', 'bb', '', 'ccc']],
    ['carriage returns', '10%\r20%\r\rend\n', ['10%', '20%', '', 'end']],
    ['both are one end', 'a\r\nb\r\n\r\nc\r\n', ['a', 'b', '', 'c']],
    ['a last line without an end', 'a\nb', ['a', 'b']],
    ['nothing', '', []],
    ['UTF-8 of every length', 'é─😀 x\rπ█🧪\n', ['é─😀 x', 'π█🧪']],
  ];
  for (const [name, text, lines] of cases) {
    test(name, () => {
      for (let size = 1; size <= 12; size++)
        assert.deepEqual(split(text, size), lines, `pieces of ${size} bytes`);
    });
  }
});

test('invalid bytes are replaced', () => {
  const bytes = Buffer.from([0x61, 0xff, 0x62, 0x0a, 0xe2, 0x96, 0x0a]);
  for (const size of [1, 2, 100])
    assert.deepEqual(split(bytes, size), ['a\ufffdb', '\ufffd'], `pieces of ${size}`);
});

test('a long line is cut between characters, and the next is whole', () => {
  const text = `${'x'.repeat(maxLineBytes - 1)}${'é'.repeat(100_000)}\nnext\n`;
  for (const size of [1 << 20, 65_536, 4097]) {
    const lines = split(text, size);
    assert.deepEqual(
      [lines.length, lines[0]?.length, lines[1]],
      [2, maxLineBytes - 1, 'next'],
      `pieces of ${size}`,
    );
  }
});

test('10 MB without an end cost one line of memory and no more time than 10 MB of lines', () => {
  const lines: string[] = [];
  const splitter = createLineSplitter((line) => lines.push(line));
  const piece = Buffer.alloc(1000, 'y');
  const before = process.memoryUsage().arrayBuffers;
  for (let done = 0; done < 10_000_000; done += piece.length) splitter.push(piece);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
  assert.equal(splitter.pendingBytes, 10_000_000);
  splitter.push(Buffer.from('\n'));
  assert.equal(lines[0]?.length, maxLineBytes);
  assert.equal(splitter.pendingBytes, 0);
});

test('a newline after a carriage return that was read earlier ends nothing', () => {
  assert.deepEqual(split('\nb\n', 100, true), ['b']);
  assert.deepEqual(split('\nb\n', 100, false), ['', 'b']);
});

test('what is pending never counts a delivered byte', () => {
  const text = 'one\rtwo\r\nthree\nfo';
  const delivered: number[] = [];
  const splitter = createLineSplitter(() => undefined);
  let taken = 0;
  for (const byte of Buffer.from(text)) {
    splitter.push(Buffer.from([byte]));
    delivered.push(++taken - splitter.pendingBytes);
  }
  assert.deepEqual([...new Set(delivered)], [0, 4, 8, 9, 15]);
});
