import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import type { Exit, LogTail } from '../../src/failure/types.js';

const mebibyte = 1024 * 1024;
/** A tail is 1 MiB a stream at most; this is one, as a healthy training writes it. */
const ordinary = filled('step 1200 loss 2.3141 lr 0.0003 tokens/s 18234\n');
/** Code that is not linear takes thousands of times as long on 1 MiB. */
const generous = 60;

function filled(unit: string): string {
  return unit.repeat(Math.ceil(mebibyte / unit.length)).slice(0, mebibyte);
}

function millisecondsOf(text: string): number {
  const tails: LogTail[] = [{ source: 'worker-0.err.log', text }];
  const exits: Exit[] = [
    { type: 'code', code: 1 },
    { type: 'code', code: 2 },
    { type: 'signal', signal: 'SIGABRT', number: 6 },
  ];
  const before = performance.now();
  for (const exit of exits) classify({ exit, tails, host: { kernel: [text.slice(0, 500)] } });
  return performance.now() - before;
}

// the first two warm the compiler up
const benign = Math.max(...[1, 2, 3, 4].map(() => millisecondsOf(ordinary)).slice(2));

const header = 'Traceback (most recent call last):\n';
const frame = '  File "a.py", line 3, in f\n    torch.load(checkpoint)\n';
const during = '\nDuring handling of the above exception, another exception occurred:\n\n';

/** Beginnings of what patterns look for, over and over: whatever tries to go on from each of them pays here. */
const units: readonly string[] = [
  '\n',
  'x',
  ' ',
  '\r',
  header,
  frame,
  'usage: ',
  'a: error: ',
  'usage: \nx: error: y\n',
  'File "',
  'loss is ',
  '[rank0]: ',
  '1: ',
  '   1: ',
  `1: ${header}`,
  '1:   File "a.py", line 3, in f\n',
  `1: ${header}1: ValueError: x\n`,
  '[rank0]: Original Traceback (most recent call last):\n',
  '/a',
  '/a/',
  'a.',
  '0',
  '0a',
  'ValueError: x\n',
  'Weights only load failed. Unsupported ',
  'NCCL error NCCL unhandled ',
  'NCCL Cuda failure ',
  'gloo Timed out gloo Connection closed ',
  'OOM when allocating tensor ',
  'ValueError: Requested shape: ',
  "terminate called after throwing an instance of '",
  'python: a.c:1: f: Assertion `',
  'what():  ',
  'JOB 1 ON a CANCELLED AT b DUE TO ',
  'spot instance interruption ',
  'Root Cause (first observed failure):\n  exitcode  : -9 (pid: 1)\n',
  "subprocess.CalledProcessError: Command 'a' died with <Signals.SIG",
  'Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n  File "a.py", line 3 in f\n',
  `${header}${frame}ValueError: x\n${during}`,
  `${header}${frame}E: x\n${during}`,
  `${header}${frame}torch.distributed.DistBackendError: NCCL error\nncclSystemError: NCCL Cuda failure\n`,
];

describe('time is linear', () => {
  for (const unit of units) {
    const name = JSON.stringify(unit.slice(0, 50));
    test(`on 1 MiB of ${name}`, () => {
      const ms = millisecondsOf(filled(unit));
      assert.ok(ms < generous * benign, `${ms} ms, an ordinary log ${benign} ms`);
    });
    if (unit.includes('\n')) continue;
    test(`on one message of indented lines of ${name}`, () => {
      const ms = millisecondsOf(
        `${header}${frame}RuntimeError:\n${filled(`  ${unit.repeat(4090 / unit.length)}\n`)}`,
      );
      assert.ok(ms < generous * benign, `${ms} ms, an ordinary log ${benign} ms`);
    });
  }
});
