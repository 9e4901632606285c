import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import type { Autopsy, Exit, Failure, HostFacts } from '../../src/failure/types.js';
import type { FailureRule } from '../../src/policy/policy.js';

const code = (status: number): Exit => ({ type: 'code', code: status });
const signal = (name: string, number: number): Exit => ({ type: 'signal', signal: name, number });

function autopsy(exit: Exit, err = '', host: HostFacts = {}, out = ''): Autopsy {
  const tails = [
    { source: 'worker-0.out.log', text: out },
    { source: 'worker-0.err.log', text: err },
  ];
  return { exit, tails, host };
}

const traceback = (error: string, after = ''): string =>
  `Traceback (most recent call last):\n  File "/srv/train/train.py", line 12, in step\n    x()\n${error}\n${after}`;

describe('what the exit says', () => {
  const cases: readonly [name: string, exit: Exit, host: HostFacts, kind: Failure['kind'], reason: RegExp][] = [
    ['exit 0', code(0), {}, 'success', /exit status 0/],
    ['not found', code(127), {}, 'command', /^the command was not found \(exit status 127\)/],
    ['not executable', code(126), {}, 'command', /could not be executed/],
    ['never a process', { type: 'not-started', code: 'ENOENT', message: 'spawn pyhton ENOENT' }, {}, 'command', /could not be started: spawn pyhton ENOENT/],
    ['SIGKILL by the kernel', signal('SIGKILL', 9), { oomKills: 1 }, 'host-memory', /^the kernel killed the process because memory ran out \(oom_kill 0 → 1\)$/],
    ['the same seen through a shell', code(137), { oomKills: 2 }, 'host-memory', /\(exit status 137\)/],
    ['SIGKILL by somebody', signal('SIGKILL', 9), { oomKills: 0 }, 'killed', /^the process was ended by SIGKILL: something killed it outright/],
    ['SIGKILL, nobody knows', signal('SIGKILL', 9), {}, 'killed', /SIGKILL/],
    ['a killed child of Python', code(247), {}, 'host-memory', /as a rule because the machine ran out of memory/],
    ['a killed child, but not by the kernel', code(247), { oomKills: 0 }, 'killed', /SIGKILL \(exit status 247\)/],
    ['SIGSEGV', signal('SIGSEGV', 11), {}, 'killed', /SIGSEGV: it touched memory that is not its own/],
    ['SIGSEGV through a shell', code(139), {}, 'killed', /SIGSEGV \(exit status 139\)/],
    ['SIGBUS', signal('SIGBUS', 7), {}, 'killed', /\/dev\/shm/],
    ['a lone SIGTERM', signal('SIGTERM', 15), {}, 'killed', /asked it to end/],
    ['a real-time signal', signal('SIGRTMIN', 34), {}, 'killed', /SIGRTMIN/],
    ['SIGINT', signal('SIGINT', 2), {}, 'stopped', /interrupted/],
    ['SIGINT through a shell', code(130), {}, 'stopped', /interrupted/],
    ['nothing left', { type: 'unknown' }, {}, 'killed', /exit status unknown/],
    ['a status without a word', code(3), {}, 'unknown', /^the command ended with exit status 3 and without a word$/],
  ]; // prettier-ignore
  for (const [name, exit, host, kind, reason] of cases) {
    test(name, () => {
      const failure = classify(autopsy(exit, '', host));
      assert.equal(failure.kind, kind);
      assert.match(failure.reason, reason);
    });
  }

  test('a full disk is mentioned beside a death that nothing explains', () => {
    const { evidence } = classify(autopsy(code(3), '', { freeBytes: { '/mnt/data': 4096, '/': 1e12 } }));
    assert.deepEqual(evidence, [{ text: 'only 4.0 KiB free', source: '/mnt/data' }]);
  });
});

