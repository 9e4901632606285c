import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { flagNames, type OptionNames, tableNames } from '../../src/serve/option-names.js';
import { openService, type ServiceOptions } from '../../src/serve/service.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { tempDir } from '../support/temp-dir.js';
import { asFiles, one, other } from './certificates.js';

async function takenPort(t: TestEnd): Promise<number> {
  const usurper = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => usurper.once('listening', resolve));
  atEnd(t, () => void usurper.close());
  return (usurper.address() as AddressInfo).port;
}

function folder(dir: string): string {
  const name = path.join(dir, 'folder');
  mkdirSync(name);
  return name;
}

type Wrong = (t: TestEnd, dir: string) => Partial<ServiceOptions> | Promise<Partial<ServiceOptions>>;
const wrong: readonly [string, Wrong, readonly (keyof OptionNames)[]][] = [
  ['a port that is taken', async (t) => ({ port: await takenPort(t) }), ['port']],
  ['a host without TLS', () => ({ host: '0.0.0.0' }), ['host', 'tlsCert', 'tlsKey', 'insecure']],
  ['a host that is none of ours', () => ({ host: '192.0.2.1', insecure: true }), ['host']],
  ['a host with a scheme', () => ({ host: 'http://here', insecure: true }), ['host']],
  ['another name with a scheme', () => ({ allowHosts: ['http://here'] }), ['allowHosts']],
  ['half of what TLS needs', () => ({ tlsCert: 'cert.pem' }), ['tlsCert', 'tlsKey']],
  [
    'no such certificate',
    (_t, dir) => ({ tlsCert: path.join(dir, 'none'), tlsKey: path.join(dir, 'none') }),
    ['tlsCert'],
  ],
  [
    'the key of another',
    (_t, dir) => ({
      tlsCert: asFiles(dir, 'one', one).certFile,
      tlsKey: asFiles(dir, 'other', other).keyFile,
    }),
    ['tlsKey'],
  ],
  ['a token file that is a folder', (_t, dir) => ({ tokenFile: folder(dir) }), ['tokenFile']],
  [
    'checkpoints in a file',
    (_t, dir) => ({ checkpointDir: path.join(asFiles(dir, 'a', one).keyFile, 'x') }),
    ['checkpointDir'],
  ],
];
for (const [what, options, named] of wrong) {
  test(`told in the names of who is asked: ${what}`, async (t) => {
    for (const names of [flagNames, tableNames]) {
      const dir = tempDir(t);
      const told: string[] = [];
      const notice = (text: string): void => void told.push(text);
      const opened = await openService({ port: 0, notice, names, ...(await options(t, dir)), dir });
      assert.ok(!opened.ok);
      told.push(opened.error.message);
      for (const name of named) assert.ok(told.join('\n').includes(names[name] ?? '?'), told.join('\n'));
      if (names === tableNames) assert.doesNotMatch(told.join('\n'), /--(?!serve PORT|state-dir)/);
    }
  });
}
