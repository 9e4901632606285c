import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import { toLines } from '../../src/failure/log-lines.js';
import { bears, findLine } from '../../src/failure/match.js';
import { signatures } from '../../src/failure/signatures.js';
import { lastError } from '../../src/failure/traceback.js';
import type { Exit, FailureKind, LogTail } from '../../src/failure/types.js';

interface Sample {
  readonly id: string;
  readonly exit: Exit;
  readonly kind: FailureKind;
  readonly signature?: string;
  readonly reason?: string;
}

// the compiled test lies two folders deeper than its source, or as deep: the repository is what has fixtures/
const root = ['../../../', '../../'].map((up) => new URL(up, import.meta.url)).find((url) => existsSync(new URL('fixtures/logs', url)))!; // prettier-ignore
const folder = new URL('fixtures/logs/', root);
const samples = JSON.parse(readFileSync(new URL('samples.json', folder), 'utf8')) as Sample[];

const tailsOf = ({ id }: Sample): LogTail[] =>
  ['out', 'err'].flatMap((stream) => {
    const file = new URL(`${id}.${stream}.log`, folder);
    if (!existsSync(file)) return [];
    return [{ source: `worker-0.${stream}.log`, text: readFileSync(file, 'utf8') }];
  });

describe('every sample is judged as what it is', () => {
  for (const sample of samples) {
    test(sample.id, () => {
      const failure = classify({ exit: sample.exit, tails: tailsOf(sample), host: {} });
      assert.equal(failure.kind, sample.kind, failure.reason);
      if (sample.reason !== undefined) assert.equal(failure.reason, sample.reason);
      assert.ok(failure.kind === 'success' || failure.evidence.length > 0, 'a failure needs evidence');
    });
  }
});

describe('every signature is borne by its samples and no other', () => {
  for (const signature of signatures) {
    test(signature.id, () => {
      const bearers = samples
        // whose cause of death their log does not show, whatever else it shows
        .filter(({ kind }) => kind !== 'success' && kind !== 'unknown')
        .filter((sample) => {
          const logs = tailsOf(sample).map(toLines);
          const errors = logs.flatMap(({ lines }) => lastError(lines) ?? []);
          return (
            errors.some((error) => bears(signature, error, sample.exit)) ||
            findLine(signature, logs, sample.exit) !== undefined
          );
        })
        .map(({ id }) => id);
      const expected = samples.filter((sample) => sample.signature === signature.id).map(({ id }) => id);
      assert.deepEqual(bearers, expected);
      assert.ok(expected.includes(signature.sample), `the sample ${signature.sample} is missing`);
    });
  }
});

test('every log in the folder is a sample', () => {
  const ids = new Set(samples.map(({ id }) => id));
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.log')) assert.ok(ids.has(name.replace(/\.(out|err)\.log$/, '')), name);
  }
});

test('no sample is a failure once the exit status is 0', () => {
  for (const sample of samples) {
    const failure = classify({ exit: { type: 'code', code: 0 }, tails: tailsOf(sample), host: {} });
    assert.equal(failure.kind, 'success', sample.id);
  }
});
