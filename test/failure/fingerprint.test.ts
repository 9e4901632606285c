import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import { normalised } from '../../src/failure/fingerprint.js';
import type { Exit, Failure } from '../../src/failure/types.js';

let scratch = '';
before(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'fingerprints-'));
});
after(() => {
  rmSync(scratch, { recursive: true });
});

/** Runs a script under a folder of its own, and judges what real Python says of it. */
function failureOf(folder: string, script: string, environment: Record<string, string> = {}): Failure {
  const cwd = path.join(scratch, folder);
  mkdirSync(cwd, { recursive: true });
  const file = path.join(cwd, 'train.py');
  writeFileSync(file, script);
  const { stderr, status, signal } = spawnSync('python3', ['-S', file], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  const exit: Exit = signal ? { type: 'signal', signal, number: 0 } : { type: 'code', code: status ?? -1 };
  return classify({ exit, tails: [{ source: 'worker-0.err.log', text: stderr }], host: {} });
}

/** What each raises differs from run to run. */
const sameBugs: Readonly<Record<string, string>> = {
  'an address and a process id': `
import os
raise RuntimeError(f"{object()!r} of process {os.getpid()}")`,
  'a temporary folder': `
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    open(os.path.join(folder, "weights.bin"))`,
  'a temporary file’s own name': `
import tempfile
with tempfile.NamedTemporaryFile() as file:
    raise OSError(5, "bad block", file.name)`,
  'the folder it runs in': `
import os
open(os.path.abspath("weights.bin"))`,
  'a port': `
import socket
taken = socket.create_server(("127.0.0.1", 0))
raise RuntimeError(f"cannot bind tcp://127.0.0.1:{taken.getsockname()[1]} or localhost:{taken.getsockname()[1]}")`,
  'an id and a digest': `
import hashlib, os, uuid
raise ValueError(f"run {uuid.uuid4()} of commit {hashlib.sha1(os.urandom(8)).hexdigest()} is gone")`,
  'the time': `
import os, time
now = time.gmtime(int(os.environ["WHEN"]))
raise TimeoutError(f"since {time.asctime(now)}, that is {time.strftime('%Y-%m-%dT%H:%M:%SZ', now)} or {time.time()}")`,
  'a rank, a GPU and a host': `
import os
who = os.environ["WHO"]
raise RuntimeError(f"rank {who} on cuda:{who}: host=node{who}.cluster.local lost [10.0.0.{who}]:2950{who}")`,
  'a place in native code': `
import ctypes, faulthandler
faulthandler.enable()
def step():
    ctypes.string_at(0)
step()`,
};

describe('one bug in two runs and two folders', () => {
  for (const [name, script] of Object.entries(sameBugs)) {
    test(name, () => {
      const one = failureOf('first/run-1', script, { WHEN: '1000000000', WHO: '0' });
      const other = failureOf('second-place/of/run-22', script, { WHEN: '1718900000', WHO: '7' });
      assert.ok(one.fingerprint);
      assert.equal(other.fingerprint, one.fingerprint, `${one.reason}\n${other.reason}`);
    });
  }
});

const bug = `
def load(name):
    raise ValueError("no such column: label")
def step():
    load("train")
step()`;

/** What makes it another bug. */
const otherBugs: Readonly<Record<string, (script: string) => string>> = {
  'another line': (script) => script.replace('def load', '\ndef load'),
  'another message': (script) => script.replace('label', 'weight'),
  'another type': (script) => script.replace('ValueError', 'LookupError'),
  'another function': (script) => script.replaceAll('load(', 'read('),
};

describe('other bugs', () => {
  let one: string | undefined;
  before(() => {
    one = failureOf('other', bug).fingerprint;
    assert.equal(failureOf('other', bug).fingerprint, one);
  });

  for (const [name, change] of Object.entries(otherBugs)) {
    test(name, () => {
      assert.notEqual(failureOf('other', change(bug)).fingerprint, one);
    });
  }

  test('another missing file', () => {
    const missing = (name: string) => failureOf('other', `open("/nowhere/at/all/${name}")`).fingerprint;
    assert.notEqual(missing('vocabulary.json'), missing('config.json'));
  });

  test('another place in native code', () => {
    const script = sameBugs['a place in native code'] ?? '';
    assert.equal(failureOf('other', script).fingerprint, 'signal:SIGSEGV@train.py:5:step');
    assert.equal(
      failureOf('other', script.replace('def', '\ndef')).fingerprint,
      'signal:SIGSEGV@train.py:6:step',
    );
  });
});

test('two ranks of one run fail alike', () => {
  const plain =
    'Traceback (most recent call last):\n  File "/a/train.py", line 3, in step\n    x()\nKeyError: 3';
  const ranks = [0, 13].map((rank) => plain.replace(/^/gm, `[rank${rank}]: `));
  const prints = [plain, ...ranks].map(
    (text) =>
      classify({ exit: { type: 'code', code: 1 }, tails: [{ source: 'err', text }], host: {} }).fingerprint,
  );
  assert.equal(new Set(prints).size, 1);
});

describe('a message without what differs', () => {
  const cases: readonly [one: string, other: string][] = [
    ["'/tmp/tmpk3j2_x9z/a.pt'", "'/scratch/you/a.pt'"],
    ['in ./out/run-1/step.pt', 'in ../other/run-20/step.pt'],
    ['blob deadbe3f01', 'blob 0a1b2c3d4e'],
    ['https://hub.example/a?sig=1f', 'http://127.0.0.1:9/b'],
    ['took 3.25e-4 s at 10:11:12,131', 'took 12 s at 00:00:00,000'],
    ['Sun Nov 22 08:42:02 2026', 'Mon Jan  1 00:00:00 2029'],
    ['[fe80::1%eth0]:29500', '[10.2.3.4]:1234'],
    ['torch_29495_1642253267_0', 'torch_1_2_3'],
  ];
  for (const [one, other] of cases) {
    test(`${one} is ${other}`, () => {
      assert.equal(normalised(`lost ${one} here`), normalised(`lost ${other} here`));
    });
  }

  test('keeps its words', () => {
    assert.equal(normalised('facade of decade: bad feed'), 'facade of decade: bad feed');
    assert.notEqual(normalised('expected Half, found Float'), normalised('expected Float, found Half'));
  });
});
