import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { execa } from 'execa';
import { classifyReport } from '../../src/recovery/classify-report.js';
import { decideRecovery } from '../../src/recovery/decide.js';
import type { DecisionRequest, ErrorReport, PastFailure, RecoveryDecision, RecoveryKind } from '../../src/recovery/decision.js'; // prettier-ignore
import { reportOf } from '../../src/recovery/error-report.js';
import { recoveryKinds, recoveryRules } from '../../src/recovery/strategies.js';
import { samples, tailsOf } from '../failure/samples.js';
import { pythonPath } from '../support/python.js';

const usual: Omit<DecisionRequest, 'error'> = {
  ...{ history: [], maxRetries: 3, rollbackEnabled: true, jitter: 0 },
  backoff: { initialMs: 10_000, factor: 2, maxMs: 300_000, jitter: 0.25 },
};
const decide = (error: ErrorReport, more: Partial<DecisionRequest> = {}): RecoveryDecision =>
  decideRecovery({ ...usual, ...more, error });
const kindOf = (error: unknown): RecoveryKind => classifyReport(reportOf(error)).kind;
const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => assert.fail('it went well'),
    (error: unknown) => error,
  );

describe('the same table as the command', () => {
  // what only the kernel's log or a working progress tells is not in an error
  const told = samples.filter(({ id, kind }) => kind !== 'success' && !/xid|kernel-log/.test(id));
  test('every log of the samples, as the error of a child process', () => {
    assert.ok(told.length > 140);
    for (const sample of told) {
      const { id, exit, kind } = sample;
      const [stdout, stderr] = ['out', 'err'].map(
        (stream) => tailsOf(sample).find(({ source }) => source.includes(`.${stream}.`))?.text ?? '',
      );
      const error = Object.assign(new Error('Command failed: python3 train.py'), {
        ...{ stdout, stderr, code: exit.type === 'code' ? exit.code : null },
        signal: exit.type === 'signal' ? exit.signal : null,
      });
      assert.equal(kindOf(error), kind, id);
    }
  });

  test('every traceback of the samples, as a worker in Python reports it', () => {
    const raised = told.filter(
      ({ exit, signature, ...sample }) =>
        exit.type === 'code' && exit.code === 1 && signature !== undefined && /^Traceback/m.test(tailsOf(sample as never).at(-1)?.text ?? ''), // prettier-ignore
    );
    assert.ok(raised.length > 50);
    for (const sample of raised) {
      const traceback = tailsOf(sample).at(-1)?.text ?? '';
      assert.equal(decide({ message: '', type: '', traceback }).kind, sample.kind, sample.id);
    }
  });
});

