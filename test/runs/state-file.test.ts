import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { readState, StateFile, takeOverState } from '../../src/runs/state-file.js';
import type { Clock } from '../../src/supervisor/ports.js';
import { files } from '../../src/util/os/durable.js';
import type { Problem } from '../../src/util/result.js';

interface Facts {
  readonly n: number;
}

let dir: string;
let file: string;
let renames: number;
beforeEach(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'tg-state-'));
  file = path.join(dir, 'state.json');
  renames = 0;
  const { rename } = files;
  mock.method(files, 'rename', (from: string, to: string) => {
    renames++;
    return rename(from, to);
  });
});
afterEach(async () => {
  mock.restoreAll();
  await fs.rm(dir, { recursive: true });
});

/** Time that passes when told to. */
class FakeClock implements Clock {
  #mono = 5000;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];
  now = (): number => this.#mono;
  mono = (): number => this.#mono;
  random = (): number => 0;
  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#mono + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
  pass(ms: number): void {
    this.#mono += ms;
    const due = this.#timers.filter(({ at }) => at <= this.#mono);
    this.#timers = this.#timers.filter(({ at }) => at > this.#mono);
    for (const { callback } of due) callback();
  }
  get waiting(): number {
    return this.#timers.length;
  }
}

const noTrouble = (problem: Problem): void => assert.fail(problem.message);

async function onDisk(): Promise<number | undefined> {
  const read = await readState<Facts>(file);
  assert.ok(read.ok, read.ok ? '' : read.error.message);
  return read.value?.n;
}

test('a burst of saves is one write at once and one when a second has passed, with the last state', async () => {
  const clock = new FakeClock();
  const state = new StateFile<Facts>(file, clock, noTrouble);
  let n = 0;
  state.save(() => ({ n }));
  // joins the write that is under way, without asking for another
  await state.flush();
  assert.deepEqual([await onDisk(), renames], [0, 1]);
  for (n = 1; n <= 1000; n++) state.save(() => ({ n }));
  clock.pass(999);
  assert.deepEqual([await onDisk(), renames, clock.waiting], [0, 1, 1]);
  clock.pass(1);
  await state.flush();
  assert.deepEqual([await onDisk(), renames, clock.waiting], [1001, 2, 0]);
  assert.equal((await fs.stat(file)).mode & 0o777, 0o600);
});

test('flush writes at once', async () => {
  const clock = new FakeClock();
  const state = new StateFile<Facts>(file, clock, noTrouble);
  for (const n of [1, 2, 3]) {
    state.save(() => ({ n }));
    assert.ok((await state.flush()).ok);
    assert.equal(await onDisk(), n);
  }
  state.save(() => ({ n: 4 }));
  assert.ok((await state.close()).ok);
  assert.equal(await onDisk(), 4);
  assert.equal(clock.waiting, 0);
});

test('a save during a write is written after it', async () => {
  const clock = new FakeClock();
  const state = new StateFile<Facts>(file, clock, noTrouble);
  state.save(() => ({ n: 1 }));
  state.save(() => ({ n: 2 }));
  assert.ok((await state.flush()).ok);
  assert.equal(await onDisk(), 2);
});

test('a full disk is told once, tried again every second, and told anew after it was well', async () => {
  const clock = new FakeClock();
  const told: Problem[] = [];
  const state = new StateFile<Facts>(file, clock, (problem) => told.push(problem));
  let full = true;
  const { open } = files;
  mock.method(files, 'open', (...args: Parameters<typeof open>) =>
    full ? Promise.reject(Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' })) : open(...args),
  );
  state.save(() => ({ n: 1 }));
  for (let i = 0; i < 3; i++) {
    assert.equal((await state.flush()).ok, false);
    clock.pass(1000);
  }
  assert.equal(told.length, 1);
  assert.equal(told[0]?.code, 'ENOSPC');
  assert.match(told[0].message, /^cannot write .*state.json: ENOSPC.*free some space/);
  await state.flush();
  full = false;
  clock.pass(1000);
  assert.ok((await state.flush()).ok);
  assert.equal(await onDisk(), 1);
  full = true;
  state.save(() => ({ n: 2 }));
  await state.flush();
  assert.equal(told.length, 2);
  assert.deepEqual(
    (await fs.readdir(dir)).filter((name) => name !== 'state.json'),
    [],
  );
});

for (const [what, text] of [
  ['cut off', '{"schemaVersion":1,"n":'],
  ['empty', ''],
  ['no object', '7'],
  ['without a version', '{"n":1}'],
  ['binary', '\0\0\0'],
] as const) {
  test(`damage (${what}): a reader says so, a writer moves it aside`, async () => {
    await fs.writeFile(file, text);
    const read = await readState(file);
    assert.ok(!read.ok);
    assert.match(read.error.message, /state.json is damaged: .*nothing was changed.*journal/);
    assert.equal(await fs.readFile(file, 'utf8'), text);
    await fs.writeFile(`${file}.damaged-1`, 'an earlier one');
    const taken = await takeOverState<Facts>(file);
    assert.deepEqual(taken.ok && taken.value, { state: undefined, setAside: `${file}.damaged-2` });
    assert.equal(await fs.readFile(`${file}.damaged-2`, 'utf8'), text);
    assert.equal(await fs.readFile(`${file}.damaged-1`, 'utf8'), 'an earlier one');
  });
}

test('none is no damage; a newer one is left alone', async () => {
  assert.deepEqual(await takeOverState(file), { ok: true, value: { state: undefined } });
  await fs.writeFile(file, '{"schemaVersion":2}');
  const taken = await takeOverState(file);
  assert.match(taken.ok ? '' : taken.error.message, /newer trainguard/);
  assert.deepEqual(await fs.readdir(dir), ['state.json']);
});
