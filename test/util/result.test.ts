import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exitStatus, fail, ok, type Result } from '../../src/util/result.js';

describe('results', () => {
  it('carry a value, or a problem with its exit status and the system’s code where there is one', () => {
    assert.deepEqual(ok(3), { ok: true, value: 3 });
    assert.deepEqual(fail('no command', exitStatus.usage), {
      ok: false,
      error: { message: 'no command', exit: 64 },
    });
    assert.deepEqual(fail('the disk is full', exitStatus.internal, 'ENOSPC'), {
      ok: false,
      error: { message: 'the disk is full', exit: 125, code: 'ENOSPC' },
    });
  });

  it('narrow by `ok`', () => {
    const half = (n: number): Result<number> => (n % 2 === 0 ? ok(n / 2) : fail(`${n} is odd`, 1));
    const even = half(4);
    const odd = half(3);
    assert.equal(even.ok && even.value, 2);
    assert.equal(odd.ok || odd.error.message, '3 is odd');
  });
});

describe('exitStatus', () => {
  it('is what the command line promises', () => {
    assert.deepEqual(exitStatus, {
      done: 0,
      failed: 1,
      noneActive: 3,
      unknownRun: 4,
      usage: 64,
      busy: 75,
      config: 78,
      hang: 124,
      internal: 125,
      cannotRun: 126,
      notFound: 127,
    });
  });
});
