import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import { toLines } from '../../src/failure/log-lines.js';
import { signatures } from '../../src/failure/signatures.js';
import type { Exit, LogTail } from '../../src/failure/types.js';

// Ordinary healthy output of real frameworks (fixtures/logs/healthy), full of words that failures are made of.

const folder = new URL('../../../fixtures/logs/healthy/', import.meta.url);
const logs = readdirSync(folder)
  .filter((file) => file.endsWith('.log'))
  .map((file): LogTail => ({ source: file, text: readFileSync(new URL(file, folder), 'utf8') }));
const linesOf = (tail: LogTail): readonly string[] => toLines(tail).lines;

const runOf = ({ source }: LogTail): string => source.split('.', 1)[0] ?? '';
const runs = new Set(logs.map(runOf));

const code = (status: number): Exit => ({ type: 'code', code: status });
const exits: readonly Exit[] = [
  ...[1, 2, 3, 134, 137, 139, 143].map(code),
  { type: 'signal', signal: 'SIGKILL', number: 9 },
  { type: 'signal', signal: 'SIGABRT', number: 6 },
  { type: 'unknown' },
];

test('there are 300 lines of them and more, with the words', () => {
  const lines = logs.flatMap(linesOf);
  assert.ok(lines.length >= 300, `${lines.length} lines`);
  for (const word of ['error', 'nan', 'killed', 'timeout', 'failed', 'Traceback']) {
    assert.ok(
      lines.some((line) => line.includes(word)),
      word,
    );
  }
});

for (const run of runs) {
  const tails = logs.filter((log) => runOf(log) === run);
  describe(run, () => {
    test('is a success with exit status 0', () => {
      const failure = classify({ exit: code(0), tails: tails, host: {} });
      assert.deepEqual([failure.kind, failure.signature], ['success', undefined]);
    });

    test('shows no cause, however it ends', () => {
      for (const exit of exits) {
        const failure = classify({ exit, tails: tails, host: {} });
        assert.equal(failure.signature, undefined, `${JSON.stringify(exit)}: ${failure.reason}`);
      }
    });

    test('no line of it is a cause by itself', () => {
      for (const { source, text } of tails) {
        for (const line of new Set(linesOf({ source, text }))) {
          for (const exit of exits) {
            const failure = classify({ exit, tails: [{ source, text: `${line}\n` }], host: {} });
            assert.equal(failure.signature, undefined, `${failure.signature}: ${line}`);
          }
        }
      }
    });

    test('no line of it bears the pattern of a signature', () => {
      for (const log of tails) {
        for (const line of linesOf(log)) {
          // what a handled traceback names is an exception, and may well be one that ends others
          if (/^[\w.]+(?:Error|Exception): /.test(line)) continue;
          const found = signatures.find(({ pattern }) => pattern.test(line));
          assert.equal(found?.id, undefined, line);
        }
      }
    });
  });
}
