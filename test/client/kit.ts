import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before } from 'node:test';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { pythonPath } from '../support/python.js';
import { root } from '../support/root.js';
import { type Ended, runCli, runProgram, type Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';

/** The file that `trainguard client python` prints. */
export const clientFile = path.join(root, 'src/client/trainguard_client.py');

export interface Serving {
  readonly url: string;
  readonly token: string;
  readonly dir: string;
  readonly process: Running;
  /** SIGKILL, and it is gone. */
  kill(): Promise<void>;
  /** Started again on the same port and state. */
  again(): Promise<Serving>;
}

/** A real `trainguard serve`. */
export async function serving(
  t: TestEnd,
  args: readonly string[] = [],
  dir = tempDir(t),
  port = 0,
): Promise<Serving> {
  const process = runCli(t, ['serve', '--state-dir', dir, '--port', String(port), ...args], {
    cwd: dir,
    // a suite's server lives as long as the suite
    timeoutMs: 600_000,
  });
  const [, url = ''] = await process.untilStderr(/serving at (https?:\/\/[\w.:]+)/, 60_000);
  return {
    url,
    token: readFileSync(path.join(dir, 'serve/token'), 'utf8').trim(),
    dir,
    process,
    async kill() {
      process.kill('SIGKILL');
      await process.done;
    },
    again: () => serving(t, args, dir, Number(new URL(url).port)),
  };
}

/** One for all tests of a suite. @returns which, once they run */
export function servingSuite(): () => Serving {
  const ends: (() => Promise<void>)[] = [];
  let server: Serving | undefined;
  before(async () => {
    server = await serving({ after: (end) => void ends.push(end) });
  });
  after(async () => {
    for (const end of ends) await end();
  });
  return () => {
    if (!server) throw new Error('the server is not started yet');
    return server;
  };
}

export interface Meddled {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** The same server behind a proxy that answers by itself, or cuts the line, where `answer` says so. */
export async function behind(
  t: TestEnd,
  server: Serving,
  answer: (asked: IncomingMessage) => Meddled | 'cut' | undefined,
): Promise<Serving> {
  const proxy = createServer((asked, answered) => {
    const own = answer(asked);
    if (own === 'cut') {
      asked.socket.destroy();
      return;
    }
    if (own) {
      asked.resume().on('end', () => answered.writeHead(own.status, own.headers).end(own.body));
      return;
    }
    const { method, headers } = asked;
    const onward = request(server.url + asked.url!, {
      method,
      headers: { ...headers, host: new URL(server.url).host },
    });
    onward.on('response', (real) => real.pipe(answered.writeHead(real.statusCode!, real.headers)));
    onward.on('error', () => answered.destroy());
    asked.pipe(onward);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => proxy.once('listening', resolve));
  atEnd(t, () => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { ...server, url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
}

/** A worker: Python, with all warnings errors, that knows where the server is. */
export function python(t: TestEnd, server: Serving, text: string, cwd = tempDir(t)): Running {
  return runProgram(t, [pythonPath(), '-W', 'error', '-c', `${prelude}\n${text}`], {
    cwd,
    timeoutMs: 180_000,
    env: {
      TRAINGUARD_URL: server.url,
      TRAINGUARD_TOKEN: server.token,
      PYTHONPATH: path.dirname(clientFile),
      PYTHONDONTWRITEBYTECODE: '1',
    },
  });
}

/** What every worker here needs: `until` waits for a fact. */
const prelude = `
import os, sys, threading, time
from trainguard_client import *
sys.stdout.reconfigure(line_buffering=True)  # a line at once and whole, also if it is killed
def until(fact, what, seconds=60):
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end: raise SystemExit("in vain: " + what)
        time.sleep(0.01)
`;

/** Waits for its end; throws with all it said unless that was a good one. */
export async function well(running: Running): Promise<Ended> {
  const ended = await running.done;
  if (ended.code !== 0)
    throw new Error(`exit ${ended.code ?? ended.signal}\n${ended.stdout}\n${ended.stderr}`);
  return ended;
}
