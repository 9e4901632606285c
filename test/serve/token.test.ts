import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { readOrMakeToken, sameToken } from '../../src/serve/token.js';
import { openWorkerJournal } from '../../src/serve/worker-journal.js';
import { files } from '../../src/util/os/durable.js';
import { everyFault } from '../support/faults.js';
import { tempDir } from '../support/temp-dir.js';

const wayOut = /: delete it, and a new one is made at the next start$/;

test('it is made once, random, 0600, and read after that', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'token');
  const made = await readOrMakeToken(file);
  assert.ok(made.ok);
  assert.match(made.value, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(readFileSync(file, 'utf8'), `${made.value}\n`);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(await readOrMakeToken(file), made);
  const other = await readOrMakeToken(path.join(dir, 'other'));
  assert.ok(other.ok && other.value !== made.value);
  assert.deepEqual(readdirSync(dir).toSorted(), ['other', 'token']);
});

test('the draft of one that was killed is swept when the state is opened', async (t) => {
  const dir = tempDir(t);
  const { link, unlink } = files;
  const killed = (): Promise<never> => Promise.reject(new Error('killed'));
  Object.assign(files, { link: killed, unlink: killed });
  try {
    await assert.rejects(readOrMakeToken(path.join(dir, 'token')), /killed/);
  } finally {
    Object.assign(files, { link, unlink });
  }
  assert.equal(readdirSync(dir).length, 1);
  const opened = await openWorkerJournal(dir);
  assert.ok(opened.ok);
  assert.deepEqual(readdirSync(dir), ['journal.jsonl']);
  await opened.value.close();
});

test('of many that start at once all have the same', async (t) => {
  const dir = tempDir(t);
  const all = await Promise.all(Array.from({ length: 20 }, () => readOrMakeToken(path.join(dir, 'token'))));
  assert.equal(new Set(all.map((one) => one.ok && one.value)).size, 1);
  assert.ok(all[0]?.ok);
  assert.deepEqual(readdirSync(dir), ['token']);
});

const refused: readonly [string, string, number, RegExp][] = [
  [
    'others can read it',
    'x'.repeat(43),
    0o644,
    /can be read by others \(mode 644\): make it yours alone with chmod 600/,
  ],
  ['its group can read it', 'x'.repeat(43), 0o640, /\(mode 640\)/],
  ['it is empty', '', 0o600, /is empty/],
  ['it is blank', ' \n', 0o600, /is empty/],
  ['it is short', 'secret', 0o600, /holds fewer than 32 characters/],
  ['it is no bearer token', 'a b'.repeat(20), 0o600, /holds no bearer token/],
  ['it is long', 'x'.repeat(5000), 0o600, /holds no bearer token/],
];
for (const [what, text, mode, message] of refused)
  test(`it is refused, and left as it is: ${what}`, async (t) => {
    const file = path.join(tempDir(t), 'token');
    writeFileSync(file, text);
    chmodSync(file, mode);
    const token = await readOrMakeToken(file);
    assert.ok(!token.ok);
    assert.equal(token.error.exit, 78);
    assert.match(token.error.message, message);
    if (mode === 0o600) assert.match(token.error.message, wayOut);
    assert.equal(readFileSync(file, 'utf8'), text);
  });

test('what is no file, and a folder that is not there, is said in one sentence', async (t) => {
  const dir = tempDir(t);
  mkdirSync(path.join(dir, 'token'));
  for (const [file, message] of [
    ['token', /token is no file: choose another --token-file$/],
    ['none/token', /^cannot use the token file .*ENOENT.*choose another --token-file$/],
  ] as const) {
    const token = await readOrMakeToken(path.join(dir, file));
    assert.ok(!token.ok);
    assert.equal(token.error.exit, 78);
    assert.match(token.error.message, message);
  }
});

test('whatever goes wrong while it is made, there is none or a good one', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'token');
  const cases = await everyFault(
    () => {
      for (const name of readdirSync(dir)) rmSync(path.join(dir, name));
      return Promise.resolve();
    },
    () => readOrMakeToken(file),
    async ({ crashed, value }) => {
      const names = readdirSync(dir).filter((name) => name === 'token');
      if (names.length > 0) assert.equal(readFileSync(file, 'utf8').length, 44);
      if (!crashed && value?.ok === true) assert.equal(readFileSync(file, 'utf8'), `${value.value}\n`);
      if (!crashed && value?.ok === false) assert.match(value.error.message, /^cannot use the token file/);
      assert.ok((await readOrMakeToken(file)).ok, 'the next start');
    },
  );
  assert.ok(cases >= 30, `only ${cases} cases`);
});

test('tokens are the same or not', () => {
  assert.ok(sameToken('abc', 'abc'));
  for (const given of ['', 'abd', 'ab', 'abcd', 'abc ', 'ABC']) assert.ok(!sameToken(given, 'abc'), given);
});
