import assert from 'node:assert/strict';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { serve } from '../../src/commands/serve.js';
import { files } from '../../src/util/os/durable.js';
import { tempDir } from '../support/temp-dir.js';

type Call = (...args: unknown[]) => Promise<unknown>;

/** Has every file fail to be made whose path matches, for want of room. @returns how many there were */
function fillUpAt(t: TestContext, which: RegExp): () => number {
  let hits = 0;
  for (const name of ['open', 'mkdir', 'link'] as const) {
    const real = files[name] as Call;
    const call: Call = (...args) => {
      if (!args.some((arg) => typeof arg === 'string' && which.test(arg))) return real(...args);
      hits++;
      return Promise.reject(
        Object.assign(new Error(`ENOSPC: no space left on device, ${name}`), { code: 'ENOSPC' }),
      );
    };
    t.mock.method(files, name, call as never);
  }
  return () => hits;
}

const places: readonly [string, RegExp][] = [
  ['its lock', /serve\/lock/],
  ['its token', /\.token\.\d+/],
  ['its checkpoints', /serve\/checkpoints/],
];
for (const [what, which] of places) {
  test(`a disk that is full when it makes ${what} is worth another start`, async (t) => {
    const told = t.mock.method(process.stderr, 'write', () => true);
    const hits = fillUpAt(t, which);
    const stateDir = path.join(tempDir(t), 'state');
    assert.equal(await serve({ stateDir, color: false }), 75);
    assert.ok(hits() > 0);
    assert.match(String(told.mock.calls[0]?.arguments[0]), /no space left on device/);
  });
}
