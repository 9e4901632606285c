// A real `trainguard serve` and the simplest client of it: what the bench and the chaos of the server share.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { trainguard } from './lib.mjs';

/** Longer than any start on a machine at work, ms. */
const longestStartMs = 30_000;
/** Longer than any answer on a machine at work: who waits longer for one waits in vain, ms. */
const longestAnswerMs = 20_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Starts `trainguard serve`.
 * @param options `within`: what stands before `node`, e.g. `['taskset', '-c', '0']`; `nodeFlags`: what stands behind it
 * @returns at once: `pid`, what it `said`, `ended`, and `ready()`, which settles with its URL and token once it listens
 */
export function startServe(stateDir, args, { within = [], nodeFlags = [], cwd = stateDir } = {}) {
  const program = process.env.TRAINGUARD_BIN ?? trainguard;
  const [file, ...rest] = [...within, process.execPath, ...nodeFlags, program, 'serve'];
  const child = spawn(file, [...rest, '--state-dir', stateDir, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TRAINGUARD_'))),
  });
  const startedAt = performance.now();
  const server = { child, pid: child.pid, startedAt, said: '', status: undefined, ended: undefined, ready };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (server.said = (server.said + text).slice(-8000)));
  server.ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve((server.status = code ?? signal)));
  });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  server.ended.finally(() => process.off('exit', end)).catch(() => undefined);
  return server;

  async function ready() {
    const until = performance.now() + longestStartMs;
    for (;;) {
      const at = whereItListens(stateDir, child.pid);
      if (at !== undefined) return at;
      if (server.status !== undefined) throw new Error(`serve ended with ${server.status}:\n${server.said}`);
      if (performance.now() > until) throw new Error(`serve was not ready in time:\n${server.said}`);
      await sleep(5);
    }
  }
}

/** @returns undefined while the server of this pid does not listen */
function whereItListens(stateDir, pid) {
  try {
    const { url, pid: listening } = JSON.parse(
      readFileSync(path.join(stateDir, 'serve/server.json'), 'utf8'),
    );
    if (listening !== pid) return undefined; // of an earlier life
    return { url, token: readFileSync(path.join(stateDir, 'serve/token'), 'utf8').trim() };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * A client on connections of its own, kept alive.
 * @param where gives `{ url, token }` anew for each request
 * @param connections at most so many at once; more requests wait for one
 */
export function clientOf(where, connections = 1) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  return { ask, stream, close: () => agent.destroy() };

  /**
   * @param body JSON's text or bytes; left out: none
   * @returns `{ status, headers, bytes }`; rejects when there is no whole answer
   */
  function ask(method, target, body, headers = {}) {
    return new Promise((resolve, reject) => {
      const request = begin(method, target, body, headers, agent);
      request.setTimeout(longestAnswerMs, () =>
        request.destroy(new Error(`no answer to ${method} ${target}`)),
      );
      request.once('error', reject);
      request.once('response', (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.once('error', reject);
        response.once('end', () =>
          resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(parts) }),
        );
      });
    });
  }

  /** Server-sent events. @returns ends the stream */
  function stream(target, onEvent) {
    const request = begin('GET', target, undefined, { accept: 'text/event-stream' });
    let rest = '';
    request.once('error', (error) => {
      if (error.code !== 'ECONNRESET') throw error;
    });
    request.once('response', (response) => {
      if (response.statusCode !== 200) throw new Error(`GET ${target} answered ${response.statusCode}`);
      response.setEncoding('utf8').on('data', (text) => {
        const events = (rest + text).split('\n\n');
        rest = events.pop();
        for (const event of events) {
          const data = /^data: ?(.*)$/m.exec(event)?.[1];
          if (data !== undefined) onEvent(JSON.parse(data));
        }
      });
    });
    return () => request.destroy();
  }

  function begin(method, target, body, headers, through) {
    const { url, token } = where();
    const request = http.request(new URL(target, url), {
      method,
      agent: through ?? false,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        }),
        ...headers,
      },
    });
    request.end(body);
    return request;
  }
}

/** The answer's JSON. @throws where it is no success */
export function json({ status, bytes }) {
  if (status >= 200 && status < 300) return JSON.parse(bytes);
  throw new Error(`answered ${status}: ${bytes.toString().slice(0, 500)}`);
}
