import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { test } from 'node:test';
import { type RunningServer, type ServerOptions, startServer } from '../../src/serve/server.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { one } from './certificates.js';

const token = 'secret-token';
const authorized = { Authorization: `Bearer ${token}` };

type Started = RunningServer & { readonly troubles: string[] };

async function started(t: TestEnd, options: Partial<ServerOptions> = {}): Promise<Started> {
  const troubles: string[] = [];
  const result = await startServer({
    fetch: async (request) => new Response(`${request.method} ${await request.text()}`),
    token,
    host: '127.0.0.1',
    port: 0,
    connections: { known: 100, total: 110 },
    maxBodyBytes: 1024 * 1024,
    onTrouble: (text) => troubles.push(text),
    ...options,
    times: { closeMs: 2000, lingerMs: 200, ...options.times },
  });
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  atEnd(t, () => result.value.close());
  return { ...result.value, troubles };
}

/** Sends this and answers all that came back until the connection was closed. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let got = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8').on('data', (chunk: string) => (got += chunk));
    socket.on('error', () => undefined).on('close', () => resolve(got));
  });
}

/** What each answer begins with, and the sentence of a problem. */
const heard = (answer: string): string =>
  `${/^HTTP\/1.1 \d+/.exec(answer)?.[0] ?? 'nothing'} ${/"detail":"(.*)"}/.exec(answer)?.[1] ?? ''}`;

const get = (path = '/', headers: Record<string, string> = authorized): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

test('answers who shows the token', async (t) => {
  const { url } = await started(t);
  const answer = await fetch(`${url}/v1/x`, { method: 'POST', headers: authorized, body: 'hello' });
  assert.equal(await answer.text(), 'POST hello');
});

