import assert from 'node:assert/strict';
import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { newlinesBefore, readLogEnd } from '../../../src/engines/local/log-end.js';
import { openLogTail } from '../../../src/engines/local/log-tail.js';
import { tempDir } from './support.js';

test('who goes on at an offset misses no line and sees none twice', async (t) => {
  const file = path.join(tempDir(t), 'a.log');
  const text = 'alpha\rbeta\r\nγάμμα\n\nepsilon\nlast';
  const bytes = Buffer.from(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    writeFileSync(file, bytes.subarray(0, cut));
    const lines: string[] = [];
    const first = await openLogTail(file, 0, (line) => lines.push(line));
    await first.read();
    const { offset } = first;
    const { length } = lines;
    await first.finish(); // as if killed: what comes without an end here was not yet delivered
    lines.length = length;
    appendFileSync(file, bytes.subarray(cut));
    const second = await openLogTail(file, offset, (line) => lines.push(line));
    await second.finish();
    assert.deepEqual(lines, ['alpha', 'beta', 'γάμμα', '', 'epsilon', 'last'], `cut at ${cut}`);
    assert.equal(second.offset, bytes.length);
  }
});

test('reads what came since, also when asked twice at once', async (t) => {
  const file = path.join(tempDir(t), 'a.log');
  writeFileSync(file, '');
  const lines: string[] = [];
  const tail = await openLogTail(file, 0, (line) => lines.push(line));
  appendFileSync(file, 'a\nb');
  await Promise.all([tail.read(), tail.read()]);
  assert.deepEqual([lines, tail.offset], [['a'], 2]);
  appendFileSync(file, 'c\n');
  await tail.finish();
  assert.deepEqual([lines, tail.offset], [['a', 'bc'], 5]);
});

test('a flood of lines leaves the event loop its turns', async (t) => {
  const file = path.join(tempDir(t), 'flood.log');
  writeFileSync(file, `${'z'.repeat(99)}\n`.repeat(300_000));
  let count = 0;
  const tail = await openLogTail(file, 0, () => count++);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await tail.finish();
  clearInterval(timer);
  assert.equal(count, 300_000);
  assert.ok(turns >= 5, `${turns} turns`);
});

test("a log's end begins at a character and leaves out what was released", async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'a.log');
  writeFileSync(file, Buffer.concat([Buffer.alloc(8192), Buffer.from('…é end')]));
  assert.equal((await readLogEnd(file, 100)).text, '…é end');
  assert.equal((await readLogEnd(file, 5)).text, ' end');
  assert.deepEqual(await readLogEnd(path.join(dir, 'none.log'), 5), { source: 'none.log', text: '' });
});

test("the end's first line has the number that editors give it, wherever the reading began and was cut", async (t) => {
  const file = path.join(tempDir(t), 'a.log');
  const bytes = Buffer.from('alpha\rbeta\r\ngamma\n\nepsilon\nlast');
  const newlinesIn = (to: number): number => bytes.subarray(0, to).filter((byte) => byte === 10).length;
  for (let cut = 0; cut <= bytes.length; cut++) {
    writeFileSync(file, bytes.subarray(0, cut));
    const tail = await openLogTail(file, 0, () => undefined);
    await tail.read();
    writeFileSync(file, bytes);
    assert.deepEqual(tail.counted, { offset: cut, newlines: newlinesIn(cut) });
    await tail.finish();
    assert.deepEqual(tail.counted, { offset: bytes.length, newlines: 4 });
    assert.equal(await newlinesBefore(file, cut), newlinesIn(cut));
    const { firstLine } = await readLogEnd(file, cut, tail.counted);
    assert.equal(firstLine, 1 + newlinesIn(bytes.length - cut), `the last ${cut}`);
  }
});

test('lines are not numbered where nobody counted those before', async (t) => {
  const file = path.join(tempDir(t), 'a.log');
  writeFileSync(file, 'one\ntwo\n');
  assert.deepEqual(await readLogEnd(file, 100), { source: 'a.log', text: 'one\ntwo\n', firstLine: 1 });
  assert.deepEqual(await readLogEnd(file, 4), { source: 'a.log', text: 'two\n' });
  writeFileSync(file, Buffer.concat([Buffer.alloc(8192), Buffer.from('two\n')]));
  assert.deepEqual(await readLogEnd(file, 10_000), { source: 'a.log', text: 'two\n' });
  assert.equal(await newlinesBefore(file, 8193), undefined);
  const counted = { offset: 8196, newlines: 701 };
  assert.equal((await readLogEnd(file, 10_000, counted)).firstLine, 701);
});
