import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { loadTls, vouchesForItself, warnOfExpiry } from '../../src/serve/tls.js';
import * as certificates from './certificates.js';

const dir = mkdtempSync(path.join(os.tmpdir(), 'trainguard-test-'));
after(() => rmSync(dir, { recursive: true }));
const one = certificates.asFiles(dir, 'one', certificates.one);
const other = certificates.asFiles(dir, 'other', certificates.other);
const file = (name: string, text: string): string => {
  writeFileSync(path.join(dir, name), text);
  return path.join(dir, name);
};

test('a certificate and its key', async () => {
  const loaded = await loadTls(one.certFile, one.keyFile, Date.now());
  assert.deepEqual(loaded, { ok: true, value: { cert: one.cert, key: one.key } });
});

const encrypted = `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${'A'.repeat(64)}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
const mistakes: readonly [string, () => readonly [string, string], RegExp][] = [
  [
    'no such certificate',
    () => [path.join(dir, 'none'), one.keyFile],
    /^--tls-cert .*none cannot be read: ENOENT/,
  ],
  ['no such key', () => [one.certFile, path.join(dir, 'none')], /^--tls-key .*none cannot be read: ENOENT/],
  ['a folder', () => [dir, one.keyFile], /^--tls-cert .* cannot be read: EISDIR/],
  ['an empty certificate', () => [file('empty', ''), one.keyFile], /empty holds no certificate/],
  ['the two changed for each other', () => [one.keyFile, one.certFile], /--tls-cert .* holds no certificate/],
  [
    'a torn certificate',
    () => [file('torn', one.cert.slice(0, 200)), one.keyFile],
    /torn holds no certificate/,
  ],
  ['a certificate for a key', () => [one.certFile, one.certFile], /--tls-key .* holds no private key/],
  [
    'a key with a passphrase',
    () => [one.certFile, file('secret', encrypted)],
    /secret has a passphrase; give/,
  ],
  [
    'the key of another',
    () => [one.certFile, other.keyFile],
    /other.* is not the key of the certificate .*one/,
  ],
];
for (const [what, files, message] of mistakes) {
  test(`told in one sentence: ${what}`, async () => {
    const loaded = await loadTls(...files(), Date.now());
    assert.ok(!loaded.ok);
    assert.match(loaded.error.message, message);
    assert.ok(!loaded.error.message.includes('\n'), loaded.error.message);
    assert.equal(loaded.error.exit, 78);
  });
}

test('a certificate that expired', async () => {
  const inTwoCenturies = Date.now() + 200 * 365 * 24 * 3600 * 1000;
  const loaded = await loadTls(one.certFile, one.keyFile, inTwoCenturies);
  assert.match(loaded.ok ? '' : loaded.error.message, /expired on .*; give a valid one/);
});

test('a certificate that ends soon is told of', () => {
  const end = Date.parse(new X509Certificate(one.cert).validTo);
  const days = (n: number): number => n * 86_400_000;
  assert.equal(warnOfExpiry('c.pem', one.cert, end - days(31)), undefined);
  assert.match(
    warnOfExpiry('c.pem', one.cert, end - days(5)) ?? '',
    /^--tls-cert c.pem expires on .*, in 5 days: /,
  );
  assert.match(warnOfExpiry('c.pem', one.cert, end + days(1)) ?? '', /^--tls-cert c.pem expired on /);
});

test('whether a certificate vouches for itself', () => {
  assert.equal(vouchesForItself(one.cert), true);
  assert.equal(vouchesForItself(certificates.issued), false);
  assert.equal(vouchesForItself(certificates.issued + one.cert), true, 'its issuer stands behind it');
});