describe('what counts as the cause', () => {
  test('names the exception, the place and the line of the log', () => {
    const failure = classify(autopsy(code(1), `starting\n${traceback('ValueError: bad shape (3, 4)')}`));
    assert.equal(failure.kind, 'exception');
    assert.equal(
      failure.reason,
      'Python stopped on an exception: ValueError: bad shape (3, 4) (train.py line 12, in step)',
    );
    assert.deepEqual(failure.evidence, [
      { text: 'ValueError: bad shape (3, 4)', source: 'worker-0.err.log:5' },
    ]);
  });

  test('an exception on stdout counts if stderr has none', () => {
    assert.equal(classify(autopsy(code(1), 'warning\n', {}, traceback('KeyError: 3'))).kind, 'exception');
  });

  test('one printed long before the end does not', () => {
    const log = traceback('ImportError: no flash_attn', 'step\n'.repeat(200));
    assert.equal(classify(autopsy(code(1), log)).kind, 'unknown');
  });

  test('beside another status than Python’s own it must stand at the very end', () => {
    assert.equal(classify(autopsy(code(3), traceback('ImportError: x'))).kind, 'code');
    assert.equal(
      classify(autopsy(code(3), traceback('ImportError: x', 'step\n'.repeat(20)))).kind,
      'unknown',
    );
  });

  test('nor for a process that was killed from outside', () => {
    assert.equal(classify(autopsy(signal('SIGKILL', 9), traceback('ImportError: x'))).kind, 'killed');
    assert.equal(classify(autopsy(signal('SIGTERM', 15), traceback('OSError: [Errno 28] x'))).kind, 'killed');
  });

  test('but for one that native code aborted after it', () => {
    const log = traceback('OSError: [Errno 28] No space left on device', 'terminate called\n');
    assert.equal(classify(autopsy(signal('SIGABRT', 6), log)).kind, 'storage');
  });

  test('an import that was handled is not the cause of what came of it', () => {
    const log = `${traceback('ImportError: x')}\nDuring handling of the above exception, another exception occurred:\n\n${traceback('TypeError: y')}`;
    const failure = classify(autopsy(code(1), log));
    assert.equal(failure.kind, 'exception');
    assert.match(failure.reason, /TypeError: y/);
    assert.deepEqual(
      failure.evidence.map(({ text }) => text),
      ['TypeError: y', 'ImportError: x'],
    );
  });

  test('usage text without status 2 is not a wrong command line', () => {
    const usage = 'usage: train.py [-h]\ntrain.py: error: unrecognized arguments: --x\n';
    assert.equal(classify(autopsy(code(2), usage)).kind, 'config');
    assert.equal(classify(autopsy(code(1), usage)).kind, 'unknown');
  });

  test('numbers that went bad explain an exception, not a missing module', () => {
    const health = { kind: 'non-finite-loss', step: 7, reason: 'the training loss was NaN' } as const;
    const judge = (error: string): Failure => classify({ ...autopsy(code(1), traceback(error)), health });
    assert.equal(judge('ValueError: cannot convert float NaN to integer').kind, 'numeric');
    assert.equal(judge('ModuleNotFoundError: x').kind, 'code');
  });
});

describe('fingerprints', () => {
  const of = (error: string, status = 1): string | undefined =>
    classify(autopsy(code(status), traceback(error))).fingerprint;

  test('are equal without what differs from run to run', () => {
    const one = of(
      'RuntimeError: tensor at 0x7f3a2c00 on pid 4242 took 3.21s in /tmp/run-81/shard-3.bin, id 9f8e7d6c5b4a3210',
    );
    assert.equal(of('RuntimeError: tensor at 0x55d0a118 on pid 99 took 10s in /scratch/b/shard-10.bin, id 0123456789abcdef'), one); // prettier-ignore
  });

  test('differ by type, message and place', () => {
    const place = traceback('ValueError: a').replace('line 12', 'line 13');
    const all = [
      of('ValueError: a'),
      of('KeyError: a'),
      of('ValueError: b'),
      classify(autopsy(code(1), place)).fingerprint,
    ];
    assert.equal(new Set(all).size, 4);
  });

  test('rest on the user’s own code', () => {
    const lib = (line: number): string =>
      traceback('ValueError: a').replace(
        'ValueError',
        `  File "/x/lib/python3.11/site-packages/t/m.py", line ${line}, in f\nValueError`,
      );
    const one = classify(autopsy(code(1), lib(1)));
    assert.equal(one.fingerprint, classify(autopsy(code(1), lib(2))).fingerprint);
    assert.match(one.reason, /\(train.py line 12, in step\)$/);
  });

  test('are left out where nothing identifies a failure', () => {
    assert.equal(classify(autopsy(code(3), 'bye\n')).fingerprint, undefined);
    assert.equal(classify(autopsy(signal('SIGKILL', 9))).fingerprint, undefined);
    assert.equal(classify(autopsy(signal('SIGSEGV', 11))).fingerprint, 'signal:SIGSEGV');
  });
});

