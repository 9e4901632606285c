import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { saidExit, signalExit } from '../../src/commands/explain-exit.js';
import { explain, failureFinder } from '../../src/commands/explain-judge.js';
import { literalsOf } from '../../src/commands/explain-literals.js';
import { digestLog, type LogDigest } from '../../src/commands/explain-read.js';
import { searchFor } from '../../src/commands/explain-search.js';
import { classify } from '../../src/failure/classify.js';
import { signatures } from '../../src/failure/signatures.js';
import { describeExplanation } from '../../src/report/report-explanation.js';
import type { Exit } from '../../src/failure/types.js';
import { root } from '../support/root.js';

const MiB = 1024 * 1024;
const finder = failureFinder();

/** A log in memory, given out in pieces as a file system might. */
function digest(log: Uint8Array | string, source = 'train.log', piece = 300_007): Promise<LogDigest> {
  const bytes = typeof log === 'string' ? Buffer.from(log) : log;
  let at = 0;
  const read = (into: Uint8Array): Promise<number> => {
    const got = bytes.subarray(at, at + Math.min(piece, into.length));
    into.set(got);
    at += got.length;
    return Promise.resolve(got.length);
  };
  return digestLog(source, read, finder);
}

const traceback = (error: string, line = 88): string =>
  `Traceback (most recent call last):\n  File "/home/me/train.py", line ${line}, in step\n    loss = model(x)\n${error}\n`;
const quiet = (lines: number): string =>
  Array.from({ length: lines }, (_, i) => `step ${i} loss 0.5 no errors, eval mean_squared_error 0.1\n`).join(
    '',
  );
const linesIn = (text: string): number => text.split('\n').length - 1;

describe('what a pattern needs', () => {
  const cases: readonly (readonly [RegExp, readonly string[] | undefined])[] = [
    [/^Killed$/, ['Killed']],
    [/: (?:No space left|Disk quota exceeded)$/, ['No space left', 'Disk quota exceeded']],
    [/\bCUDA(?: error:)? out of memory\b/, [' out of memory']],
    [/^[^\s:][^:]{0,200}: error: /, [': error: ']],
    [/\(pid[^)]{0,80}\) is killed/, [') is killed']],
    [/a+bcdefg/, ['bcdefg']],
    [/abcdef?/, ['abcde']],
    [/(?!nothing)\w+ of the kind/, [' of the kind']],
    [/\d+|something/, undefined],
    [/[some]thing[\]x]else/, ['thing']],
    [/abc/, undefined],
    [/x{0,3}(?:optional)?(?:needed)/, ['needed']],
  ];
  for (const [pattern, expected] of cases) {
    test(String(pattern), () => assert.deepEqual(literalsOf(pattern, 5), expected));
  }

  test('every signature of a line names something that can be searched for', () => {
    const without = signatures.filter(({ where, pattern }) => where === 'line' && !literalsOf(pattern, 5));
    assert.deepEqual(
      without.map(({ id }) => id),
      [],
    );
  });
});

test('the search finds what a plain search finds', () => {
  const needles = ['abcab', 'Killed', 'bcabc!', 'aaaaaaa'];
  const search = searchFor(needles);
  let seed = 1;
  const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
  for (let round = 0; round < 300; round++) {
    const text =
      Array.from({ length: 200 }, () => 'aAbBcCkilled!'[random(13)]).join('') + 'kILLED'.slice(0, random(7));
    const bytes = Buffer.from(text);
    const plain = Math.min(
      ...needles.flatMap((one) => {
        const at = text.toLowerCase().indexOf(one.toLowerCase());
        return at === -1 ? [] : [at];
      }),
    );
    assert.equal(search.find(bytes, 0, bytes.length), Number.isFinite(plain) ? plain : -1, text);
  }
});

describe('a log of any length', () => {
  test('is counted, and its places are numbered, wherever pieces and chunks end', async () => {
    const before = quiet(40_000);
    const log = `${before}${traceback('KeyError: 1')}${quiet(40_000)}${traceback('ValueError: 2')}`;
    for (const piece of [977, 65_536, 10 * MiB]) {
      const { lines, bytes, places, tail } = await digest(log, 'x', piece);
      assert.equal(lines, linesIn(log));
      assert.equal(bytes, log.length);
      assert.deepEqual(
        places.map(({ firstLine, at }) => firstLine + at),
        [linesIn(before) + 1, lines - 3],
      );
      assert.ok(tail.text.length <= MiB && log.endsWith(tail.text));
      assert.equal(tail.firstLine, lines - linesIn(tail.text) + 1);
    }
  });

  test('that is nothing, one line, or ends without a line end', async () => {
    assert.deepEqual((({ lines, tail }) => [lines, tail.text])(await digest('')), [0, '']);
    assert.equal((await digest('one')).lines, 1);
    assert.equal((await digest('one\n')).lines, 1);
    assert.equal((await digest('one\ntwo')).lines, 2);
    assert.equal((await digest('\n\n\n')).lines, 3);
  });

  test('without a line end in 20 MiB keeps 1 MiB of it', async () => {
    const { lines, tail, places } = await digest(Buffer.alloc(20 * MiB, 'a'));
    assert.deepEqual([lines, tail.text.length, tail.firstLine, places.length], [1, MiB, 1, 0]);
  });

  for (const worst of [
    'Traceback (most recent call last):\n',
    'Killed\n',
    'Killed ',
    '\n',
    'python: error: ',
  ])
    test(`of nothing but ${JSON.stringify(worst)} stays bounded`, async () => {
      const log = Buffer.from(worst.repeat(Math.floor((8 * MiB) / worst.length)));
      const looked = { lines: 0 };
      const counting = { ...finder, matters: (line: string) => (looked.lines++, finder.matters(line)) };
      let at = 0;
      const found = await digestLog(
        'x',
        (into) => {
          const got = log.copy(into, 0, at, at + into.length);
          at += got;
          return Promise.resolve(got);
        },
        counting,
      );
      const kept = found.places.reduce((sum, { text }) => sum + text.length, 0);
      assert.ok(looked.lines <= 500 * 10, `${looked.lines} lines looked at`);
      assert.ok(
        found.places.length <= 80 && kept <= 80 * 49 * 1024,
        `${found.places.length} places of ${kept} bytes`,
      );
      assert.equal(found.lines, worst.endsWith('\n') ? log.length / worst.length : 1);
      explain([found], undefined);
    });
});

