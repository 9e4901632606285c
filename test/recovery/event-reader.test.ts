import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventBound, EventReader } from '../../src/recovery/event-reader.js';
import type { RecoveryEvent } from '../../src/recovery/types.js';

const event = (at: number): RecoveryEvent => ({ type: 'monitoring', at, monitoring: true });
const nothingMore = { done: true, value: undefined };

test('events come in their order, whether the reader or the event was first', async () => {
  const reader = new EventReader(() => undefined);
  const early = [reader.next(), reader.next()];
  for (const at of [1, 2, 3, 4]) reader.push(event(at));
  const late = [reader.next()];
  reader.push(event(5));
  late.push(reader.next(), reader.next());
  const read = await Promise.all([...early, ...late]);
  assert.deepEqual(read.map(({ value }) => value?.at), [1, 2, 3, 4, 5]); // prettier-ignore
});

test('one that is too slow gets what was kept, then an error, and hears no more', async () => {
  let ended = 0;
  const reader = new EventReader(() => ended++);
  for (let at = 0; at < eventBound + 50; at++) reader.push(event(at));
  assert.equal(ended, 1);
  let read = 0;
  const all = async (): Promise<void> => {
    for await (const { at } of reader) assert.equal(at, read++);
  };
  await assert.rejects(all, /^Error: more than 100000 events waited to be read: this reader is too slow$/);
  assert.equal(read, eventBound);
  assert.deepEqual(await reader.next(), nothingMore);
});

test('its end lets what is kept be read, return() does not', async () => {
  for (const [finish, expected] of [
    [(reader: EventReader) => reader.end(), [1, 2]],
    [(reader: EventReader) => void reader.return(), []],
  ] as const) {
    const reader = new EventReader(() => undefined);
    reader.push(event(1));
    reader.push(event(2));
    finish(reader);
    reader.push(event(3));
    const read: number[] = [];
    for await (const { at } of reader) read.push(at);
    assert.deepEqual(read, expected);
  }
});