describe('errors of this process', () => {
  test('a full disk', async () => {
    const error = await caught(fs.writeFile('/dev/full', 'x'));
    const { kind, reason, retry, rollback } = decide(reportOf(error));
    assert.deepEqual({ kind, retry, rollback }, { kind: 'storage', retry: true, rollback: true });
    assert.match(
      reason,
      /^the disk is full: Error: ENOSPC: no space left on device, write \(decide\.test\.js line \d+, in /,
    );
  });

  test('a closed port, at once and through fetch', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    server.close();
    await once(server, 'close');
    const socket = net.connect(port, '127.0.0.1');
    const [error] = await once(socket, 'error').catch((thrown: unknown) => [thrown]);
    assert.equal(kindOf(error), 'network');
    assert.match(classifyReport(reportOf(error)).reason, /^a connection was refused .*ECONNREFUSED/);
    assert.equal(kindOf(await caught(fetch(`http://127.0.0.1:${port}`))), 'network');
  });

  test('a program that is not there, or cannot be run', async () => {
    const [error] = await once(spawn('no-such-python'), 'error').catch((thrown: unknown) => [thrown]);
    const { kind, retry, why } = decide(reportOf(error));
    assert.deepEqual([kind, retry], ['command', false]);
    assert.match(why, /a retry would end the same way/);
    assert.equal(kindOf(await caught(execa('/etc/passwd'))), 'command');
  });

  test('a module that is missing is code; JSON that is torn is not', async () => {
    const missing: string = 'no-such-module';
    assert.equal(kindOf(await caught(import(missing))), 'code');
    const torn = await caught(Promise.resolve('{"step": 1').then(JSON.parse));
    const { kind, reason } = classifyReport(reportOf(torn));
    assert.equal(kind, 'exception');
    assert.match(reason, /^the program stopped on an error: SyntaxError: /);
  });

  test('memory that V8 does not get', async () => {
    const error = await caught(Promise.resolve().then(() => new ArrayBuffer(2 ** 52)));
    assert.equal(kindOf(error), 'host-memory', String(error));
  });

  test('the cause counts where the error around it says nothing', () => {
    const inner = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    assert.equal(
      kindOf(new Error('step 4 failed', { cause: new Error('again', { cause: inner }) })),
      'network',
    );
    // the rank that failed first, not those that lost it
    const oom = new Error('CUDA out of memory. Tried to allocate 2.00 GiB');
    assert.equal(kindOf(new AggregateError([inner, oom], 'all ranks failed')), 'gpu-memory');
    assert.equal(kindOf(new AggregateError([inner, inner])), 'network');
    const loop = new Error('a', { cause: oom });
    oom.cause = loop;
    assert.equal(kindOf(loop), 'gpu-memory');
  });

  const cases: readonly [unknown, RecoveryKind][] = [
    ['a plain text', 'exception'],
    [undefined, 'exception'],
    [{ loss: Number.NaN }, 'exception'],
    [Object.create(null), 'exception'],
    [new Error(''), 'exception'],
    [new Error('loss is nan'), 'numeric'],
    [Object.assign(new Error('x'), { name: 'ConvergenceError' }), 'convergence'],
    [new (class ConvergenceError extends Error {})('no progress since step 900'), 'convergence'],
    [new Error('the model did not converge in 300 epochs'), 'convergence'],
    [new Error('training diverged at step 1200'), 'convergence'],
    [new Error('branches have diverged'), 'exception'],
    [new Error('getaddrinfo ENOTFOUND hub.example'), 'network'],
    [Object.assign(new Error('Request failed'), { response: { status: 503 } }), 'network'],
    [Object.assign(new Error('Request failed'), { status: 404 }), 'exception'],
    [Object.assign(new Error('x'), { signal: 'SIGSEGV' }), 'killed'],
    [Object.assign(new Error('x'), { exitCode: 127 }), 'command'],
    [Object.assign(new Error('x'), { exitCode: 130 }), 'stopped'],
    [new Error('slurmstepd: error: *** JOB 77 ON node3 CANCELLED AT 2026-01-02T03:04:05 DUE TO PREEMPTION ***'), 'preempted'],
  ]; // prettier-ignore
  for (const [error, kind] of cases)
    test(`${kind}: ${reportOf(error).message.slice(0, 50)}`, () => assert.equal(kindOf(error), kind));
});

describe('children of real Python', () => {
  const raises = (what: string): readonly [string, string[]] => [
    pythonPath(),
    ['-c', `def step():\n    ${what}\nprint('step 1')\nstep()`],
  ];
  const run = promisify(execFile);
  test('execFile, execa and execFileSync all tell it', async () => {
    const nan = raises("raise FloatingPointError('loss is nan')");
    assert.equal(kindOf(await caught(run(...nan))), 'numeric');
    assert.equal(kindOf(await caught(execa(...nan))), 'numeric');
    assert.equal(kindOf(await caught(execa(nan[0], nan[1], { lines: true }))), 'numeric');
    assert.equal(kindOf(await caught(execa(nan[0], nan[1], { encoding: 'buffer' }))), 'numeric');
    const sync = await caught(Promise.resolve().then(() => execFileSync(...nan, { stdio: 'pipe' })));
    const { kind, reason } = classifyReport(reportOf(new Error('the child failed', { cause: sync })));
    assert.equal(kind, 'numeric');
    assert.match(reason, /FloatingPointError: loss is nan \(<string> line 2, in step\)$/);
  });

  test('a traceback in a message, an exception that is nothing special, a class of its own', async () => {
    const { stderr } = (await caught(run(...raises("raise OSError(28, 'No space left on device')")))) as { stderr: string }; // prettier-ignore
    assert.equal(kindOf(new Error(`worker 3 failed:\n${stderr}`)), 'storage');
    assert.equal(kindOf(await caught(run(...raises('raise KeyError(3)')))), 'exception');
    const own = `class ConvergenceError(Exception): pass\n    raise ConvergenceError('flat')`;
    assert.equal(kindOf(await caught(run(...raises(own)))), 'convergence');
  });

  test('killed, and stopped with an exit status alone', async () => {
    const killed = await caught(run(...raises('import os; os.kill(os.getpid(), 9)')));
    assert.match(classifyReport(reportOf(killed)).reason, /^the process was ended by SIGKILL/);
    assert.equal(kindOf(await caught(run(...raises('import sys; sys.exit(3)')))), 'unknown');
    // as subprocess.CalledProcessError says it
    assert.equal(decide({ type: 'CalledProcessError', message: 'x', exitCode: -11 }).kind, 'killed');
  });

  test('a Python worker without the wrapper: format_exc, format_tb, and the exception alone', () => {
    const script = `
import json, traceback
try:
    raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')
except RuntimeError as e:
    print(json.dumps([traceback.format_exc(), ''.join(traceback.format_tb(e.__traceback__)), '']))`;
    const forms = JSON.parse(execFileSync(pythonPath(), ['-c', script], { encoding: 'utf8' })) as string[];
    const error = { type: 'RuntimeError', message: 'CUDA out of memory. Tried to allocate 2.00 GiB' };
    const told = forms.map((traceback) => decide({ ...error, traceback }));
    assert.deepEqual(told.map(({ kind }) => kind), ['gpu-memory', 'gpu-memory', 'gpu-memory']); // prettier-ignore
    assert.equal(told[0]?.fingerprint, told[1]?.fingerprint);
    assert.match(told[0]?.reason ?? '', /\(<string> line 4\)$/);
    assert.equal(decide({ type: 'zipfile.BadZipFile', message: 'File is not a zip file' }).kind, 'exception');
    assert.match(decide({ type: 'zlib.error', message: 'Error -3' }).reason, /: zlib\.error: Error -3$/);
  });
});