/** Nothing of it is a failure, but all of it holds the words of one. */
const noise = (lines: number): string =>
  Array.from({ length: lines }, (_, i) => `step ${i}: Killed by nobody, no Segmentation fault\n`).join('');
/** Handled, and said again and again. */
const handled = (lines: number): string =>
  'slurmstepd: error: Detected 1 oom_kill event in StepId=1.0.\n'.repeat(lines);

describe('a traceback in the middle of a noisy log', () => {
  for (const [name, around] of Object.entries({ noise, handled })) {
    test(`is found among ${name}, and what was passed over is said`, async () => {
      const log = around(70_000) + traceback('ValueError: the real one') + around(70_000);
      const found = await digest(log, 'x', MiB);
      const told = explain([found], undefined);
      const all = [...(told.cause ? [told.cause] : []), ...told.before];
      const real = all.find(({ cause }) => cause.includes('the real one'));
      assert.deepEqual(real?.evidence[0], { text: 'ValueError: the real one', file: 'x', line: 70_004 });
      assert.ok(found.passedOver > 0);
    });
  }

  test('where nothing is found, it is said that not all was read', async () => {
    const words = async (log: string): Promise<string> =>
      describeExplanation(explain([await digest(log, 'x', MiB)], undefined));
    assert.match(await words(noise(70_000)), /^no known failure found, but not everything/);
    assert.match(await words(quiet(70_000)), /^no known failure found; it ends with\n/);
  });
});