test('turns away who does not, with a problem, and hangs up', async (t) => {
  const { url, port } = await started(t, { fetch: () => assert.fail('it was let pass') });
  const answer = await fetch(url, { headers: { Authorization: 'Bearer wrong' } });
  assert.equal(answer.status, 401);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  const problem = (await answer.json()) as Record<string, unknown>;
  assert.deepEqual(Object.keys(problem), ['type', 'title', 'status', 'detail']);
  assert.match(heard(await raw(port, get('/', {}))), /401 The token is missing/);
  assert.match(heard(await raw(port, 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n')), /403 .*evil.example/);
  assert.match(heard(await raw(port, get('/', { ...authorized, Origin: 'http://evil.example' }))), /403/);
});

for (const host of [
  'localhost:',
  'localhost:99999',
  '::1',
  '[0:0:0:0:0:0:0:1]:1',
  '[::ffff:127.0.0.1]',
  '127.1',
]) {
  test(`a name of ours counts in every form: ${host}`, async (t) => {
    const { port } = await started(t);
    const asked = get('/v1/x', { ...authorized, Connection: 'close' }).replace('localhost', host);
    assert.match(await raw(port, asked), /^HTTP\/1.1 200 [^]*GET/);
  });
}

test('the token is found among any number of headers, and an expectation does not keep it out', async (t) => {
  const { port } = await started(t);
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x-${n}`, '']));
  const headers = { ...many, Expect: 'foo', ...authorized, Connection: 'close' };
  assert.match(await raw(port, get('/', headers)), /^HTTP\/1.1 200/);
});

test('a host with a port is refused: the port would be lost', async () => {
  const result = await startServer({
    fetch: () => new Response(),
    token,
    host: 'localhost:99',
    port: 0,
    connections: { known: 1, total: 2 },
    maxBodyBytes: 1,
  });
  assert.match(result.ok ? '' : result.error.message, /--host localhost:99 is not a name/);
  assert.equal(result.ok ? 0 : result.error.exit, 78);
});

test(
  'two connections from one port to two addresses of ours are two',
  { skip: process.platform !== 'linux' && 'only Linux has all of 127.0.0.0/8' },
  async (t) => {
    const { port } = await started(t, { host: '0.0.0.0' });
    const connect = async (host: string, localPort = 0): Promise<[net.Socket, Promise<string>]> => {
      // bound by itself, a port may be bound again
      const socket = net.connect({ port, host, localAddress: '127.0.0.1', localPort });
      atEnd(t, () => void socket.destroy());
      let got = '';
      socket.setEncoding('utf8').on('data', (text: string) => (got += text));
      const all = new Promise<string>((resolve) => {
        socket.on('error', () => undefined).on('close', () => resolve(got));
      });
      await once(socket, 'connect');
      return [socket, all];
    };
    const first = await connect('127.0.0.1');
    const second = await connect('127.0.0.2', first[0].localPort);
    for (const [socket, all] of [second, first]) {
      socket.write(get('/', { ...authorized, Connection: 'close' }));
      assert.match(await all, /^HTTP\/1.1 200/);
    }
  },
);

const badHttp: readonly [string, string, RegExp][] = [
  ['no HTTP', 'hello\r\n\r\n', /400 This is no HTTP/],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', /400/],
  ['length and chunks', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', /400/], // prettier-ignore
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', /403 The request's Host is no name/],
  [
    'an expectation of any kind, without token',
    'GET / HTTP/1.1\r\nHost: localhost\r\nExpect: foo\r\n\r\n',
    /401/,
  ],
  ['headers without end', `GET / HTTP/1.1\r\nX: ${'x'.repeat(40_000)}`, /431 .*headers/],
  ['.. in the path', get('/v1/workers/../events'), /400 .*without \. or \.\./],
  ['.. in other letters', get('/v1/workers/%2E%2e/events'), /400/],
  ['.. with what might be a slash', get('/v1/workers/%2e%2e%2fevents'), /400/],
  ['a backslash', get('/v1\\x'), /400/],
  ['a whole URL', get('http://evil.example/'), /400/],
  ['a length beyond every number', `POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 99999999999999999\r\n\r\n`, /413/], // prettier-ignore
];
for (const [what, text, expected] of badHttp) {
  test(`bad HTTP is answered, and the server goes on: ${what}`, async (t) => {
    const { url, port } = await started(t);
    assert.match(heard(await raw(port, text)), expected);
    assert.equal((await fetch(url, { headers: authorized })).status, 200);
  });
}

test('a body that is too large is refused before it is sent, and the sender comes to know why', async (t) => {
  const { port } = await started(t);
  const headers = { ...authorized, 'Content-Length': 2 ** 30 };
  const request = http.request({ port, method: 'POST', headers });
  const answer = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject);
  });
  let sent = 0;
  const chunk = Buffer.alloc(64 * 1024);
  const more = (): void => {
    if (request.destroyed) return;
    sent += chunk.length;
    request.write(chunk, more);
  };
  more();
  const { statusCode } = await answer;
  request.on('error', () => undefined);
  request.destroy();
  assert.equal(statusCode, 413);
  assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were sent`);
});

test('so is a body that turns out to be too large while it comes', async (t) => {
  const { port } = await started(t, {
    fetch: async (request) => {
      let got = 0;
      for await (const piece of request.body as AsyncIterable<Uint8Array>) {
        got += piece.length;
        if (got > 1024 * 1024) break;
      }
      return new Response('too much', { status: 413 });
    },
  });
  for (const connection of ['close', 'keep-alive']) {
    const agent = new http.Agent({ keepAlive: connection === 'keep-alive' });
    atEnd(t, () => agent.destroy());
    const request = http.request({ port, agent, method: 'POST', headers: authorized });
    const chunk = Buffer.alloc(64 * 1024);
    let sent = 0;
    const more = (): void => {
      if (request.destroyed || sent > 2 ** 30) return;
      sent += chunk.length;
      request.write(chunk, more);
    };
    more();
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
    request.on('error', () => undefined);
    request.destroy();
    assert.equal(answer.statusCode, 413, connection);
    assert.ok(sent < 128 * 1024 * 1024, `${sent} bytes were sent`);
  }
});

test('who asks before sending a body (Expect: 100-continue) is refused without one', async (t) => {
  const { port } = await started(t);
  const asks = (length: number): Promise<string> =>
    raw(
      port,
      `POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`,
    );
  assert.match(await asks(2 ** 30), /^HTTP\/1.1 413/);
  assert.match(await asks(0), /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/);
});

test('a body that does not come ends with 408, and nothing is left of it', async (t) => {
  const { port, url } = await started(t, { times: { headersMs: 100, requestMs: 200 } });
  const slow = `POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 100\r\n\r\nabc`;
  assert.match(heard(await raw(port, slow)), /408 The request came too slowly/);
  assert.match(heard(await raw(port, 'GET / HTTP/1.1\r\nHo')), /408/);
  assert.match(heard(await raw(port, '')), /408/, 'nothing at all was sent');
  // on a machine at work these headers too may come later than 100 ms
  await eventually(
    async () => (await fetch(url, { headers: authorized })).status === 200,
    'the server goes on',
  );
});

test('requests that are sent without waiting for answers are not let pile up', async (t) => {
  let under = 0;
  const { port, url } = await started(t, {
    fetch: (request) => {
      if (request.url.endsWith('/quick')) return new Response();
      under++;
      return new Promise<Response>(() => undefined);
    },
  });
  assert.equal(heard(await raw(port, get().repeat(1000))), 'nothing ');
  assert.ok(under <= 16, String(under));
  assert.equal((await fetch(`${url}/quick`, { headers: authorized })).status, 200);
});

test('strangers are closed to make room, workers are not', async (t) => {
  const server = await started(t, { connections: { known: 2, total: 4 } });
  const agent = new http.Agent({ keepAlive: true });
  atEnd(t, () => agent.destroy());
  const first = await ask(server.port, agent);
  const strangers = await Promise.all(Array.from({ length: 50 }, () => connected(server.port)));
  atEnd(t, () => strangers.forEach((socket) => socket.destroy()));
  await eventually(() => strangers.filter(({ destroyed }) => destroyed).length >= 47, 'strangers are closed');
  assert.equal(await ask(server.port, agent), first, 'the worker has its connection still');
  assert.match(server.troubles.join('\n'), /never showed the token are closed, the oldest first/);
  assert.equal(server.troubles.length, 1, 'and it is told once');
});

/** @returns the port from which it was asked: the same as long as the connection lives */
function ask(port: number, agent: http.Agent): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, agent, headers: authorized }, (answer) => {
      assert.equal(answer.statusCode, 200);
      const from = request.socket?.localPort;
      answer.resume().on('end', () => resolve(from));
    });
    request.on('error', reject);
  });
}

