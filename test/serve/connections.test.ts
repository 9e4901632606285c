import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionLimits, Connections, maxPipelined } from '../../src/serve/connections.js';

/** One that has shown the token, and is quiet. */
function worker(connections: Connections, id: string): void {
  connections.opened(id);
  connections.begun(id);
  connections.ended(id);
}

test('when there is no room, the oldest stranger goes, and no worker', () => {
  const connections = new Connections({ known: 2, total: 3 });
  worker(connections, 'w0');
  assert.equal(connections.opened('s0'), undefined);
  assert.equal(connections.opened('s1'), undefined);
  assert.equal(connections.opened('s2'), 's0');
  connections.closed('s0');
  worker(connections, 'w1'); // it took the place of s1
  connections.closed('s1');
  assert.equal(connections.known, 2);
  assert.equal(connections.total, 3);
});

test('ten thousand strangers take no place from workers', () => {
  const connections = new Connections({ known: 100, total: 110 });
  for (let n = 0; n < 100; n++) worker(connections, `w${n}`);
  for (let n = 0; n < 10_000; n++) {
    const victim = connections.opened(`s${n}`);
    if (victim === undefined) continue;
    assert.match(victim, /^s/);
    connections.closed(victim);
  }
  assert.equal(connections.known, 100);
  assert.equal(connections.total, 110);
});

test('one worker too many takes the place of the one that was quiet the longest', () => {
  const connections = new Connections({ known: 2, total: 4 });
  worker(connections, 'w0');
  worker(connections, 'w1');
  connections.begun('w0');
  connections.ended('w0'); // w1 is the quiet one now
  connections.opened('w2');
  assert.deepEqual(connections.begun('w2'), { evicted: 'w1' });
});

test('when all workers are at work, another is told so, and a stranger it stays', () => {
  const connections = new Connections({ known: 1, total: 3 });
  connections.opened('w0');
  connections.begun('w0');
  connections.opened('w1');
  assert.deepEqual(connections.begun('w1'), { overload: 'all-busy' });
  connections.ended('w1');
  connections.ended('w0');
  assert.deepEqual(connections.begun('w1'), { evicted: 'w0' });
});

test('requests sent without waiting for answers are bounded', () => {
  const connections = new Connections({ known: 1, total: 2 });
  connections.opened('w0');
  for (let n = 0; n < maxPipelined; n++) assert.deepEqual(connections.begun('w0'), {});
  assert.deepEqual(connections.begun('w0'), { overload: 'pipelined' });
  connections.ended('w0');
  assert.deepEqual(connections.begun('w0'), {});
});

test('what is closed leaves nothing behind', () => {
  const connections = new Connections({ known: 2, total: 3 });
  worker(connections, 'w0');
  connections.opened('w1');
  connections.begun('w1');
  connections.opened('s0');
  for (const id of ['w0', 'w1', 's0', 'never seen']) connections.closed(id);
  connections.ended('w1');
  assert.equal(connections.total, 0);
});

test('10,000 workers by default, where so many files may be open', () => {
  assert.deepEqual(connectionLimits(undefined, 20_000), { known: 10_000, total: 11_024 });
  assert.deepEqual(connectionLimits(undefined, undefined), { known: 10_000, total: 11_024 });
  assert.deepEqual(connectionLimits(500, 20_000), { known: 500, total: 1524 });
});

test('fewer where fewer files may be open, and it is said', () => {
  for (const openFiles of [64, 256, 1024, 4096, 11_000]) {
    const { known, total, words } = connectionLimits(undefined, openFiles);
    assert.ok(known > 0 && known < total && total < openFiles, `${known} of ${total} of ${openFiles}`);
    assert.match(words ?? '', new RegExp(`of ${known} workers, not 10000: only ${openFiles} files`));
  }
  assert.equal(connectionLimits(100, 1024).words, undefined);
});
