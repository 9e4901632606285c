import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { type Puppet, PuppetStage } from '../support/puppet.js';
import type { Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { guard } from './kit.js';

/** What is wrong with the server when the supervisor of a living training has died. */
interface Trouble {
  readonly what: string;
  readonly flags: () => Promise<readonly string[]>;
  readonly happens: (t: TestEnd, serveDir: string) => void | Promise<void>;
  readonly told: RegExp;
  /** Workers can report all the same. */
  readonly serves: boolean;
}

const troubles: readonly Trouble[] = [
  {
    what: 'what it knows of workers is damaged',
    flags: () => Promise.resolve(['--serve']),
    happens: (_, serveDir) => writeFileSync(path.join(serveDir, 'state.json'), '{"schemaVersion":1'),
    told: /"type":"notice".*kept as journal\.jsonl\.damaged-1, state\.json\.damaged-1/,
    serves: true,
  },
  {
    what: 'its port was named, and another has it',
    flags: async () => ['--serve', String(await freePort())],
    happens: (t, serveDir) => listen(t, portIn(serveDir)),
    told: /"type":"notice".*is taken by another program, so another is used/,
    serves: true,
  },
  {
    what: 'it cannot start at all',
    flags: () => Promise.resolve(['--serve']),
    happens: (_, serveDir) => chmodSync(path.join(serveDir, 'token'), 0o644),
    told: /"type":"notice".*workers cannot report: .*can be read by others.*the training is supervised/,
    serves: false,
  },
];

describe('whatever is wrong with its server, a living training is taken over', { concurrency: 2 }, () => {
  for (const { what, flags, happens, told, serves } of troubles) {
    test(what, async (t) => {
      const stage = await PuppetStage.create(t);
      const cwd = tempDir(t);
      const serveFlags = await flags();
      const supervise = (): Running =>
        guard(t, stage.command, { cwd, flags: ['--name', 'play', ...serveFlags] });
      const first = supervise();
      const worker = await stage.next(60_000);
      await first.untilStdout(/"type":"launched"/);
      first.kill('SIGKILL');
      await first.done;
      const serveDir = path.join(cwd, '.trainguard/runs/play/serve');
      await happens(t, serveDir);

      const heir = supervise();
      await heir.untilStdout(told);
      await heir.untilStdout(/"type":"adopted"/);
      if (serves) assert.equal((await register(worker, serveDir)).status, 201);
      assert.equal(existsSync(path.join(serveDir, 'journal.jsonl')), true, readdirSync(serveDir).join());
      await worker.exit(0);
      const ended = await heir.done;
      assert.equal(ended.code, 0, ended.stderr);
    });
  }
});

/** As clients do that lost their server: they look for it beside the token. */
async function register(worker: Puppet, serveDir: string): Promise<Response> {
  const { TRAINGUARD_URL: told = '', TRAINGUARD_TOKEN_FILE: tokenFile = '' } = worker.hello.env;
  const attempt = /\/attempts\/\d+$/.exec(told)?.[0] ?? '';
  return fetch(`http://127.0.0.1:${portIn(serveDir)}${attempt}/v1/workers/w0`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    body: '{}',
  });
}

const portIn = (serveDir: string): number =>
  (JSON.parse(readFileSync(path.join(serveDir, 'server.json'), 'utf8')) as { port: number }).port;

async function listen(t: TestEnd, port: number): Promise<void> {
  const server = net.createServer().listen(port, '127.0.0.1');
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
  atEnd(t, () => void server.close());
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