describe('what a log tells', () => {
  const explained = async (log: string, exit?: Exit) => explain([await digest(log)], exit);

  test('the last failure is the cause, and where it began is told with its line', async () => {
    const [a, b] = [quiet(30_000), quiet(30_000)];
    const log = a + traceback('RuntimeError: first') + b + traceback('ValueError: second', 90);
    const { cause, before, exit } = await explained(log);
    assert.equal(exit.by, 'assumed');
    assert.equal(cause?.kind, 'exception');
    assert.deepEqual(cause.evidence[0], {
      text: 'ValueError: second',
      file: 'train.log',
      line: linesIn(log),
    });
    assert.deepEqual(
      before.map(({ evidence }) => evidence[0]),
      [{ text: 'RuntimeError: first', file: 'train.log', line: linesIn(a) + 4 }],
    );
  });

  test('a failure that comes again and again is told once, with how often', async () => {
    const again = (quiet(500) + traceback('OSError: [Errno 5] Input/output error')).repeat(4);
    const { cause, before } = await explained(again + quiet(500) + traceback('ValueError: x'));
    assert.match(cause?.cause ?? '', /ValueError/);
    assert.deepEqual(
      before.map(({ kind, times }) => [kind, times]),
      [['storage', 4]],
    );
    assert.equal(before[0]?.last?.line, 4 * 504);
  });

  test('nothing but healthy lines is no failure, though a status says that there was one', async () => {
    const healthy = await explained(quiet(3000));
    assert.deepEqual([healthy.cause, healthy.before], [null, []]);
    const told = await explained(quiet(3000), { type: 'code', code: 3 });
    assert.equal(told.cause?.kind, 'unknown');
    assert.match(told.cause.cause, /exit status 3/);
  });

  test('a program that ended well had no failure, whatever it logged', async () => {
    const { cause, before } = await explained(traceback('KeyError: 1') + quiet(500), {
      type: 'code',
      code: 0,
    });
    assert.equal(cause, null);
    assert.equal(before.length, 1);
  });

  test('a failure long before the end is told as a guess', async () => {
    const { cause, linesAfter } = await explained(quiet(10) + traceback('ValueError: x') + quiet(4000));
    assert.equal(linesAfter, 4000);
    assert.ok((cause?.confidence ?? 1) < 0.75);
  });

  test('a handled error that healthy lines follow is no certain failure, unless the program is known to have failed', async () => {
    const log = quiet(10) + traceback('ValueError: x') + quiet(30);
    const unknown = await explained(log);
    assert.equal(unknown.linesAfter, 30);
    assert.ok((unknown.cause?.confidence ?? 1) < 0.75);
    const known = await explained(log, { type: 'code', code: 1 });
    assert.deepEqual([known.linesAfter, known.cause?.confidence], [null, 0.95]);
  });

  test('a labelled traceback is read to its end, not to that of another task', async () => {
    const labelled = `1: ${traceback('ValueError: of task 1').trimEnd().replaceAll('\n', '\n0: DataError: of task 0\n1: ')}\n`;
    const { cause } = await explained(quiet(5000) + labelled + quiet(5000).replaceAll(/^/gm, '0: '));
    assert.match(cause?.cause ?? '', /: ValueError: of task 1 \(train\.py line 88, in step\)$/);
    assert.deepEqual(cause?.evidence[0]?.line, 5007);
  });

  test('a header that alone is labelled, by a logger, and one that a progress bar took the label of', async () => {
    const rest = traceback('ValueError: x').split('\n').slice(1, -1);
    const [head = ''] = traceback('').split('\n');
    for (const log of [
      [`ERROR: ${head}`, ...rest],
      [`1: 50%\r60%${head}`, ...rest.map((line) => `1: ${line}`)],
    ]) {
      for (const after of [0, 5000]) {
        const { cause } = await explained(`${quiet(5)}${log.join('\n')}\n${quiet(after)}`);
        assert.match(cause?.cause ?? 'none', /: ValueError: x \(train\.py line 88, in step\)$/, log[0]);
      }
    }
  });

  test('of a last line without end only a little is quoted', async () => {
    const found = await explained('a'.repeat(100_000));
    assert.equal(found.logs[0]?.ending.join('').length, 300);
  });

  test('numbers before a colon are no labels where no traceback has them', async () => {
    const { cause } = await explained(`${quiet(5)}Traceback (most recent call last):
  File "/home/me/train.py", line 3, in step
    table = {
    1: "a",
12: loss 0.5
KeyError: 7
`);
    assert.match(cause?.cause ?? '', /: KeyError: 7 \(train\.py line 3, in step\)$/);
  });

  test('what a shell says of the end counts as the exit status', async () => {
    const { cause, exit } = await explained(
      `${quiet(5)}job.sh: line 3: 12345 Killed                  python train.py\n`,
    );
    assert.deepEqual(exit, { exit: signalExit('9'), by: 'said' });
    assert.equal(cause?.kind, 'killed');
  });

  test('secrets are hidden', async () => {
    const log = traceback('ValueError: 401 for https://me:hunter2@hub/x');
    assert.doesNotMatch(JSON.stringify(await explained(log)), /hunter2/);
  });
});

test('how a log says that it ended', () => {
  const cases: readonly (readonly [string, string | number | undefined])[] = [
    ['Killed', 'SIGKILL'],
    ['train.sh: line 2:  4711 Segmentation fault      (core dumped) python t.py', 'SIGSEGV'],
    ['srun: error: node7: task 0: Exited with exit code 2', 2],
    ['srun: error: node7: task 3: Killed', 'SIGKILL'],
    ['  exitcode  : -9 (pid: 4242)', 'SIGKILL'],
    ['process exited with code 3', 3],
    ['sh: 1: pyhton: not found', 127],
    ['train.sh: line 7: ./run: Permission denied', 126],
    ["python: op.c:2: run: Assertion `width > 0' failed.", 'SIGABRT'],
    ['free(): invalid pointer', 'SIGABRT'],
    ['checkpoint not found', undefined],
    ['Killed 3 stale workers', undefined],
    ['all 4 processes exited with code 0', undefined],
    ['no Segmentation fault at all', undefined],
    ['Fatal Python error: Segmentation fault', 'SIGSEGV'],
  ];
  for (const [line, expected] of cases) {
    const exit = saidExit(['step 1', line]);
    assert.equal(
      exit && (exit.type === 'code' ? exit.code : exit.type === 'signal' && exit.signal),
      expected,
      line,
    );
  }
});

interface Sample {
  readonly id: string;
  readonly exit: Exit;
}

test('every sample of fixtures/logs is told as the supervisor would tell it', async () => {
  const dir = path.join(root, 'fixtures/logs');
  const samples = JSON.parse(readFileSync(path.join(dir, 'samples.json'), 'utf8')) as readonly Sample[];
  let told = 0;
  for (const { id, exit } of samples) {
    const logs: LogDigest[] = [];
    for (const file of readdirSync(dir).filter((one) => one.startsWith(`${id}.`)))
      logs.push(await digest(readFileSync(path.join(dir, file)), file));
    const expected = classify({ exit, tails: logs.map(({ tail }) => tail), host: {} });
    if (expected.kind === 'success' || expected.kind === 'unknown') continue;
    told++;
    const { cause } = explain(logs, exit);
    assert.deepEqual([cause?.kind, cause?.cause], [expected.kind, expected.reason], id);
  }
  assert.ok(told > 20, `${told} samples`);
});