function connected(port: number): Promise<net.Socket> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => undefined).resume();
  });
}

test('closing lets what is under way end, and takes nothing more', async (t) => {
  let finish: (() => void) | undefined;
  const server = await started(t, {
    fetch: () =>
      new Promise((resolve) => {
        finish = () => resolve(new Response('done'));
      }),
  });
  const idle = await connected(server.port);
  const answer = fetch(server.url, { headers: authorized });
  await eventually(() => finish, 'the request is under way');
  const closed = server.close();
  await eventually(() => idle.destroyed, 'who sends nothing is closed');
  await assert.rejects(fetch(server.url, { headers: authorized }));
  finish?.();
  assert.equal(await (await answer).text(), 'done');
  await closed;
});

test('closing ends streams, and within its bound also what never ends', async (t) => {
  let endStream: (() => void) | undefined;
  const server = await started(t, {
    fetch: (request) =>
      request.url.endsWith('/hang')
        ? new Promise<Response>(() => undefined)
        : new Response(
            new ReadableStream({
              start(controller) {
                controller.enqueue(Buffer.from(': begun\n\n'));
                endStream = () => {
                  endStream = undefined;
                  controller.close();
                };
              },
            }),
          ),
    endStreams: () => endStream?.(),
    times: { closeMs: 100 },
  });
  const stream = await fetch(server.url, { headers: authorized });
  const hanging = fetch(`${server.url}/hang`, { headers: authorized });
  const rejected = assert.rejects(hanging);
  await eventually(() => endStream, 'the stream has begun');
  await server.close();
  assert.equal(await stream.text(), ': begun\n\n');
  await rejected;
});

test('a port that is taken is named', async (t) => {
  const { port } = await started(t);
  const again = await startServer({
    fetch: () => new Response(),
    token,
    host: '127.0.0.1',
    port,
    connections: { known: 1, total: 2 },
    maxBodyBytes: 1,
  });
  assert.ok(!again.ok);
  assert.equal(again.error.exit, 75);
  assert.match(again.error.message, new RegExp(`port ${port} of 127.0.0.1 is taken .*--port`));
});

test('a host that is none of ours is named', async () => {
  const result = await startServer({
    fetch: () => new Response(),
    token,
    host: '192.0.2.1', // kept for documentation (RFC 5737)
    port: 0,
    connections: { known: 1, total: 2 },
    maxBodyBytes: 1,
  });
  assert.ok(!result.ok);
  assert.equal(result.error.exit, 78);
  assert.match(result.error.message, /--host 192.0.2.1 is no address of this machine/);
});

test('TLS, and what is no TLS', async (t) => {
  const { port, url } = await started(t, { tls: one });
  assert.match(url, /^https:/);
  const answer = await new Promise<number | undefined>((resolve, reject) => {
    https
      .get({ port, ca: one.cert, headers: authorized, servername: 'localhost', agent: false }, (got) => {
        got.resume().on('end', () => resolve(got.statusCode));
      })
      .on('error', reject);
  });
  assert.equal(answer, 200);
  assert.ok(!(await raw(port, get())).includes('200'), 'plain HTTP is not answered');
});

test('what answers requests may throw: it is a 500 and is told, and the server goes on', async (t) => {
  const bugs: string[] = [];
  const { url } = await started(t, {
    onBug: (error) => bugs.push(String(error)),
    fetch: (request) =>
      request.url.endsWith('/throw') ? Promise.reject(new Error('a bug')) : new Response('well'),
  });
  const answer = await fetch(`${url}/throw`, { headers: authorized });
  assert.equal(answer.status, 500);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.doesNotMatch(await answer.text(), /a bug/);
  assert.deepEqual(bugs, ['Error: a bug']);
  assert.equal((await fetch(url, { headers: authorized })).status, 200);
});
