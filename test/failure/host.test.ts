import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import type { Exit, Failure, HostFacts } from '../../src/failure/types.js';

const killed: Exit = { type: 'signal', signal: 'SIGKILL', number: 9 };
const judge = (exit: Exit, host: HostFacts, text = ''): Failure =>
  classify({ exit, tails: [{ source: 'worker-0.err.log', text }], host });

const memoryKill =
  'Memory cgroup out of memory: Killed process 4242 (python) total-vm:540876kB, anon-rss:65280kB';
const xid = (number: number): string =>
  `NVRM: Xid (PCI:0000:3b:00): ${number}, pid=4242, name=python, some words`;
const raised = (error: string): string =>
  `Traceback (most recent call last):\n  File "train.py", line 3, in step\n    x()\n${error}\n`;

describe('memory', () => {
  test('how much was in use is said', () => {
    const gibibyte = 2 ** 30;
    const memory = { usedBytes: 31.9 * gibibyte, limitBytes: 32 * gibibyte };
    assert.equal(
      judge(killed, { oomKills: 1, memory }).reason,
      'the kernel killed the process because memory ran out (oom_kill 0 → 1); 31.9 GiB of 32.0 GiB were in use',
    );
  });

  test('the kernel’s log explains a SIGKILL where nobody counts', () => {
    const failure = judge(killed, { kernel: [memoryKill] });
    assert.deepEqual([failure.kind, failure.signature], ['host-memory', 'kernel-memory-kill']);
    assert.deepEqual(failure.evidence[0], { text: memoryKill, source: 'kernel log' });
  });

  test('and only that: another end has another cause', () => {
    const host = { kernel: [memoryKill] };
    assert.equal(judge({ type: 'code', code: 1 }, host, raised('KeyError: 1')).kind, 'exception');
    assert.equal(judge({ type: 'signal', signal: 'SIGTERM', number: 15 }, host).kind, 'killed');
  });
});

describe('Xid', () => {
  const code = (error: string, number: number): Failure =>
    judge({ type: 'code', code: 1 }, { kernel: [xid(number)] }, raised(error));
  const silent = (number: number): Failure =>
    judge({ type: 'signal', signal: 'SIGABRT', number: 6 }, { kernel: [xid(number)] });

  for (const number of [48, 63, 64, 74, 79, 94, 95]) {
    test(`${number} is the GPU's`, () => {
      assert.equal(silent(number).kind, 'gpu');
      assert.equal(code('RuntimeError: CUDA error: unspecified launch failure', number).kind, 'gpu');
      assert.equal(code('RuntimeError: NCCL error: remote process exited or there was a network error', number).kind, 'gpu'); // prettier-ignore
    });
  }

  for (const number of [13, 31, 43, 45]) {
    test(`${number} is the program's`, () => {
      assert.equal(silent(number).kind, 'exception');
    });
  }

  test('another number says nothing', () => {
    assert.equal(silent(480).kind, 'killed');
    assert.equal(silent(8).kind, 'killed');
  });

  test('one that agrees with the log strengthens it', () => {
    const failure = code('RuntimeError: CUDA error: device-side assert triggered', 43);
    assert.deepEqual(
      [failure.kind, failure.signature, failure.confidence],
      ['exception', 'device-assert', 0.98],
    );
    assert.equal(failure.evidence.at(-1)?.source, 'kernel log');
  });

  test('it is no cause of what the program explains without a GPU', () => {
    assert.equal(code('KeyError: 1', 79).kind, 'exception');
    assert.equal(code('ModuleNotFoundError: x', 79).kind, 'code');
    assert.equal(code('OSError: [Errno 28] No space left on device', 79).kind, 'storage');
    assert.equal(code('RuntimeError: CUDA out of memory', 79).kind, 'gpu-memory');
  });

  test('with exit status 0 nothing is a failure', () => {
    assert.equal(judge({ type: 'code', code: 0 }, { kernel: [xid(79), memoryKill] }).kind, 'success');
  });
});
