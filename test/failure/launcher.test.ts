import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import type { Failure, HostFacts } from '../../src/failure/types.js';
import { samples, tailsOf } from './samples.js';

const judge = (text: string, code = 1, host: HostFacts = {}): Failure =>
  classify({ exit: { type: 'code', code }, tails: [{ source: 'err', text }], host });

/** torchrun's report, as the real ones in fixtures/logs have it. */
const report = (root: string, ...others: string[]): string =>
  ['Failures:', ...others.map((status) => `  exitcode  : ${status} (pid: 1)`), 'Root Cause (first observed failure):', '[0]:', '  rank      : 1 (local_rank: 1)', `  exitcode  : ${root} (pid: 2)`].join('\n'); // prettier-ignore

describe('a launcher tells how its process ended', () => {
  test('a kill by the kernel behind torchrun is a memory kill', () => {
    const sample = samples.find(({ id }) => id === 'killed-torchrun-sigkill');
    assert.ok(sample);
    const failure = classify({ exit: sample.exit, tails: tailsOf(sample), host: { oomKills: 1 } });
    assert.equal(failure.kind, 'host-memory');
  });

  test('its word is the evidence', () => {
    const { kind, evidence } = judge(report('-11', '-15'));
    assert.equal(kind, 'killed');
    assert.deepEqual(evidence[0], { text: 'exitcode  : -11 (pid: 2)', source: 'err:6' });
  });

  test('the signal that torchrun ends the other ranks with is no cause beside a rank that failed', () => {
    assert.doesNotMatch(judge(report('-15', '1')).reason, /SIGTERM/);
    assert.match(judge(report('-15')).reason, /SIGTERM/);
  });

  test('a status above 128 is a signal of the launcher itself', () => {
    assert.match(judge(report('-11'), 137).reason, /SIGKILL/);
  });

  test('another program that the training started and that died is an exception of the training', () => {
    const failure = judge(
      'Traceback (most recent call last):\n  File "train.py", line 3, in decode\n    run()\n' +
        "subprocess.CalledProcessError: Command '['ffmpeg']' died with <Signals.SIGSEGV: 11>.",
    );
    assert.equal(failure.kind, 'exception');
  });

  test('DeepSpeed says it in its own words', () => {
    const line = "[2025-12-04 10:11:12,131] [ERROR] [launch.py:325:sigkill_handler] ['python', 'train.py'] exits with return code = -9"; // prettier-ignore
    assert.match(judge(line, 247 - 238).reason, /SIGKILL/);
  });
});

describe('the rank that failed first', () => {
  const rank = (number: number, error: string): string =>
    `Traceback (most recent call last):\n  File "train.py", line ${number}, in step\n    x()\n${error}`.replace(
      /^/gm,
      `[rank${number}]: `,
    );
  const lost = 'RuntimeError: [gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:1';

  test('is the cause', () => {
    assert.match(judge(`${rank(3, 'KeyError: 1')}\n${rank(0, 'IndexError: 2')}`).reason, /KeyError/);
  });

  test('is not one that lost its connection to another that failed', () => {
    assert.match(judge(`${rank(0, lost)}\n${rank(3, 'KeyError: 1')}`).reason, /KeyError/);
    assert.equal(judge(`${rank(0, lost)}\n${rank(3, lost)}`).kind, 'network');
  });

  test('may stand far above, behind it the other ranks and the launcher', () => {
    const others = Array.from({ length: 30 }, (_, index) => rank(index + 1, lost)).join('\n');
    assert.match(judge(`${rank(0, 'KeyError: 1')}\n${others}`).reason, /KeyError/);
  });
});
