import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { type Running, runCli } from '../support/run-cli.js';

/** A `trainguard serve` that answers. */
export interface Serving {
  readonly running: Running;
  readonly url: string;
  readonly port: number;
  readonly token: string;
  readonly tokenFile: string;
  /** Sends JSON with the token. */
  readonly call: (method: string, path: string, body?: unknown) => Promise<Called>;
}

export interface Called {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** `trainguard serve` with state in `cwd`; a port that is free unless one is given. */
export async function serve(t: TestEnd, cwd: string, ...flags: readonly string[]): Promise<Serving> {
  const port = flags.includes('--port') ? [] : ['--port', '0'];
  return served(runCli(t, ['serve', ...port, ...flags], { cwd }));
}

/** Waits until it answers. */
export async function served(running: Running): Promise<Serving> {
  const [, url = '', tokenFile = ''] = await running.untilStderr(/serving at (\S+) [^]*?token: (\S+)\n/);
  const token = readFileSync(tokenFile, 'utf8').trim();
  return {
    running,
    url,
    port: Number(new URL(url).port),
    token,
    tokenFile,
    call: async (method, path, body) => {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      return { status: answer.status, body: (text === '' ? {} : JSON.parse(text)) as Called['body'] };
    },
  };
}

/** It answers still, and knows as many workers. */
export async function isStillServing({ call }: Serving, workers: number): Promise<void> {
  const { status, body } = await call('GET', '/v1/health');
  assert.equal(status, 200);
  assert.equal(body['workers'], workers);
}

/** A request as it is, with any headers and any path. @returns its status, and what was wrong with it */
export function rawRequest(
  { port, token }: Serving,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number | undefined; readonly detail: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { port, path, agent: false, headers: { Authorization: `Bearer ${token}`, ...headers } },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        answer.on('end', () => {
          resolve({ status: answer.statusCode, detail: /"detail":"(.*)"/.exec(text)?.[1] ?? text });
        });
      },
    );
    request.on('error', reject).end();
  });
}

/** Connections that say nothing. @returns the sockets, all of which were taken */
export async function strangers(t: TestEnd, port: number, count: number): Promise<readonly net.Socket[]> {
  const sockets: net.Socket[] = [];
  atEnd(t, () => sockets.forEach((socket) => socket.destroy()));
  const open = async (): Promise<void> => {
    while (sockets.length < count) {
      const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
      sockets.push(socket.resume());
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    }
  };
  // few enough under way at a time for any machine's queue of connections
  await Promise.all(Array.from({ length: 100 }, open));
  return sockets;
}

/** Memory in use, bytes, as the kernel counts it; undefined where there is no /proc. */
export function residentBytes(pid: number): number | undefined {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  } catch {
    return undefined;
  }
}

/**
 * Sends a body of 1 GB until it is answered, or cut off.
 * @returns the status, or what went wrong, and how much was sent by then
 */
export function sendGigabyte(
  { port, token }: Serving,
  path: string,
  chunked: boolean,
): Promise<{ readonly status: number | string | undefined; readonly sent: number }> {
  const bytes = 1_000_000_000;
  const chunk = Buffer.alloc(256 * 1024, ' ');
  return new Promise((resolve) => {
    let sent = 0;
    const length = chunked ? {} : { 'Content-Length': String(bytes) };
    const request = http.request({
      port,
      path,
      method: 'POST',
      agent: false,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...length },
    });
    const end = (status: number | string | undefined): void => {
      request.destroy();
      resolve({ status, sent });
    };
    request.on('response', ({ statusCode }) => end(statusCode)).on('error', (error) => end(error.message));
    const more = (): void => {
      if (request.destroyed || sent >= bytes) return;
      sent += chunk.length;
      request.write(chunk, more);
    };
    more();
  });
}
