import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareName, isLoopback, isWildcard, urlOf, wrongName } from '../../src/serve/address.js';
import { type Caller, createGuard } from '../../src/serve/guard.js';

const token = 'secret-token';
const guard = createGuard({
  token,
  scheme: 'http',
  names: new Set(['localhost', '127.0.0.1', '::1', 'trainer.example']),
});
const worker: Caller = {
  host: 'localhost:8471',
  origin: undefined,
  authorization: `Bearer ${token}`,
  localAddress: '::ffff:10.1.2.3',
};

const passing: readonly [string, Partial<Caller>][] = [
  ['a worker on this machine', {}],
  ['any port: it may be forwarded', { host: 'localhost:9000' }],
  ['no port', { host: '127.0.0.1' }],
  ['IPv6', { host: '[::1]:8471' }],
  ['a name as it may be written', { host: 'Trainer.Example.:8471' }],
  ['the address that the connection came to', { host: '10.1.2.3:8471' }],
  ['the scheme in other letters', { authorization: `bearer  ${token}` }],
  ['a page of our own', { origin: 'http://localhost:8471' }],
];
for (const [what, caller] of passing) {
  test(`let pass: ${what}`, () => assert.equal(guard({ ...worker, ...caller }), undefined));
}

const refused: readonly [string, Partial<Caller>, number][] = [
  ['no token', { authorization: undefined }, 401],
  ['another token', { authorization: 'Bearer secret-tokeN' }, 401],
  ['the beginning of the token', { authorization: 'Bearer secret' }, 401],
  ['the token and more', { authorization: `Bearer ${token} ${token}` }, 401],
  ['the token as a password', { authorization: `Basic ${token}` }, 401],
  ['an empty token', { authorization: 'Bearer ' }, 401],
  ['another name', { host: 'evil.example:8471' }, 403],
  ['a name that begins as ours', { host: 'localhost.evil.example' }, 403],
  ['another address', { host: '10.1.2.4' }, 403],
  ['no Host', { host: undefined }, 403],
  ['an empty Host', { host: '' }, 403],
  ["another site's page", { origin: 'http://evil.example' }, 403],
  ['a page of our name at another port', { origin: 'http://localhost:80' }, 403],
  ['a page of our name by another scheme', { origin: 'https://localhost:8471' }, 403],
  ['a page of no site', { origin: 'null' }, 403],
];
for (const [what, caller, status] of refused) {
  test(`refused with ${status}: ${what}`, () => {
    const refusal = guard({ ...worker, ...caller });
    assert.equal(refusal?.status, status);
    assert.match(refusal.detail, /^[A-Z].*\.$/);
    assert.ok(!refusal.detail.includes(token));
  });
}

test('what to send is told as RFC 6750 has it', () => {
  const { headers: none } = guard({ ...worker, authorization: undefined }) ?? {};
  const { headers: wrong } = guard({ ...worker, authorization: 'Bearer x' }) ?? {};
  assert.equal(none?.['WWW-Authenticate'], 'Bearer realm="trainguard"');
  assert.match(wrong?.['WWW-Authenticate'] ?? '', /invalid_token/);
});

test('what can be reached from this machine alone', () => {
  for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]', 'LOCALHOST'])
    assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'node17', '128.0.0.1', 'localhost.example', '127.example'])
    assert.ok(!isLoopback(host), host);
  for (const host of ['0.0.0.0', '[::]', '::', '0', '0:0:0:0:0:0:0:0']) assert.ok(isWildcard(host), host);
  for (const host of ['127.0.0.1', '::1', 'node17']) assert.ok(!isWildcard(host), host);
});

test('names and URLs', () => {
  assert.equal(bareName('Node17.Example.:8471'), 'node17.example');
  assert.equal(bareName('[FE80::1]:8471'), 'fe80::1');
  assert.equal(bareName('fe80::1'), 'fe80::1');
  assert.equal(bareName('::ffff:10.0.0.1'), '10.0.0.1');
  assert.equal(bareName('[0:0:0:0:0:FFFF:0a00:1]:1'), '10.0.0.1');
  assert.equal(bareName('0:0:0:0:0:0:0:1'), '::1');
  assert.equal(bareName('fe80::1%eth0'), 'fe80::1');
  assert.equal(bareName('127.1'), '127.0.0.1');
  assert.equal(bareName('localhost:'), 'localhost');
  assert.equal(urlOf('https', '::1', 1), 'https://[::1]:1');
  assert.equal(urlOf('http', 'node17', 8471), 'http://node17:8471');
});

test('a name that is more, or less, than a name is not taken', () => {
  for (const name of ['localhost', '::1', '[::1]', '0.0.0.0', 'fe80::1%eth0', 'Proxy.Example.', 'a_b'])
    assert.equal(wrongName('--host', name), undefined, name);
  for (const name of ['localhost:99', '[::1]:99', 'https://a.example', 'a.example/', 'a b', 'u@a'])
    assert.match(wrongName('--allow-host', name) ?? '', /^--allow-host .* is not a name .* leave out/, name);
});
