import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { asFiles, one, other } from '../serve/certificates.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { pythonPath } from '../support/python.js';
import { root } from '../support/root.js';
import type { Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { guard } from './kit.js';

/** What the configuration asks for and the workers are to find by themselves. */
const worker = `
import os
from trainguard_client import RecoveryManager
manager = RecoveryManager(heartbeat_interval=1)
manager.start_monitoring()
manager.register_worker("w0")
assert manager.heartbeat("w0", {"current_batch": 1})
manager.unregister_worker("w0")
print("heard at", os.environ["TRAINGUARD_URL"], "trusting", os.path.basename(os.environ["TRAINGUARD_CA"]))
`;

const withServe = async (
  t: TestEnd,
  table: (dir: string) => object,
  env: (dir: string) => Record<string, string> = () => ({}),
): Promise<Ended> => {
  const cwd = tempDir(t);
  writeFileSync(path.join(cwd, 'recovery.config.json'), JSON.stringify({ serve: table(cwd) }));
  const flags = ['--name', 'play', '--max-retries', '0'];
  const more = { PYTHONPATH: path.join(root, 'src', 'client'), ...env(cwd) };
  return guard(t, [pythonPath(), '-c', worker], { cwd, flags, env: more, json: false }).done;
};

/** Names beside the configuration's file. */
const tlsTable = (dir: string): object => {
  asFiles(dir, 'one', one);
  return { tlsCert: 'one-cert.pem', tlsKey: 'one-key.pem' };
};

test('workers trust the certificate that vouches for itself', async (t) => {
  const ended = await withServe(t, tlsTable);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stdout, /heard at https:\/\/127\.0\.0\.1:\d+\/attempts\/\d+ trusting one-cert\.pem/);
});

test('whom the user trusts goes before it', async (t) => {
  const bundle = (dir: string): Record<string, string> => {
    const file = path.join(dir, 'bundle.pem');
    writeFileSync(file, other.cert + one.cert);
    return { TRAINGUARD_CA: file };
  };
  const ended = await withServe(t, tlsTable, bundle);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stdout, /trusting bundle\.pem/);
});

test('what is wrong is told in names that the configuration knows', async (t) => {
  const usurper = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => usurper.once('listening', resolve));
  atEnd(t, () => void usurper.close());
  const { port } = usurper.address() as AddressInfo;
  const taken = await withServe(t, () => ({ port }));
  assert.equal(taken.code, 75, taken.stderr);
  assert.match(taken.stderr, /choose another serve\.port or --serve PORT/);
  const bare = await withServe(t, () => ({ host: '0.0.0.0' }));
  assert.equal(bare.code, 78, bare.stderr);
  assert.match(bare.stderr, /give serve\.tlsCert and serve\.tlsKey, or serve\.insecure/);
});