describe('what is done', () => {
  const bug = { type: 'ValueError', message: 'bad shape' };
  const past = (step?: number, more: Partial<PastFailure> = {}): PastFailure => ({
    ...{ kind: 'exception', fingerprint: decide(bug).fingerprint ?? '' },
    ...(step !== undefined && { step }),
    ...more,
  });

  test('retries up to maxRetries, each wait longer than the one before, then no more', () => {
    const history = [past(1), past(2), past(3)];
    const decisions = [0, 1, 2, 3].map((n) => decide(bug, { history: history.slice(0, n), step: 9 }));
    assert.deepEqual(decisions.map(({ delayMs }) => delayMs), [10_000, 20_000, 40_000, 0]); // prettier-ignore
    assert.deepEqual(decisions.map(({ retry }) => retry), [true, true, true, false]); // prettier-ignore
    assert.equal(decisions[0]?.why, 'retry 1 of 3');
    assert.equal(decisions[3]?.why, 'retries used up: 3 of 3');
    assert.equal(decide(bug, { jitter: 0.5 }).delayMs, 11_250);
    assert.equal(decide(bug, { maxRetries: 0 }).why, 'no retries were asked for (maxRetries 0)');
  });

  test('the same at the same step three times is deterministic, also when retries came through between', () => {
    assert.match(decide(bug, { history: [past(5), past(5)], step: 5 }).why, /at step 5 3 times: it is deterministic/); // prettier-ignore
    const cured = [past(5, { cured: true }), past(5, { cured: true })];
    assert.equal(decide(bug, { history: cured, step: 5 }).retry, false);
    const other = decide(bug, { history: cured, step: 6 });
    assert.deepEqual([other.retry, other.why, other.delayMs], [true, 'retry 1 of 3', 10_000]);
    assert.equal(decide(bug, { history: [past(), past()] }).retry, true);
  });

  test('a rule of the caller goes before the table and the repeats, not before maxRetries', () => {
    const history = [past(5), past(5)];
    assert.equal(decide(bug, { history, step: 5, rules: { exception: { retry: true } } }).retry, true);
    const spent = { history: [...history, past(5)], step: 5, rules: { exception: { retry: true } } };
    assert.equal(decide(bug, spent).retry, false);
    assert.equal(decide(bug, { rules: { exception: { retry: false } } }).retry, false);
    const stays = decide(bug, { rules: { exception: { rollback: false } } });
    assert.deepEqual([stays.retry, stays.rollback], [true, false]);
    const code = { type: 'ImportError', message: 'no module' };
    assert.equal(decide(code).retry, false);
    assert.equal(decide(code, { rules: { code: { retry: true } } }).retry, true);
  });

  test('rollbackEnabled false rolls nothing back', () => {
    assert.equal(decide(bug, { rollbackEnabled: false }).rollback, false);
  });

  test('nothing but a person changes code, config, command; who was stopped stays stopped', () => {
    const never = recoveryKinds.filter((kind) => !recoveryRules[kind].retry);
    assert.deepEqual(never.toSorted(), ['code', 'command', 'config', 'not-resumed', 'stopped']);
    const stopped = decide({ type: 'KeyboardInterrupt', message: '' });
    assert.deepEqual([stopped.kind, stopped.retry], ['stopped', false]);
    assert.match(stopped.why, /stays stopped/);
  });

  test('the same request gives the same decision, and an error of 10 MB is no trouble', () => {
    const error = { type: 'RuntimeError', message: `${'x '.repeat(5e6)}CUDA out of memory` };
    const began = performance.now();
    assert.deepEqual(decide(error), decide(error));
    const hostile = [' '.repeat(1e6), '    at '.repeat(2e5), 'spawn '.repeat(2e5), 'EIO'.repeat(3e5)];
    for (const message of hostile) decide({ message, traceback: message });
    assert.ok(performance.now() - began < 20_000, 'linear in what is read');
  });
});
