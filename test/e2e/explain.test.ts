import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { root } from '../support/root.js';
import { runCli, type Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import type { TestEnd } from '../support/cleanup.js';

const explain = (t: TestEnd, cwd: string, args: readonly string[], input?: string): Promise<Ended> =>
  runCli(t, ['explain', ...args], { cwd, ...(input !== undefined && { input }) }).done;

const traceback = 'Traceback (most recent call last):\n  File "t.py", line 3, in f\n    g()\nKeyError: 7\n';

interface Told {
  readonly found: boolean;
  readonly exit: { readonly by: string };
  readonly cause: {
    readonly kind: string;
    readonly evidence: readonly { readonly text: string; readonly file: string; readonly line: number }[];
  } | null;
}
const toldBy = ({ stdout }: Ended): Told => JSON.parse(stdout) as Told;

describe('explain', { concurrency: 2 }, () => {
  test('says in words what a log shows, and where', async (t) => {
    const cwd = tempDir(t);
    writeFileSync(path.join(cwd, 'slurm-1.out'), `step 1\n${traceback}`);
    const { code, stdout, stderr } = await explain(t, cwd, ['slurm-1.out']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^exception, nearly certain \(95 %\)\n {2}.*KeyError: 7/);
    assert.match(stdout, /^ {2}slurm-1\.out:5 {2}KeyError: 7$/m);
    assert.match(stdout, /how it ended is not in the log/);
  });

  test('reads stdin, and several logs as those of one program', async (t) => {
    const cwd = tempDir(t);
    const piped = toldBy(await explain(t, cwd, ['-', '--json'], traceback));
    assert.deepEqual(piped.cause?.evidence[0], { text: 'KeyError: 7', file: 'stdin', line: 4 });
    writeFileSync(path.join(cwd, 'a.out'), 'step 1\nstep 2\n');
    writeFileSync(path.join(cwd, 'a.err'), traceback);
    const both = toldBy(await explain(t, cwd, ['a.out', 'a.err', '--json', '--exit-code', '1']));
    assert.deepEqual([both.found, both.exit.by, both.cause?.kind], [true, 'given', 'exception']);
    assert.equal(both.cause?.evidence[0]?.file, 'a.err');
  });

  test('takes how it ended as it is told', async (t) => {
    const cwd = tempDir(t);
    writeFileSync(path.join(cwd, 'log'), 'step 1\nstep 2\n');
    const kindAfter = async (...args: readonly string[]): Promise<string | undefined> =>
      toldBy(await explain(t, cwd, ['log', '--json', ...args])).cause?.kind;
    assert.equal(await kindAfter(), undefined);
    assert.equal(await kindAfter('--exit-code', '137'), 'killed');
    assert.equal(await kindAfter('--signal', 'kill'), 'killed');
    assert.equal(await kindAfter('--exit-code', '0'), undefined);
  });

  test('where nothing is known: exit 0, and how the log ends', async (t) => {
    const cwd = tempDir(t);
    for (const [text, words] of [
      ['', /^the log is empty\n/],
      ['step 1 loss 0.3\n', /^no known failure found; it ends with\n {2}step 1 loss 0\.3\n/],
      ['step 1 loss 0.3\nstep 2 loss nan\nstep 3 loss nan\n', /^numeric, /],
      ['step 1 loss nan\nstep 2 loss nan\nstep 3 loss 0.3\n', /^no known failure found/],
    ] as const) {
      writeFileSync(path.join(cwd, 'log'), text);
      const { code, stdout } = await explain(t, cwd, ['log']);
      assert.equal(code, 0);
      assert.match(stdout, words);
    }
  });

  const bad: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ['a log that is not there', ['nowhere.log'], 1, /there is no log nowhere\.log; check its name/],
    ['a folder', ['folder'], 1, /folder is a folder; name the log in it/],
    ['a binary file', ['binary'], 1, /binary is no log: it is binary/],
    ['what is neither text nor has zeros', ['random'], 1, /random is no log: it is binary/],
    ['a device without end', ['/dev/zero'], 1, /\/dev\/zero is no log: it is binary/],
    ['a packed log', ['packed.gz'], 1, /packed\.gz is packed by gzip; unpack it first/],
    ['no log', [], 64, /missing required argument 'log'/],
    ['one twice', ['log', 'log'], 64, /named twice/],
    ['an unknown signal', ['log', '--signal', 'SIGNONE'], 64, /there is no such signal/],
    ['an exit status out of range', ['log', '--exit-code', '256'], 64, /from 0 to 255/],
    ['no number', ['log', '--exit-code', 'one'], 64, /whole number/],
    ['two ends', ['log', '--exit-code', '1', '--signal', '9'], 64, /not by both/],
  ];
  for (const [what, args, status, said] of bad) {
    test(`refuses ${what} in one sentence`, async (t) => {
      const cwd = tempDir(t);
      writeFileSync(path.join(cwd, 'log'), '');
      mkdirSync(path.join(cwd, 'folder'));
      writeFileSync(path.join(cwd, 'binary'), Buffer.from([127, 69, 76, 70, 0, 0, 0, 0, 1, 0, 0, 0]));
      writeFileSync(path.join(cwd, 'random'), Buffer.from('0199f37ec2841ba5e6d7'.repeat(100), 'hex'));
      writeFileSync(path.join(cwd, 'packed.gz'), gzipSync('step 1'));
      const { code, stdout, stderr } = await explain(t, cwd, args);
      assert.equal(code, status, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, said);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    });
  }

  test("reads a run's own log whose start was released, and moves no cursor", async (t) => {
    const cwd = tempDir(t);
    const hole = Buffer.alloc(3 * 1024 * 1024);
    writeFileSync(
      path.join(cwd, 'log'),
      Buffer.concat([hole, Buffer.from(`\n\x1b[31mx\n${traceback.replace('7', '\x1b[2J')}`)]),
    );
    const { code, stdout } = await explain(t, cwd, ['log']);
    assert.equal(code, 0);
    assert.match(stdout, /KeyError/);
    assert.doesNotMatch(stdout, /\x1b/);
  });

  test('is in the help', async (t) => {
    const { stdout } = await runCli(t, ['--help'], { cwd: root }).done;
    assert.match(stdout, /explain .*log/);
    assert.match(stdout, /report .*run/);
  });
});