describe('rules of the user', () => {
  const rules: FailureRule[] = [
    { match: { exitCodes: [42] }, kind: 'preempted', action: 'ignore' },
    { match: { signals: ['SIGTERM'] }, action: 'fail' },
    { match: { pattern: 'NCCL watchdog' }, kind: 'network', action: 'retry' },
    { match: { exitCodes: [1], pattern: 'bad batch \\d+' }, kind: 'numeric', action: 'rollback' },
  ];
  const cases: readonly [
    name: string,
    exit: Exit,
    err: string,
    kind: Failure['kind'],
    ruled: Failure['ruled'],
  ][] = [
    ['an exit code', code(42), '', 'preempted', 'ignore'],
    ['a signal, through a shell too', code(143), '', 'killed', 'fail'],
    [
      'a pattern beats what is known',
      code(1),
      `NCCL watchdog\n${traceback('ImportError: x')}`,
      'network',
      'retry',
    ],
    ['all that a rule names must hold', code(2), 'bad batch 7\n', 'unknown', undefined],
    ['and holds', code(1), 'bad batch 7\n', 'numeric', 'rollback'],
    ['a pattern does not turn success into failure', code(0), 'NCCL watchdog\n', 'success', undefined],
    ['nothing matches', code(5), '', 'unknown', undefined],
  ];
  for (const [name, exit, err, kind, ruled] of cases) {
    test(name, () => {
      const failure = classify(autopsy(exit, err), rules, find);
      assert.deepEqual([failure.kind, failure.ruled], [kind, ruled]);
    });
  }

  test('a rule may make exit 0 a failure by naming it', () => {
    const failure = classify(
      autopsy(code(0), 'gave up\n'),
      [{ match: { exitCodes: [0], pattern: 'gave up' }, kind: 'unknown' }],
      find,
    );
    assert.equal(failure.kind, 'unknown');
    assert.deepEqual(failure.evidence[0], { text: 'gave up', source: 'worker-0.err.log:1' });
  });
});

test("a death without a word on a full disk is the disk's", () => {
  const full = classify(autopsy(code(1), '', { freeBytes: { '/ckpts': 0 } }));
  assert.equal(full.kind, 'storage');
  assert.match(full.reason, /the disk of \/ckpts is full/);
  assert.equal(classify(autopsy(code(1), '', { freeBytes: { '/ckpts': 2 ** 30 } })).kind, 'unknown');
});

test('real Python, asked here and now', () => {
  const script = 'import json\ndef load():\n    json.loads("{")\nload()';
  const { stderr, status } = spawnSync('python3', ['-c', script], { encoding: 'utf8' });
  const failure = classify(autopsy(code(status ?? -1), stderr));
  assert.equal(failure.kind, 'exception');
  assert.match(
    failure.reason,
    /json\.decoder\.JSONDecodeError: Expecting property name .* \(<string> line 3, in load\)$/,
  );
});

function find(pattern: string, line: string): boolean {
  return new RegExp(pattern).test(line);
}

describe('an interrupt beside a status of the program’s own', () => {
  const interrupt = traceback('KeyboardInterrupt');

  test('of a helper, at the end of a program that failed: why that failed counts', () => {
    const log = traceback('ConnectionResetError: [Errno 104] Connection reset by peer') + interrupt;
    assert.equal(classify(autopsy(code(1), log)).kind, 'network');
  });

  test('alone it is one', () => {
    assert.equal(classify(autopsy(code(1), interrupt)).kind, 'stopped');
    assert.equal(
      classify(autopsy(signal('SIGINT', 2), traceback('ValueError: handled') + interrupt)).kind,
      'stopped',
    );
  });
});

test('words about a preempted pod are a cause only of a death from outside', () => {
  const words = 'pod was preempted on peer 3, reconnecting\n';
  assert.equal(classify(autopsy(code(1), words)).kind, 'unknown');
  assert.equal(classify(autopsy(signal('SIGTERM', 15), words)).kind, 'preempted');
});

describe('a traceback behind what others write before its lines', () => {
  const oom = traceback('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.');
  const before = (prefix: string): string => oom.trimEnd().replaceAll(/^/gm, prefix) + '\n';
  const kindOf = (log: string): string => classify(autopsy(code(1), log)).kind;

  for (const prefix of [
    '0: ', ' 12: ', '10.0.0.3: ', 'node7: ', '(RayTrainWorker pid=1, ip=10.0.0.3) ', '[default0]:',
    '2026-11-22T09:00:00.123456789Z ', '2026-11-22T09:00:00+00:00 ', '2026-11-22T09:00:00.1Z stderr F ',
  ]) test(JSON.stringify(prefix), () => assert.equal(kindOf(before(prefix)), 'gpu-memory')); // prettier-ignore

  test('lines that only begin with a word and a colon are no traceback', () => {
    assert.equal(kindOf('epoch: 1\nValueError: said in passing\n'), 'unknown');
    assert.equal(kindOf('2026-11-22T09:00:00Z begun\nValueError: said in passing\n'), 'unknown');
  });

  test('in the box that rich draws', () => {
    const box = [
      '╭─────────────── Traceback (most recent call last) ────────────────╮',
      '│ /home/user/train.py:24 in train_step                             │',
      '│                                                                  │',
      '│ ❱ 24 │   raise ValueError("it went wrong")                       │',
      '╰──────────────────────────────────────────────────────────────────╯',
      'ValueError: it went wrong',
    ];
    const failure = classify(autopsy(code(1), `${box.join('\n')}\n`));
    assert.equal(failure.kind, 'exception');
    assert.match(failure.reason, /ValueError: it went wrong \(train\.py line 24, in train_step\)/);
    assert.ok(failure.fingerprint !== undefined);
  });
});
