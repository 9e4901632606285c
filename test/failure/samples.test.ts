import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import { kindsTable } from '../../src/failure/kinds.js';
import { toldDeath } from '../../src/failure/launcher.js';
import { toLines } from '../../src/failure/log-lines.js';
import { bears, findLine } from '../../src/failure/match.js';
import { signatures } from '../../src/failure/signatures.js';
import type { Signature } from '../../src/failure/signatures/signature.js';
import { lastErrors } from '../../src/failure/traceback.js';
import type { FailureKind } from '../../src/failure/types.js';
import { causes, files, hostOf, type Sample, samples, tailsOf } from './samples.js';

const judge = (sample: Sample) =>
  classify({ exit: sample.exit, tails: tailsOf(sample), host: hostOf(sample) });

describe('every sample is judged as what it is', () => {
  for (const sample of samples) {
    test(sample.id, () => {
      const failure = judge(sample);
      assert.deepEqual(
        [failure.kind, failure.signature, failure.loading],
        [sample.kind, sample.signature, sample.loading],
        failure.reason,
      );
      if (sample.reason !== undefined) assert.equal(failure.reason, sample.reason);
      assert.ok(failure.kind === 'success' || failure.evidence.length > 0, 'a failure needs evidence');
    });
  }
});

/** What signatures are tried on. */
const read = samples
  // whose cause of death their log does not show, whatever else it shows
  .filter(({ kind }) => kind !== 'success' && kind !== 'unknown')
  .map((sample) => {
    const logs = tailsOf(sample).map(toLines);
    return {
      ...sample,
      logs,
      exit: toldDeath(sample.exit, logs)?.exit ?? sample.exit,
      // a rank that lost its connection to the one that failed says so too, but is not the cause
      errors: logs.flatMap(({ lines }) => lastErrors(lines).candidates.slice(0, 1)),
      kernel: hostOf(sample).kernel ?? [],
    };
  });

/** The samples that bear a signature, wherever in the order that stands. */
const bearersOf = (signature: Signature) =>
  read.filter(
    ({ logs, exit, errors, kernel }) =>
      errors.some((error) => bears(signature, error, exit)) ||
      findLine(signature, logs, exit) !== undefined ||
      (signature.where === 'kernel' && kernel.some((line) => signature.pattern.test(line))),
  );

/** What a sample bears beside its own signature, and why that is right. */
const alsoBorne: Readonly<Record<string, readonly string[]>> = {
  // a full /dev/shm is a full device, but not a disk that space can be waited for on
  'shared-memory-full': ['disk-full'],
  // the log's words, which the kernel's confirm or explain
  'xid-gpu': ['launch-failure'],
  'illegal-memory-access': ['xid-program'],
  'module-not-found': ['xid-gpu'],
  'input-output-error': ['disk-fails'],
};

describe('every signature is borne by its samples and no other', () => {
  for (const signature of signatures) {
    test(signature.id, () => {
      const bearers = bearersOf(signature);
      const own = bearers.filter((sample) => !alsoBorne[sample.signature ?? '']?.includes(signature.id));
      assert.deepEqual(
        own.map(({ id }) => id),
        samples.filter((sample) => sample.signature === signature.id).map(({ id }) => id),
      );
      assert.ok(
        bearers.some(({ id }) => id === signature.sample),
        `the sample ${signature.sample} is missing`,
      );
    });
  }
});

test('signatures are named once', () => {
  const ids = signatures.map(({ id }) => id);
  assert.deepEqual(ids, [...new Set(ids)]);
});

test('every log in the folder is a sample, and every sample a log', () => {
  const ids = new Set(samples.map(({ id }) => id));
  const logs = files.filter((name) => name.endsWith('.log'));
  for (const name of logs) assert.ok(ids.has(name.replace(/\.(out|err|kernel)\.log$/, '')), name);
  for (const id of ids)
    assert.ok(
      logs.some((name) => name.startsWith(`${id}.`)),
      id,
    );
});

test('what was caused for real says by which program, and every program has its sample', () => {
  const scripts = causes.filter((name) => name.endsWith('.py') && name !== 'cause.py');
  const claimed = samples.flatMap(({ id, from }) => {
    const script = /^caused by causes\/(.+\.py)$/.exec(from)?.[1];
    if (script !== undefined) assert.equal(script, `${id}.py`);
    return script ?? [];
  });
  assert.deepEqual(claimed.toSorted(), scripts.toSorted());
});

test('no sample names the machine it was made on', () => {
  for (const sample of samples) {
    for (const { text } of tailsOf(sample)) assert.doesNotMatch(text, /\/root\/|\/work\/|\/tmp\//, sample.id);
  }
});

test('every kind that a log can show has a sample, and every kind its words', () => {
  const shown = new Set<FailureKind>(samples.map(({ kind }) => kind));
  // known by how an attempt behaved and was ended, not by what it wrote
  const decidedElsewhere: readonly FailureKind[] = ['hang', 'not-resumed'];
  for (const kind of Object.keys(kindsTable) as FailureKind[]) {
    assert.equal(shown.has(kind), !decidedElsewhere.includes(kind), kind);
    assert.match(kindsTable[kind].meaning, /^[a-z].{10,}[^.]$/, kind);
  }
});

test('no sample is a failure once the exit status is 0', () => {
  for (const sample of samples) {
    const failure = classify({
      exit: { type: 'code', code: 0 },
      tails: tailsOf(sample),
      host: hostOf(sample),
    });
    assert.equal(failure.kind, 'success', sample.id);
  }
});
